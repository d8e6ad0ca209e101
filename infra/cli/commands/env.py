"""`skyfleet env`: shell exports with which the Pulumi CLI works on the emulated clouds."""

from __future__ import annotations

import json

import click

from infra.cli.context import current_layout, json_option
from infra.operations.context import pulumi_cli, pulumi_environment, require_emulator
from infra.operations.stack.environment import exports
from infra.operations.stack.option import emulator_only


@click.command("env")
@emulator_only("Its `pulumi` works in a new shell as it is; no exports are needed.")
@json_option
def command(as_json: bool) -> None:
    """Print shell exports for plain `pulumi`.

    \b
    eval "$(.venv/bin/skyfleet env)"
    pulumi preview
    """
    layout = current_layout()
    info = require_emulator(layout)
    found = pulumi_environment(layout, pulumi_cli(layout), info.providers)
    click.echo(json.dumps(found, indent=2) if as_json else exports(found), nl=as_json)
