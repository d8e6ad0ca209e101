"""`skyfleet logs`: the functions' logs as the emulated clouds keep them, and the clouds' own."""

from __future__ import annotations

import time

import click

from infra.cli.context import layout
from infra.cli.errors import Failed, NothingUp
from infra.cli.faults import CLOUDS, meant
from infra.cli.layout import Layout
from infra.cli.log_files import ROLES, Follower, LogFile, choose, tail

SKY = "sky"
LOOK_EVERY_S = 0.25


@click.command("logs")
@click.argument("cloud", required=False)
@click.option("--role", type=click.Choice(ROLES), help="Only functions of this role.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on; Ctrl-C ends it.")
@click.option(
    "-n", "--lines", default=20, show_default=True, type=click.IntRange(min=0), help="Lines of each log."
)
def command(cloud: str | None, role: str | None, follow: bool, lines: int) -> None:
    """Print logs of the functions in CLOUD (aws, azure, gcp; all when left out), or of the emulated clouds
    (sky).
    """
    place = layout()
    if cloud is not None and cloud not in (*CLOUDS, SKY):
        raise click.UsageError(
            f"unknown cloud {cloud!r}.{meant(cloud, (*CLOUDS, SKY))} Known: {', '.join(CLOUDS)}, {SKY}."
        )
    if not place.logs.exists():
        raise NothingUp
    files = _files(place, cloud, role)
    if not files:
        raise Failed(
            f"no log yet of {cloud or 'any cloud'}{f', role {role}' if role else ''} "
            f"in {place.shown(place.logs)}"
        )
    width = max(len(file.label) for file in files)
    followers: list[Follower] = []
    for file in files:
        shown, end = tail(file, lines)
        for line in shown:
            click.echo(f"{file.label:{width}} | {line}")
        followers.append(Follower(file, end))
    while follow:
        for follower in followers:
            for line in follower.new_lines():
                click.echo(f"{follower.file.label:{width}} | {line}")
        time.sleep(LOOK_EVERY_S)


def _files(place: Layout, cloud: str | None, role: str | None) -> list[LogFile]:
    if cloud == SKY:
        return [
            LogFile(path.stem, path) for path in (place.logs / "sky.log", place.daemon_log) if path.exists()
        ]
    return choose(place.logs, (cloud,) if cloud else CLOUDS, role)
