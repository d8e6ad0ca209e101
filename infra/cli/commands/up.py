"""`skyfleet up`: deploy to the emulator until the deployment answers; safe to interrupt and to repeat.

Steps that change nothing come first (CLI, config, packages), then the emulator, then Pulumi. Its program ends
with a check that every cloud serves what was deployed.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from infra.cli.context import current_layout, json_option
from infra.cli.output import summary
from infra.operations.context import pulumi_cli, pulumi_runner, require_emulator, require_outputs
from infra.operations.deployment import deploy, prepare_stack
from infra.operations.emulator.first_checks import GRACE_S, sentence, wait_for_checkers
from infra.operations.emulator.lifecycle import child_environment, ensure_running
from infra.operations.errors import CommandFailed
from infra.operations.paths import Layout
from infra.operations.progress import Progress, make_progress, step
from infra.operations.stack.option import emulator_only
from infra.operations.stack.outputs import Outputs
from infra.operations.stack.preflight import build_packages, check_disk_space, read_settings
from infra.operations.stack.pulumi_lines import counts
from infra.setup.file_lock import exclusive

if TYPE_CHECKING:
    from infra.config.model import Settings


@click.command("up")
@emulator_only("`pulumi up --stack {stack}` in a shell of its own deploys that.")
@json_option
def command(as_json: bool) -> None:
    """Deploy to the emulated clouds and print how to call the router."""
    layout = current_layout()
    progress = make_progress()
    try:
        with exclusive(
            layout.root / "infra",
            lambda: progress.message("another up or down is running here: waiting for it"),
        ):
            printed, settings = _up(layout, progress)
    except OSError as error:
        where = error.filename or "the disk"
        raise CommandFailed(
            f"{where}: {error.strerror}. Free the disk or make it writable, then run `make up` again."
        ) from None
    outputs = require_outputs(layout)
    _wait_for_checks(layout, outputs, settings, progress)
    facts = summary.as_json(outputs.router_urls, counts(printed), layout)
    click.echo(
        json.dumps(facts, indent=2)
        if as_json
        else summary.closing_text(facts, layout, keyed=not settings.open)
    )


def _up(layout: Layout, progress: Progress) -> tuple[list[str], Settings]:
    """Deploy, and return the lines that Pulumi printed and the settings."""
    layout.home.mkdir(mode=0o700, exist_ok=True)
    layout.home.chmod(0o700)  # also if it exists: it has keys and state
    check_disk_space(layout, lambda folder: shutil.disk_usage(folder).free)
    cli = pulumi_cli(layout)
    settings = read_settings(layout)
    environ = child_environment(layout, os.environ)
    with step(progress, "packages"):
        packages = build_packages(layout, settings, environ, progress.update)
    for note in packages.notes:
        progress.message(note)
    with step(progress, "emulated clouds"):
        info = ensure_running(layout, environ, progress, asdict(settings.emulator))
    pulumi = pulumi_runner(layout, cli, info.providers)
    with step(progress, "deployment"):
        prepare_stack(layout, pulumi, progress)
        printed = deploy(layout, settings, pulumi, progress, packages.build["agent"])
    return printed, settings


def _wait_for_checks(layout: Layout, outputs: Outputs, settings: Settings, progress: Progress) -> None:
    """Wait for the first snapshots. The fleet serves without them, but its status has no health."""
    rounds_s = settings.checks.probes * settings.checks.apart_s
    with step(progress, "first health checks"):
        expected = [str(place) for place in settings.checkers]
        if missing := wait_for_checkers(outputs, require_emulator(layout), expected, rounds_s):
            progress.message(sentence(missing, rounds_s + GRACE_S))
