"""`skyfleet drain`: show or change which targets get no new requests.

Rules
- A change goes through the manager, as `skyfleet create` does: it is in the audit log, and the page shows it
  at once. On a terminal the command then shows how the requests of the targets end.
- Without a manager that answers, the routers are asked directly, and one line says so. An operator must be
  able to drain a cloud when the manager is gone.
- What drains afterwards is read from the routers. A router that has not taken the change from the manager is
  asked directly too, so that output and exit code are the same in both cases.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from infra.cli.context import current_layout, json_option
from infra.cli.output.control_answers import print_answers
from infra.cli.output.job_progress import showing
from infra.cli.requests_left import follow
from infra.operations.context import require_outputs
from infra.operations.errors import CommandFailed, ManagerSilent
from infra.operations.manager.client import find
from infra.operations.paths import Layout
from infra.operations.routers.control import ControlAnswer, read_all, set_draining
from infra.operations.routers.draining import desired, differences, drains_last, select, sentence
from infra.operations.stack.option import stack_option
from infra.operations.stack.outputs import Outputs


@click.command("drain", epilog="TARGET: a cloud, such as aws, or one region of it, such as aws/eu-west-1")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--undo", is_flag=True, help="Bring the targets back.")
@click.option("--force", is_flag=True, help="Drain also the last target that is left.")
@click.option("--direct", is_flag=True, help="Ask the routers and not the manager.")
@stack_option
@json_option
def command(
    targets: tuple[str, ...], undo: bool, force: bool, direct: bool, stack: str | None, as_json: bool
) -> None:
    """Have all routers drain each TARGET, or show what drains.

    A draining target ends the requests that it has and gets no new one while another target serves.
    """
    if undo and not targets:
        raise click.UsageError("--undo needs a target, such as aws or aws/eu-west-1.")
    layout = current_layout()
    outputs = require_outputs(layout, stack)
    chosen = select(targets, outputs.target_keys)
    answers = read_all(outputs)
    if chosen:
        wanted = _wanted(outputs, answers, chosen, undo=undo, force=force)
        if not direct:
            _by_manager(layout, stack, chosen, undo=undo, force=force, quiet=as_json)
            answers = read_all(outputs)
            wanted = _wanted(outputs, answers, chosen, undo=undo, force=force)
        answers = _directly(outputs, answers, wanted)
    goal = "apply the change" if chosen else "report what drains"
    print_answers(answers, sentence, differences(answers), as_json=as_json, goal=goal)


def _wanted(
    outputs: Outputs, before: Sequence[ControlAnswer], chosen: Sequence[str], *, undo: bool, force: bool
) -> dict[str, tuple[str, ...]]:
    """What is to drain at each router that was read, by its URL. Raises CommandFailed if one of them would
    drain its last target."""
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
    return wanted


def _by_manager(
    layout: Layout, stack: str | None, chosen: Sequence[str], *, undo: bool, force: bool, quiet: bool
) -> None:
    """Change it by the manager, if one answers. quiet: with JSON alone. Raises CommandFailed with the reason
    of a refusal."""
    try:
        manager = find(layout, stack, os.environ)
        for target in chosen:
            manager.drain(target, undo=undo, force=force)
    except ManagerSilent as silent:
        if not quiet:
            click.echo(f"{silent.message.rstrip('.')}. The routers are asked directly.", err=True)
        return
    if not undo and not quiet and sys.stderr.isatty():
        with showing(f"drain {', '.join(chosen)}") as shown:
            follow(manager, chosen, shown)


def _directly(
    outputs: Outputs, before: Sequence[ControlAnswer], wanted: dict[str, tuple[str, ...]]
) -> list[ControlAnswer]:
    """Change it at each router that was read."""

    def changed(answer: ControlAnswer) -> tuple[str, ...] | None:
        same = wanted[answer.url] == answer.draining and not answer.control.get("unread")
        return None if same else wanted[answer.url]

    return set_draining(outputs, before, changed)
