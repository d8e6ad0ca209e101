"""`skyfleet status`: what a person wants to know first, or the same as JSON."""

from __future__ import annotations

import json

import click

from infra.cli.context import json_option, layout, require_outputs
from infra.cli.emulator.admin import EmulatorInfo, call
from infra.cli.emulator.daemon import running
from infra.cli.errors import EmulatorFailed
from infra.cli.json_access import JsonObject
from infra.cli.output.status_view import assemble, render
from infra.cli.routers.client import get_builds, get_statuses
from infra.cli.stack.option import deploy_command, is_real, stack_option


@click.command("status")
@stack_option
@json_option
def command(stack: str | None, as_json: bool) -> None:
    """Show routers, targets with their health, checkers and faults."""
    place = layout()
    outputs = require_outputs(place, stack)
    note = None if is_real(stack) else running(place)
    answers = get_statuses(outputs.router_urls, outputs.api_key)
    facts = assemble(answers, outputs.router_places, _world(note), note.python if note else "")
    facts["agents"] = get_builds(outputs.agent_urls)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    for part in render(facts, deploy_command(stack)):
        console.print(part)
    if note is None and not is_real(stack):
        console.print(
            "[yellow]The emulated clouds are not running: `make up` starts them as they were.[/yellow]"
        )


def _world(note: EmulatorInfo | None) -> JsonObject | None:
    if note is None:
        return None
    try:
        return call(note, "GET", "/v1/status")
    except EmulatorFailed:
        return None
