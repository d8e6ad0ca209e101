"""`skyfleet up`: everything from nothing to a deployment that answers; safe to interrupt and to repeat.

The order: steps that change nothing come first (CLI, settings, packages), then the emulated clouds, then the
engine. Its program ends with a check that every cloud serves what was deployed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import click

from infra.cli.context import engine, json_option, pulumi_cli, require_emulator, require_outputs
from infra.cli.context import layout as here
from infra.cli.emulator.first_checks import GRACE_S, sentence, wait_for_checkers
from infra.cli.emulator.lifecycle import child_environment, ensure_running
from infra.cli.errors import CommandFailed, PulumiFailed
from infra.cli.output import summary
from infra.cli.output.progress import Progress, progress, step
from infra.cli.paths import STACK, Layout
from infra.cli.stack.option import emulator_only
from infra.cli.stack.outputs import Outputs
from infra.cli.stack.preflight import build_packages, check_disk_space, read_settings
from infra.cli.stack.pulumi_lines import counts, diagnostics, outages, waiting
from infra.cli.stack.pulumi_lines import step as parse_step
from infra.cli.stack.recovery import check_state, pending, release_stale_lock
from infra.cli.stack.runner import PulumiRunner
from infra.setup.file_lock import exclusive

if TYPE_CHECKING:
    from infra.config.model import Place, Settings

DISK_FULL = "no space left on device"  # as Pulumi says it


@click.command("up")
@emulator_only("`pulumi up --stack {stack}` in a shell of its own deploys that.")
@json_option
def command(as_json: bool) -> None:
    """Deploy to the emulated clouds and say how to call the router."""
    layout = here()
    shown = progress()
    try:
        with exclusive(
            layout.root / "infra", lambda: shown.say("another up or down is running here: waiting for it")
        ):
            printed, settings = _up(layout, shown)
    except OSError as error:
        where = error.filename or "the disk"
        raise CommandFailed(
            f"{where}: {error.strerror}. Free the disk or make it writable, then run `make up` again."
        ) from None
    outputs = require_outputs(layout)
    _first_checks(layout, outputs, settings, shown)
    facts = summary.as_json(outputs.router_urls, counts(printed), layout)
    click.echo(
        json.dumps(facts, indent=2)
        if as_json
        else summary.closing_text(facts, layout, keyed=not settings.open)
    )


def _up(layout: Layout, shown: Progress) -> tuple[list[str], Settings]:
    """Deploy; the lines that the engine printed, and the settings deployed."""
    layout.home.mkdir(mode=0o700, exist_ok=True)
    layout.home.chmod(0o700)  # also if it exists already: it has keys and state
    check_disk_space(layout, lambda folder: shutil.disk_usage(folder).free)
    cli = pulumi_cli(layout)
    settings = read_settings(layout)
    environ = child_environment(layout, os.environ)
    with step(shown, "packages"):
        build_packages(layout, settings, environ, shown.now)
    with step(shown, "emulated clouds"):
        note = ensure_running(layout, environ, shown, asdict(settings.emulator))
    pulumi = engine(layout, cli, note.providers)
    with step(shown, "deployment"):
        _prepare_stack(layout, pulumi, shown)
        printed = _deploy(layout, settings, pulumi, shown)
    return printed, settings


def _first_checks(layout: Layout, outputs: Outputs, settings: Settings, shown: Progress) -> None:
    """Wait for the first snapshots: the fleet serves without them, but the status has no health until
    then."""
    rounds_s = settings.checks.probes * settings.checks.apart_s
    with step(shown, "first health checks"):
        expected = [str(place) for place in settings.checkers]
        if missing := wait_for_checkers(outputs, require_emulator(layout), expected, rounds_s):
            shown.say(sentence(missing, rounds_s + GRACE_S))


def _prepare_stack(layout: Layout, pulumi: PulumiRunner, shown: Progress) -> None:
    layout.state.mkdir(parents=True, exist_ok=True)
    layout.up_log.parent.mkdir(parents=True, exist_ok=True)
    layout.up_log.write_text("")
    release_stale_lock(layout, pulumi, shown.say)
    check_state(layout)
    if not layout.checkpoint.exists():
        pulumi.capture("stack", "select", STACK, "--create")
    if unfinished := pending(layout):
        shown.say(
            f"an earlier deployment was cut off in the middle ({', '.join(unfinished)}): "
            "refreshing its state from the clouds"
        )
        watch = _Watch(shown)
        refresh = ("refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", STACK)
        code = pulumi.stream(*refresh, log=layout.up_log, on_line=watch.line, on_stop=watch.stop)
        watch.conclude(code, layout, "the state could not be refreshed from the clouds")


def _deploy(layout: Layout, settings: Settings, pulumi: PulumiRunner, shown: Progress) -> list[str]:
    """Deploy everything; without the clouds whose management API does not answer, if some do not.

    Those come to light one after the other, since each provider repeats its calls for a time of its own.
    """
    down: dict[str, str] = {}
    while True:
        watch = _Watch(shown)
        without = [part for cloud in down for part in ("--exclude", f"**skyfleet:{cloud}:**")]
        up = ("up", "--yes", "--skip-preview", *without, "--stack", STACK)
        code = pulumi.stream(*up, log=layout.up_log, on_line=watch.line, on_stop=watch.stop)
        more = {} if code <= 0 or watch.stopped else outages(watch.lines)
        if not more or not worth_deploying(settings.routers, down | more):
            break
        down |= more
        shown.say(f"{_said(more)}. Deploying to the other clouds")
    watch.conclude(code, layout, "the deployment failed")
    if down:
        raise PulumiFailed(
            f"not deployed: {_said(down)}.\n"
            "The other clouds are deployed, and the router runs with them: "
            f"{require_outputs(layout).router_urls[0]}\nOnce the API answers, `make up` deploys the rest."
        )
    return watch.lines


def worth_deploying(routers: Sequence[Place], down: Collection[str]) -> bool:
    """Whether a fleet without the clouds `down` has a router, and with it an agent beside that."""
    return any(place.cloud not in down for place in routers)


def _said(down: Mapping[str, str]) -> str:
    return "; ".join(f"{cloud}: {reason}" for cloud, reason in down.items())


@dataclass(slots=True)
class _Watch:
    """Looks at Pulumi's lines as they come and says at the end what they meant."""

    shown: Progress
    lines: list[str] = field(default_factory=list[str])
    stopped: bool = False

    def line(self, text: str) -> None:
        self.lines.append(text)
        if said := waiting(text):
            self.shown.say(said)
        if (done := parse_step(text)) is not None:
            self.shown.say(str(done))
            self.shown.now(f"{done.type} {done.name}")

    def stop(self) -> None:
        self.stopped = True
        print("stopping: Pulumi ends what it is doing; Ctrl-C again stops at once", file=sys.stderr)

    def conclude(self, code: int, layout: Layout, what: str) -> None:
        if self.stopped:
            raise PulumiFailed("stopped by you in the middle of the deployment; `make up` goes on from here")
        if code < 0:
            raise PulumiFailed(
                f"{what}: Pulumi was ended by signal {-code}; `make up` again recovers and goes on"
            )
        if code != 0:
            said = "\n".join(diagnostics(self.lines))
            if any(DISK_FULL in line for line in self.lines):
                said += "\nThe disk is full: free it, then run `make up` again."
            raise PulumiFailed(
                f"{what} (pulumi ended with {code}):\n{said}\nAll of it: {layout.shown(layout.up_log)}. "
                "What ran before and is not named above still runs."
            )
