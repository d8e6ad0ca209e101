"""`skyfleet status`: routers, targets, checkers and faults, as tables or JSON."""

from __future__ import annotations

import json

import click

from infra.cli.context import current_layout, json_option
from infra.cli.output.status_view import assemble, render
from infra.operations.context import require_outputs
from infra.operations.emulator.admin import EmulatorInfo, call
from infra.operations.emulator.daemon import running
from infra.operations.errors import EmulatorFailed
from infra.operations.json_access import JsonObject
from infra.operations.manager import process
from infra.operations.routers.client import get_builds, get_statuses
from infra.operations.stack.option import deploy_command, is_real, stack_option


@click.command("status")
@stack_option
@json_option
def command(stack: str | None, as_json: bool) -> None:
    """Show routers, targets with their health, checkers and faults."""
    layout = current_layout()
    outputs = require_outputs(layout, stack)
    info = None if is_real(stack) else running(layout)
    answers = get_statuses(outputs.router_urls, outputs.api_key)
    facts = assemble(answers, outputs.router_places, _emulator_status(info), info.python if info else "")
    facts["agents"] = get_builds(outputs.agent_urls)
    manager = process.running(layout, stack) if stack else process.running(layout)
    facts["manager"] = {"url": manager.url} if manager else None
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    for part in render(facts, deploy_command(stack)):
        console.print(part)
    if manager:
        console.print(f"manager: {manager.url}")
    if info is None and not is_real(stack):
        console.print(
            "[yellow]The emulated clouds are not running: `make up` starts them as they were.[/yellow]"
        )


def _emulator_status(info: EmulatorInfo | None) -> JsonObject | None:
    if info is None:
        return None
    try:
        return call(info, "GET", "/v1/status")
    except EmulatorFailed:
        return None
