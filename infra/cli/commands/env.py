"""`skyfleet env`: with these exports the plain Pulumi CLI works on the emulated clouds."""

from __future__ import annotations

import json

import click

from infra.cli.context import json_option, layout, pulumi_cli, require_emulator, variables
from infra.cli.stack.environment import exports
from infra.cli.stack.option import emulator_only


@click.command("env")
@emulator_only("Its `pulumi` works in a new shell as it is; no exports are needed.")
@json_option
def command(as_json: bool) -> None:
    """Print shell exports for plain `pulumi`.

    \b
    eval "$(.venv/bin/skyfleet env)"
    pulumi preview
    """
    place = layout()
    note = require_emulator(place)
    told = variables(place, pulumi_cli(place), note.providers)
    click.echo(json.dumps(told, indent=2) if as_json else exports(told), nl=as_json)
