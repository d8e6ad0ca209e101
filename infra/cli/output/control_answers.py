"""Print what routers answered about their control documents, and fail when one of them did not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import click

from infra.operations.errors import CommandFailed
from infra.operations.routers.control import ControlAnswer


def print_answers(
    answers: Sequence[ControlAnswer],
    sentence: Callable[[ControlAnswer], str],
    differences: str,
    *,
    as_json: bool,
    goal: str,
) -> None:
    """One line for each router, then how they differ, if they do.

    goal: what each router was to do, for the message. Raises CommandFailed when a router gave no answer.
    """
    if as_json:
        click.echo(json.dumps([answer.as_json for answer in answers], indent=2))
    else:
        for answer in answers:
            click.echo(sentence(answer))
        if differences:
            click.echo(differences)
    missing = sum(bool(answer.problem) for answer in answers)
    if missing or not answers:
        raise CommandFailed(
            f"{missing} of {len(answers)} routers did not {goal}; the reasons are above. "
            "Run it again when they are solved."
        )
