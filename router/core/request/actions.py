"""The actions that `RequestMachine` asks of its driver."""

from __future__ import annotations

from enum import StrEnum

from router.core.request.budget import AttemptReason
from router.core.request.failures import AttemptError, Fail
from router.core.targets import Choice
from skyfleet.values import frozen


class Abandoned(StrEnum):
    """Why an attempt that has not failed is closed."""

    OUTRUN = "outrun"  # by a hedge
    CLIENT_GONE = "client-gone"  # it left, or its deadline came
    UNUSED = "unused"


@frozen
class Pick:
    """Choose a target and answer with `on_pick`. excluded: keys of targets that must not be chosen."""

    excluded: tuple[str, ...]


@frozen
class Charge:
    """Charge the budgets with one more attempt, if they allow it, and answer with `on_charge`."""

    choice: Choice
    reason: AttemptReason


@frozen
class MarkSlow:
    """Count this attempt as slow: a hedge is sent for it."""

    number: int


@frozen
class Send:
    """Send the request to this target. number: of the attempt. reason: None for the first of a round."""

    number: int
    choice: Choice
    reason: AttemptReason | None = None


@frozen
class Probe:
    """Probe /health of this attempt's target; answer with `on_probe_ok` or `on_probe_failed`."""

    number: int


@frozen
class Cancel:
    """Close this attempt: it has failed."""

    number: int
    error: AttemptError
    why: str


@frozen
class Abandon:
    """Close this attempt, which has not failed."""

    number: int
    why: Abandoned


@frozen
class Forward:
    """Give the client the reply of this attempt. resumed: it continues a stream; its head is not sent."""

    number: int
    resumed: bool = False


class Queue:
    """Wait for a target to come back; `on_retry_round` ends the wait, or `on_time`."""

    __slots__ = ()


class Ping:
    """Give the client of a silent event stream a comment (`skyfleet.sse.PING`)."""

    __slots__ = ()


@frozen
class Abort:
    """End a reply that has begun with an error. as_event: in an event of its stream; otherwise by closing."""

    code: str
    text: str
    as_event: bool


Action = Pick | Charge | MarkSlow | Send | Probe | Cancel | Abandon | Forward | Queue | Ping | Abort | Fail
Actions = tuple[Action, ...]
