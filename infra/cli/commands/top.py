"""`skyfleet top`: the manager's picture in the terminal, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import time

import click

from infra.cli.context import current_layout, json_option
from infra.cli.output.fleet_view import render
from infra.operations.errors import CommandFailed
from infra.operations.json_access import JsonObject
from infra.operations.manager.client import Client, find
from infra.operations.stack.option import stack_option

EVERY_S = 1.0
SHOWN_JOBS = 3


@click.command("top")
@click.option("--once", is_flag=True, help="Print one picture and end.")
@stack_option
@json_option
def command(once: bool, stack: str | None, as_json: bool) -> None:
    """Show the fleet live: routers, targets with their shares, the last minutes, jobs.

    When the manager is lost, the last picture stays with its time.
    """
    from rich.console import Console, Group
    from rich.live import Live

    client = find(current_layout(), stack, os.environ)
    picture, jobs = client.status(), client.jobs(SHOWN_JOBS)
    if as_json:
        click.echo(json.dumps({**picture, "jobs": jobs}, indent=2))
        return
    console = Console(highlight=False)
    if once or not console.is_terminal:
        console.print(Group(*render(picture, jobs)))
        return
    view = View(client, picture, jobs)
    screen = Live(console=console, screen=True, auto_refresh=False)
    with contextlib.suppress(KeyboardInterrupt), screen as live:
        while True:
            live.update(Group(*render(view.picture, view.jobs, view.lost)), refresh=True)
            time.sleep(EVERY_S)
            view.refresh()


class View:
    """The last picture, and why there is no newer one. A restarted manager takes its port again."""

    def __init__(self, client: Client, picture: JsonObject, jobs: list[JsonObject]) -> None:
        self._client, self.picture, self.jobs, self.lost = client, picture, jobs, ""

    def refresh(self) -> None:
        """Ask the manager once."""
        try:
            self.picture, self.jobs = self._client.status(), self._client.jobs(SHOWN_JOBS)
            self.lost = ""
        except CommandFailed as failed:
            self.lost = failed.message
