"""`skyfleet strategy`: how the routers choose, and changing it while they run."""

from __future__ import annotations

import json

import click

from infra.cli.context import json_option, layout, require_outputs
from infra.cli.errors import CommandFailed
from infra.cli.routers.control import CONFIGURED, differences, read_all, sentence, set_strategy
from infra.cli.stack.option import stack_option
from infra.cli.suggest import suggestion
from infra.config.model import STRATEGIES

NAMES = (*STRATEGIES, CONFIGURED)


@click.command("strategy", epilog=f"NAME: {', '.join(NAMES)}")
@click.argument("name", required=False)
@stack_option
@json_option
def command(name: str | None, stack: str | None, as_json: bool) -> None:
    """Show how each router chooses, or have all of them choose by NAME.

    `configured` undoes an order: each chooses again as its deployment says.
    """
    if name is not None and name not in NAMES:
        raise click.UsageError(
            f"unknown strategy {name!r}.{suggestion(name, NAMES)} Known: {', '.join(NAMES)}."
        )
    outputs = require_outputs(layout(), stack)
    answers = read_all(outputs) if name is None else set_strategy(outputs, name)
    if as_json:
        click.echo(json.dumps([answer.facts for answer in answers], indent=2))
    else:
        for answer in answers:
            click.echo(sentence(answer))
        if differ := differences(answers):
            click.echo(differ)
    missing = [answer for answer in answers if answer.problem]
    if missing or not answers:
        what = "say how they choose" if name is None else "take the order, and keep what they had"
        raise CommandFailed(
            f"{len(missing)} of {len(answers)} routers did not {what}; above is why. Run it again "
            "when that is mended."
        )
