"""`skyfleet drain`: show or change which targets get no new requests."""

from __future__ import annotations

from collections.abc import Sequence

import click

from infra.cli.context import current_layout, json_option
from infra.cli.output.control_answers import print_answers
from infra.operations.context import require_outputs
from infra.operations.errors import CommandFailed
from infra.operations.routers.control import ControlAnswer, read_all, set_draining
from infra.operations.routers.draining import desired, differences, drains_last, select, sentence
from infra.operations.stack.option import stack_option
from infra.operations.stack.outputs import Outputs


@click.command("drain", epilog="TARGET: a cloud, such as aws, or one region of it, such as aws/eu-west-1")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--undo", is_flag=True, help="Bring the targets back.")
@click.option("--force", is_flag=True, help="Drain also the last target that is left.")
@stack_option
@json_option
def command(targets: tuple[str, ...], undo: bool, force: bool, stack: str | None, as_json: bool) -> None:
    """Have all routers drain each TARGET, or show what drains.

    A draining target ends the requests that it has and gets no new one while another target serves.
    """
    if undo and not targets:
        raise click.UsageError("--undo needs a target, such as aws or aws/eu-west-1.")
    outputs = require_outputs(current_layout(), stack)
    chosen = select(targets, outputs.target_keys)
    answers = read_all(outputs)
    if chosen:
        answers = _change(outputs, answers, chosen, undo=undo, force=force)
    goal = "apply the change" if chosen else "report what drains"
    print_answers(answers, sentence, differences(answers), as_json=as_json, goal=goal)


def _change(
    outputs: Outputs, before: Sequence[ControlAnswer], chosen: Sequence[str], *, undo: bool, force: bool
) -> list[ControlAnswer]:
    """Change what drains at each router that was read, unless one of them would drain its last target."""
    known = outputs.target_keys
    wanted = {one.url: desired(one.draining, chosen, known, undo=undo) for one in before if not one.problem}
    last = [
        one.name for one in before if one.url in wanted and drains_last(one.draining, wanted[one.url], known)
    ]
    if last and not force:
        raise CommandFailed(
            f"nothing was changed: all {len(known)} targets would drain at {', '.join(last)}. Routers then "
            "send to draining targets all the same, so none would be spared. Leave a target out, bring one "
            "back with --undo, or use --force."
        )

    def changed(answer: ControlAnswer) -> tuple[str, ...] | None:
        same = wanted[answer.url] == answer.draining and not answer.control.get("unread")
        return None if same else wanted[answer.url]

    return set_draining(outputs, before, changed)
