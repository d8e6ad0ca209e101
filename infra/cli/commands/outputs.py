"""`skyfleet outputs`: the outputs of the stack; secrets with --show-secrets only."""

from __future__ import annotations

import json

import click

from infra.cli.context import current_layout, json_option
from infra.operations.context import require_outputs
from infra.operations.stack.option import stack_option


@click.command("outputs")
@click.argument("name", required=False)
@stack_option
@json_option
@click.option("--show-secrets", is_flag=True, help="Print secret outputs too.")
def command(name: str | None, stack: str | None, as_json: bool, show_secrets: bool) -> None:
    """Print the stack's outputs, or the value of the one called NAME.

    \b
    KEY=$(.venv/bin/skyfleet outputs apiKey --show-secrets)
    """
    found = require_outputs(current_layout(), stack)
    shown = found.all if show_secrets else found.shown
    if name is not None:
        if name not in shown:
            raise click.UsageError(f"The stack has no output {name!r}. It has: {', '.join(shown)}.")
        click.echo(json.dumps(shown[name], indent=2) if as_json else _text(shown[name]))
        if name in found.secret and not show_secrets:
            click.echo(f"{name} is a secret; --show-secrets prints its value.", err=True)
        return
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for key, value in shown.items():
        click.echo(f"{key}: {_text(value)}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
