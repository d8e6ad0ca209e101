"""`skyfleet strategy`: show or change the strategy of the running routers."""

from __future__ import annotations

import json

import click

from infra.cli.context import current_layout, json_option, require_outputs
from infra.cli.errors import CommandFailed
from infra.cli.routers.control import CONFIGURED, differences, read_all, sentence, set_strategy
from infra.cli.stack.option import stack_option
from infra.cli.suggest import suggestion
from skyfleet.contract import Strategy

NAMES = (*Strategy, CONFIGURED)


@click.command("strategy", epilog=f"NAME: {', '.join(NAMES)}")
@click.argument("name", required=False)
@stack_option
@json_option
def command(name: str | None, stack: str | None, as_json: bool) -> None:
    """Show the strategy of each router, or set it to NAME at all of them.

    `configured` restores the strategy of the stack config.
    """
    if name is not None and name not in NAMES:
        raise click.UsageError(
            f"unknown strategy {name!r}.{suggestion(name, NAMES)} Known: {', '.join(NAMES)}."
        )
    outputs = require_outputs(current_layout(), stack)
    answers = read_all(outputs) if name is None else set_strategy(outputs, name)
    if as_json:
        click.echo(json.dumps([answer.as_json for answer in answers], indent=2))
    else:
        for answer in answers:
            click.echo(sentence(answer))
        if differ := differences(answers):
            click.echo(differ)
    missing = [answer for answer in answers if answer.problem]
    if missing or not answers:
        what = "report their strategy" if name is None else "apply the change"
        raise CommandFailed(
            f"{len(missing)} of {len(answers)} routers did not {what}; the reasons are above. "
            "Run it again when they are solved."
        )
