"""`skyfleet outputs`: what the stack says about itself; secrets only when asked for."""

from __future__ import annotations

import json

import click

from infra.cli.context import json_option, layout, need_outputs
from infra.cli.stacks import stack_option


@click.command("outputs")
@stack_option
@json_option
@click.option("--show-secrets", is_flag=True, help="Print secret outputs too.")
def command(stack: str | None, as_json: bool, show_secrets: bool) -> None:
    """Print the stack's outputs."""
    found = need_outputs(layout(), stack)
    shown = found.all if show_secrets else found.shown
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for name, value in shown.items():
        click.echo(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")
