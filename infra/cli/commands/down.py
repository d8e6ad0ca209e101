"""`skyfleet down`: destroy the deployment, stop the emulator, remove its files."""

from __future__ import annotations

import os
import sys

import click

from infra.cli.context import current_layout
from infra.operations.context import pulumi_cli, pulumi_runner
from infra.operations.emulator import daemon
from infra.operations.emulator.lifecycle import child_environment, ensure_running
from infra.operations.errors import CommandFailed, PulumiFailed, StackLocked
from infra.operations.manager import process as manager
from infra.operations.paths import STACK, Layout
from infra.operations.progress import Progress, make_progress, step
from infra.operations.remove_tree import remove
from infra.operations.stack.option import emulator_only
from infra.operations.stack.pulumi_lines import diagnostics
from infra.operations.stack.recovery import release_stale_lock
from infra.operations.stack.runner import PulumiRunner
from infra.operations.stack.state import has_resources
from infra.setup.file_lock import exclusive


@click.command("down")
@emulator_only("`pulumi destroy --stack {stack}` in a shell of its own removes that.")
def command() -> None:
    """Destroy the deployment, stop the emulated clouds and remove .skyfleet/."""
    layout = current_layout()
    progress = make_progress()
    with exclusive(
        layout.root / "infra", lambda: progress.message("another up or down is running here: waiting for it")
    ):
        if (info := manager.running(layout)) is not None and not manager.stop(layout, info):
            progress.message(f"the manager (pid {info.pid}) did not stop when asked and was killed")
        if not layout.home.exists() and daemon.daemon_pid(layout) is None:
            click.echo("Nothing is up.")
            return
        try:
            if _deployed(layout):
                _destroy(layout, progress)
        except StackLocked:
            if info is not None:
                progress.message("the manager is stopped; `make up` starts it again")
            raise
        except CommandFailed as failure:
            progress.message(f"the deployment could not be destroyed: {failure.message}")
            progress.message("it is emulated, and all of it is in .skyfleet/: removing that")
        with step(progress, "stopping the emulated clouds"):
            while (pid := daemon.daemon_pid(layout)) is not None:
                if not daemon.stop(pid, layout):
                    progress.message(f"process {pid} did not stop when asked and was killed")
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


def _destroy(layout: Layout, progress: Progress) -> None:
    cli = pulumi_cli(layout)
    with step(progress, "destroying the deployment"):
        info = ensure_running(layout, child_environment(layout, os.environ), progress)
        pulumi = pulumi_runner(layout, cli, info.providers)
        release_stale_lock(layout, pulumi, progress.message)
        _run(pulumi, layout, progress)


def _run(pulumi: PulumiRunner, layout: Layout, progress: Progress) -> None:
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
        progress.message("stopped by you: what is left is still up; `make down` goes on")
        raise click.exceptions.Exit(1)
    if code != 0:
        raise PulumiFailed("\n".join(diagnostics(lines)))
