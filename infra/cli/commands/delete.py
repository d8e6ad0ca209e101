"""`skyfleet delete`: have the manager drain a target and remove it from the fleet."""

from __future__ import annotations

import click

from infra.cli.change import run
from infra.cli.context import json_option
from infra.cli.place import place_argument
from infra.operations.stack.option import stack_option


@click.command("delete", epilog="Example: skyfleet delete aws us-east-1")
@place_argument
@click.option(
    "--force", is_flag=True, help="Remove also a target with a router; do not wait for a silent one."
)
@click.option("--preview", is_flag=True, help="Only show what would be removed.")
@stack_option
@json_option
def command(place: tuple[str, str], force: bool, preview: bool, stack: str | None, as_json: bool) -> None:
    """Drain the target CLOUD REGION at all routers, remove it, and follow the deployment.

    Requests that it has are answered first. Ctrl-C cancels the deployment.
    """
    body = {"cloud": place[0], "region": place[1], "force": force}
    run("DELETE", "/api/delete-resource", body, stack=stack, preview=preview, as_json=as_json)
