"""The words between a plan and who obeys it: what may be done next, and what can have happened."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import StrEnum

from router.core.request.budget import Extra
from router.core.request.failures import GiveUp
from skyfleet.values import frozen


class Failure(StrEnum):
    """How an attempt ended without a reply that can be passed on."""

    NOT_SENT = "not-sent"
    FULL = "too-many-connections"  # our own limit; not sent either, and no fault of the target
    RESET = "reset"
    CUT = "cut"  # in the middle of a reply of which nothing has been passed on
    NO_ANSWER = "no-answer"
    TIMEOUT = "timeout"


class Worth(StrEnum):
    """What the head of a reply is worth.

    WHOLE and EVENTS are answers too: short enough to wait for the end, or beginning with the first event.
    AWAY was said before the agent, STRANGE by somebody else although the agent may have run: no answers.
    """

    ANSWER = "answer"
    WHOLE = "whole"
    EVENTS = "events"
    UNDONE = "undone"
    BROKEN = "broken"
    AWAY = "away"
    STRANGE = "strange"


@frozen
class Choice:
    """A target for one attempt. panic: it was not serving, but nobody else is left. warm: alive lately.
    resting: it throttles and has asked for a rest, but nobody else is left."""

    key: str
    repeatable: bool = False
    panic: bool = False
    warm: bool = True
    resting: bool = False

    @property
    def needed_only(self) -> bool:
        """Whether it is to be asked only where nothing else is on its way."""
        return self.panic or self.resting


@frozen
class Means:
    """What the plan asks of the outside.

    choose: a target beside the tried ones; None: there is none. afford: pay for one more attempt there, if
    the budget has as much.
    """

    choose: Callable[[Collection[str]], Choice | None]
    afford: Callable[[Choice, Extra], bool]


@frozen
class Try:
    """Send the request to this target. number: of the attempt, from 0. extra: why once more."""

    number: int
    choice: Choice
    extra: Extra | None = None


@frozen
class Ask:
    """Ask the /health of this attempt's target whether it lives."""

    number: int


@frozen
class Drop:
    """End this attempt: it has failed."""

    number: int
    failure: Failure


@frozen
class PassOn:
    """Give the caller the reply of this attempt and end the others."""

    number: int


Action = Try | Ask | Drop | PassOn | GiveUp
Actions = tuple[Action, ...]
