"""`skyfleet down`: destroy the deployment, stop the emulated clouds, leave nothing in the checkout."""

from __future__ import annotations

import os
import sys

import click

from infra.cli.context import engine, pulumi_cli
from infra.cli.context import layout as here
from infra.cli.emulator import daemon
from infra.cli.emulator.lifecycle import child_environment, ensure_running
from infra.cli.errors import CommandFailed, PulumiFailed, StackLocked
from infra.cli.output.progress import Progress, progress, step
from infra.cli.paths import STACK, Layout
from infra.cli.remove_tree import remove
from infra.cli.stack.option import emulator_only
from infra.cli.stack.pulumi_lines import diagnostics
from infra.cli.stack.recovery import release_stale_lock
from infra.cli.stack.runner import PulumiRunner
from infra.cli.stack.state import has_resources
from infra.setup.file_lock import exclusive


@click.command("down")
@emulator_only("`pulumi destroy --stack {stack}` in a shell of its own removes that.")
def command() -> None:
    """Destroy the deployment, stop the emulated clouds and remove .skyfleet/."""
    layout = here()
    shown = progress()
    with exclusive(
        layout.root / "infra", lambda: shown.say("another up or down is running here: waiting for it")
    ):
        if not layout.home.exists() and daemon.daemon_pid(layout) is None:
            click.echo("Nothing is up.")
            return
        try:
            if _deployed(layout):
                _destroy(layout, shown)
        except StackLocked:
            raise
        except CommandFailed as failure:
            shown.say(f"the deployment could not be destroyed in order: {failure.message}")
            shown.say("it is emulated and lives in .skyfleet/ only: removing that as it is")
        with step(shown, "stopping the emulated clouds"):
            while (pid := daemon.daemon_pid(layout)) is not None:
                if not daemon.stop(pid, layout):
                    shown.say(f"process {pid} did not stop when asked and was killed")
        try:
            remove(layout.home)
        except OSError as error:
            raise CommandFailed(
                f"everything is stopped, but {error.filename or layout.home} cannot be removed: "
                f"{error.strerror}. Remove {layout.shown(layout.home)}/ by hand."
            ) from None
    click.echo("Everything is down; .skyfleet/ is removed.")


def _deployed(layout: Layout) -> bool:
    try:
        return has_resources(layout.checkpoint.read_text(errors="replace"))
    except OSError:
        return False


def _destroy(layout: Layout, shown: Progress) -> None:
    cli = pulumi_cli(layout)
    with step(shown, "destroying the deployment"):
        note = ensure_running(layout, child_environment(layout, os.environ), shown)
        pulumi = engine(layout, cli, note.providers)
        release_stale_lock(layout, pulumi, shown.say)
        _run(pulumi, layout, shown)


def _run(pulumi: PulumiRunner, layout: Layout, shown: Progress) -> None:
    lines: list[str] = []
    stops: list[None] = []

    def stop() -> None:
        stops.append(None)
        print("stopping: Pulumi ends what it is doing; Ctrl-C again stops at once", file=sys.stderr)

    code = pulumi.stream(
        "destroy",
        "--yes",
        "--skip-preview",
        "--stack",
        STACK,
        log=layout.up_log,
        on_line=lines.append,
        on_stop=stop,
    )
    if stops:
        shown.say("stopped by you: what is left is still up; `make down` goes on")
        raise click.exceptions.Exit(1)
    if code != 0:
        raise PulumiFailed("\n".join(diagnostics(lines)))
