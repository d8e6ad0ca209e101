"""What `RequestMachine` is given at the start, and the actions that it asks of its driver."""

from __future__ import annotations

import math
from enum import StrEnum

from router.core.policy import Policy
from router.core.request.budget import AttemptReason
from router.core.request.failures import AttemptError, Fail
from router.core.targets import Choice
from skyfleet.values import frozen


@frozen
class RequestLimits:
    """What is settled when a request begins. Times are seconds of one monotonic clock.

    budget: at most so many attempts that may have executed. started, deadline: absolute; the deadline is for
    the begin of a reply. client_deadline: absolute, for its end; infinite: the client set none. repeatable:
    the request says that a repeat is harmless. parallel: attempts at once. hedge_after_s: when a lone attempt
    is hedged; infinite: never. retries_only: repeatable by an Idempotency-Key, which allows no hedge.
    """

    policy: Policy
    budget: int
    started: float
    deadline: float
    repeatable: bool
    parallel: int = 1
    hedge_after_s: float = math.inf
    retries_only: bool = False
    client_deadline: float = math.inf


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


@frozen
class Abort:
    """End a reply that has begun with an error. as_event: in an event of its stream; otherwise by closing."""

    code: str
    text: str
    as_event: bool


Action = Pick | Charge | Send | Probe | Cancel | Abandon | Forward | Queue | Abort | Fail
Actions = tuple[Action, ...]
