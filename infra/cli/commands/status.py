"""`skyfleet status`: what a person wants to know first, or the same as JSON."""

from __future__ import annotations

import json

import click

from infra.cli.admin import SkyNote, call
from infra.cli.context import json_option, layout, need_outputs
from infra.cli.daemon import running
from infra.cli.errors import SkyFailed
from infra.cli.routers import ask_status, builds
from infra.cli.status_view import assemble, render
from infra.cli.values import Facts


@click.command("status")
@json_option
def command(as_json: bool) -> None:
    """Show routers, targets with their health, vantages and faults."""
    place = layout()
    outputs = need_outputs(place)
    note = running(place)
    answers = ask_status(outputs.router_urls, outputs.api_key)
    facts = assemble(answers, outputs.router_places, _world(note), note.python if note else "")
    facts["agents"] = builds(outputs.agent_urls)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    for part in render(facts):
        console.print(part)
    if note is None:
        console.print(
            "[yellow]The emulated clouds are not running: `make up` starts them as they were.[/yellow]"
        )


def _world(note: SkyNote | None) -> Facts | None:
    if note is None:
        return None
    try:
        return call(note, "GET", "/v1/world")
    except SkyFailed:
        return None
