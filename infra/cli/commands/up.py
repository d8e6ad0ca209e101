"""`skyfleet up`: deploy to the emulator until the deployment answers; safe to interrupt and to repeat.

Steps that change nothing come first (CLI, config, packages), then the emulator, then Pulumi. Its program ends
with a check that every cloud serves what was deployed.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from infra.cli.context import current_layout, json_option
from infra.cli.output import summary
from infra.operations.context import require_emulator, require_outputs
from infra.operations.deployment import bring_up
from infra.operations.emulator.first_checks import GRACE_S, sentence, wait_for_checkers
from infra.operations.emulator.lifecycle import child_environment
from infra.operations.errors import CommandFailed
from infra.operations.manager.process import ensure_running
from infra.operations.paths import Layout
from infra.operations.progress import Progress, make_progress, step
from infra.operations.stack.option import emulator_only
from infra.operations.stack.outputs import Outputs
from infra.operations.stack.pulumi_lines import counts
from infra.setup.file_lock import exclusive

if TYPE_CHECKING:
    from infra.config.model import Settings


@click.command("up")
@emulator_only("`pulumi up --stack {stack}` in a shell of its own deploys that.")
@click.option("--manager/--no-manager", "with_manager", default=True, help="Start the manager too, or not.")
@json_option
def command(with_manager: bool, as_json: bool) -> None:
    """Deploy to the emulated clouds and print how to call the router."""
    layout = current_layout()
    progress = make_progress()
    try:
        with exclusive(
            layout.root / "infra",
            lambda: progress.message("another up or down is running here: waiting for it"),
        ):
            printed, settings = bring_up(layout, progress, os.environ)
    except OSError as error:
        where = error.filename or "the disk"
        raise CommandFailed(
            f"{where}: {error.strerror}. Free the disk or make it writable, then run `make up` again."
        ) from None
    outputs = require_outputs(layout)
    _wait_for_checks(layout, outputs, settings, progress)
    manager = _start_manager(layout, progress) if with_manager else ""
    facts = summary.as_json(outputs.router_urls, counts(printed), layout, manager)
    click.echo(
        json.dumps(facts, indent=2)
        if as_json
        else summary.closing_text(facts, layout, keyed=not settings.open)
    )


def _start_manager(layout: Layout, progress: Progress) -> str:
    """The URL of the manager, which runs in the background; empty if it does not start: the fleet serves."""
    with step(progress, "manager"):
        try:
            return ensure_running(layout, child_environment(layout, os.environ)).url
        except CommandFailed as failed:
            progress.message(failed.message)
            return ""


def _wait_for_checks(layout: Layout, outputs: Outputs, settings: Settings, progress: Progress) -> None:
    """Wait for the first snapshots. The fleet serves without them, but its status has no health."""
    rounds_s = settings.checks.probes * settings.checks.apart_s
    with step(progress, "first health checks"):
        expected = [str(place) for place in settings.checkers]
        if missing := wait_for_checkers(outputs, require_emulator(layout), expected, rounds_s):
            progress.message(sentence(missing, rounds_s + GRACE_S))
