"""Decide which targets drain after `skyfleet drain`, and say what drains.

Rules
- Pure. A target is named by its key `cloud/region`; the name of a cloud stands for all its targets.
- Keys of targets that are no longer deployed are dropped: a router refuses a list with an unknown key.
- Draining the last target takes --force: with no other target the routers send to draining ones all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import click

from infra.operations.routers.control import ControlAnswer, validity
from infra.operations.suggest import suggestion


def select(names: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """Keys of the targets that `names` stand for, in the order of `known`; UsageError for an unknown name."""
    clouds = list(dict.fromkeys(key.partition("/")[0] for key in known))
    chosen: set[str] = set()
    for name in names:
        found = [key for key in known if name in (key, key.partition("/")[0])]
        if not found:
            hint = suggestion(name, (*known, *clouds))
            raise click.UsageError(f"unknown target {name!r}.{hint} Known: {', '.join((*clouds, *known))}.")
        chosen.update(found)
    return tuple(key for key in known if key in chosen)


def desired(
    before: Collection[str], chosen: Collection[str], known: Sequence[str], *, undo: bool
) -> tuple[str, ...]:
    """The targets that drain after the command, in the order of `known`."""
    if undo:
        return tuple(key for key in known if key in before and key not in chosen)
    return tuple(key for key in known if key in before or key in chosen)


def drains_last(before: Collection[str], wanted: Collection[str], known: Collection[str]) -> bool:
    """Whether a change from `before` to `wanted` drains the last target that still got requests."""
    return set(wanted) >= set(known) and not set(before) >= set(known)


def sentence(answer: ControlAnswer) -> str:
    """What drains at one router, in one line."""
    if answer.problem:
        return f"{answer.name}: {answer.problem}"
    keys = ", ".join(answer.draining)
    return f"{answer.name}: {f'draining {keys}' if keys else 'no target is draining'}{validity(answer)}"


def differences(answers: Iterable[ControlAnswer]) -> str:
    """A line that says that the routers drain different targets; empty when they agree."""
    return draining_differences(answer.draining for answer in answers if not answer.problem)


def draining_differences(draining: Iterable[Collection[str]]) -> str:
    """The same, from the keys of each router's draining targets."""
    if len({frozenset(keys) for keys in draining}) < 2:
        return ""
    return (
        "The routers differ. `skyfleet drain TARGET`, with or without --undo, sets a target at all of them."
    )
