"""`skyfleet strategy`: show or change the strategy of the running routers."""

from __future__ import annotations

import click

from infra.cli.context import current_layout, json_option
from infra.cli.output.control_answers import print_answers
from infra.operations.context import require_outputs
from infra.operations.routers.control import CONFIGURED, differences, read_all, sentence, set_strategy
from infra.operations.stack.option import stack_option
from infra.operations.suggest import suggestion
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
    goal = "report their strategy" if name is None else "apply the change"
    print_answers(answers, sentence, differences(answers), as_json=as_json, goal=goal)
