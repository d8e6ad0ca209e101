"""`skyfleet logs`: the logs of the functions in the emulator, and of the emulator; health checks on demand.

For a stack on real accounts it prints where each cloud keeps them and the vendor's command that shows them.
"""

from __future__ import annotations

import time

import click

from infra.cli.context import current_layout
from infra.cli.output.cloud_logs import log_locations
from infra.config.model import CLOUDS
from infra.operations.emulator.log_files import (
    ROLES,
    Follower,
    LogFile,
    choose,
    everything,
    is_news,
    tail,
)
from infra.operations.errors import CommandFailed, NotDeployed
from infra.operations.paths import Layout
from infra.operations.stack.option import is_real, stack_option
from infra.operations.stack.preflight import read_settings
from infra.operations.suggest import suggestion

EMULATOR = "emulator"
POLL_S = 0.25


@click.command("logs")
@click.argument("cloud", required=False)
@click.option("--role", type=click.Choice(ROLES), help="Only functions of this role.")
@click.option("-f", "--follow", is_flag=True, help="Print new lines until Ctrl-C.")
@click.option(
    "-n", "--lines", default=20, show_default=True, type=click.IntRange(min=0), help="Lines of each log."
)
@click.option("--checks", is_flag=True, help="Print successful health checks, too.")
@stack_option
def command(
    cloud: str | None, role: str | None, follow: bool, lines: int, checks: bool, stack: str | None
) -> None:
    """Print logs of the functions in CLOUD (aws, azure, gcp; all when left out), or of the emulated clouds
    (emulator): what agents print and log, and errors. With --stack: where that stack's clouds keep them, and
    the command that shows them.
    """
    layout = current_layout()
    _check(cloud)
    if stack is not None and is_real(stack):
        _print_locations(layout, stack, cloud, role)
        return
    if not layout.logs.exists():
        raise NotDeployed
    files = _files(layout, cloud, role)
    if not files:
        raise CommandFailed(
            f"no log yet of {cloud or 'any cloud'}{f', role {role}' if role else ''} "
            f"in {layout.shown(layout.logs)}"
        )
    width, keep = max(len(file.label) for file in files), everything if checks else is_news
    followers: list[Follower] = []
    printed = 0
    for file in files:
        shown, end = tail(file, lines, keep)
        for line in shown:
            click.echo(f"{file.label:{width}} | {line}")
        printed += len(shown)
        followers.append(Follower(file, end, keep))
    if not printed and lines and not checks:
        click.echo("Nothing is logged but successful health checks; --checks prints them.", err=True)
    while follow:
        for follower in followers:
            for line in follower.new_lines():
                click.echo(f"{follower.file.label:{width}} | {line}")
        time.sleep(POLL_S)


def _check(cloud: str | None) -> None:
    """Raise UsageError for a word that is no cloud; a role gets the command that it is for."""
    known = (*CLOUDS, EMULATOR)
    role = "" if cloud is None else cloud.removesuffix("s")  # `skyfleet chaos --scope` has the plural
    if role in ROLES:
        raise click.UsageError(f"{cloud} is a role, not a cloud: skyfleet logs --role {role}")
    if cloud is not None and cloud not in known:
        raise click.UsageError(
            f"unknown cloud {cloud!r}.{suggestion(cloud, known)} Known: {', '.join(known)}."
        )


def _print_locations(layout: Layout, stack: str, cloud: str | None, role: str | None) -> None:
    if cloud == EMULATOR:
        raise click.UsageError(f"{EMULATOR} is the emulator's own log, and {stack} is another stack.")
    found = log_locations(read_settings(layout, stack), (cloud,) if cloud else CLOUDS, role)
    if not found:
        raise CommandFailed(
            f"the stack {stack} has no function in {cloud or 'any cloud'} of role {role or 'any'}"
        )
    for one in found:
        click.echo(f"{one.function}: {one.place}\n    {one.command}")


def _files(layout: Layout, cloud: str | None, role: str | None) -> list[LogFile]:
    if cloud == EMULATOR:
        return [
            LogFile(path.stem, path)
            for path in (layout.logs / "emulator.log", layout.daemon_log)
            if path.exists()
        ]
    return choose(layout.logs, (cloud,) if cloud else CLOUDS, role)
