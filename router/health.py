"""What one target's evidence makes of it: one literal table, and the deadlines around it.

Rules
- A step is `(health, event, now) -> health`. Values are frozen; an event without a row raises and changes
  nothing.
- Probes and traffic are two witnesses. Probes decide `down` and its end; traffic decides `ejected`, time
  ends it.
- A cold answer is a sign of life, never a failure. `unknown` and `cold` serve at full weight.
- Whoever was out comes back through `easing`: its share grows in ten steps over `slow_start_s`.
- Ejection lasts `ejection_s` times the number of ejections, at most the cap; a deadline only ever moves
  later. A target that stays in for the cap's time after its last ejection is forgiven.
- `down` needs fresh probes. When all of them are stale nobody knows: the target eases in, and traffic judges
  it.
- `draining` is an order, not evidence: only `resume` ends it.

Time. `now` is unix seconds and an argument. Nothing here runs by itself: `settle` applies what time alone
does, whenever somebody looks. If the clock was set back, a deadline further away than the cap counts as over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from router.errors import IllegalEvent
from router.policy import Policy


class Status(StrEnum):
    """How a target stands."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    COLD = "cold"
    EASING = "easing"
    EJECTED = "ejected"
    DOWN = "down"
    DRAINING = "draining"


class Event(StrEnum):
    """What can happen to it."""

    UP = "probes up"
    DOWN = "probes down"
    STALE = "probes stale"
    COLD = "cold answer"
    SUCCESS = "success"
    EJECT = "failures"
    ENDED = "ejection over"
    EASED = "eased in"
    DRAIN = "drain"
    RESUME = "resume"


SERVING: Final = frozenset({Status.UNKNOWN, Status.HEALTHY, Status.COLD, Status.EASING})

_U, _H, _C = Status.UNKNOWN, Status.HEALTHY, Status.COLD
_E, _J, _D, _R = Status.EASING, Status.EJECTED, Status.DOWN, Status.DRAINING

TABLE: Final[dict[tuple[Status, Event], Status]] = {
    (_U, Event.UP): _H,
    (_U, Event.DOWN): _D,
    (_U, Event.STALE): _U,
    (_U, Event.COLD): _C,
    (_U, Event.SUCCESS): _H,
    (_U, Event.EJECT): _J,
    (_U, Event.DRAIN): _R,
    (_H, Event.UP): _H,
    (_H, Event.DOWN): _D,
    (_H, Event.STALE): _H,
    (_H, Event.COLD): _C,
    (_H, Event.SUCCESS): _H,
    (_H, Event.EJECT): _J,
    (_H, Event.DRAIN): _R,
    (_C, Event.UP): _H,
    (_C, Event.DOWN): _D,
    (_C, Event.STALE): _C,
    (_C, Event.COLD): _C,
    (_C, Event.SUCCESS): _H,
    (_C, Event.EJECT): _J,
    (_C, Event.DRAIN): _R,
    (_E, Event.UP): _E,
    (_E, Event.DOWN): _D,
    (_E, Event.STALE): _E,
    (_E, Event.COLD): _E,
    (_E, Event.SUCCESS): _E,
    (_E, Event.EJECT): _J,
    (_E, Event.EASED): _H,
    (_E, Event.DRAIN): _R,
    (_J, Event.UP): _J,
    (_J, Event.DOWN): _D,
    (_J, Event.STALE): _J,
    (_J, Event.COLD): _J,
    (_J, Event.SUCCESS): _J,
    (_J, Event.EJECT): _J,
    (_J, Event.ENDED): _E,
    (_J, Event.DRAIN): _R,
    (_D, Event.UP): _E,
    (_D, Event.DOWN): _D,
    (_D, Event.STALE): _E,
    (_D, Event.COLD): _D,
    (_D, Event.SUCCESS): _E,
    (_D, Event.EJECT): _D,
    (_D, Event.DRAIN): _R,
    (_R, Event.UP): _R,
    (_R, Event.DOWN): _R,
    (_R, Event.STALE): _R,
    (_R, Event.COLD): _R,
    (_R, Event.SUCCESS): _R,
    (_R, Event.EJECT): _R,
    (_R, Event.DRAIN): _R,
    (_R, Event.RESUME): _U,
}

# Ten steps from 10 % to 100 %: each adds a tenth, small enough to stop at.
_STEPS: Final = 10


@dataclass(frozen=True, slots=True)
class Health:
    """One target as this router sees it.

    since: when the status began. failures: consecutive failed attempts of our own traffic.
    ejections: how often it was ejected lately. ejected_until: absolute. probed_at: newest believed
    observation.
    """

    status: Status = Status.UNKNOWN
    since: float = 0.0
    reason: str = "no evidence yet"
    failures: int = 0
    ejections: int = 0
    ejected_until: float = 0.0
    probed_at: float = 0.0


def step(health: Health, event: Event, now: float, reason: str) -> Health:
    """Follow the table; entering a status notes when and why."""
    status = TABLE.get((health.status, event))
    if status is None:
        raise IllegalEvent(f"A target that is {health.status} cannot take the event {event!r}.")
    if status is health.status:
        return health
    return replace(health, status=status, since=now, reason=reason)


def settle(health: Health, now: float, policy: Policy) -> Health:
    """What time alone has done by now: ejections end, easing completes, old probes lose their say."""
    if health.status is Status.DOWN and now - max(health.probed_at, health.since) > policy.fresh_s:
        health = step(health, Event.STALE, now, "its probes are stale, so traffic tries it")
    if health.status is Status.EJECTED and not 0 < health.ejected_until - now <= policy.ejection_cap_s:
        health = replace(
            step(health, Event.ENDED, now, f"back after ejection {health.ejections}"), failures=0
        )
    if health.status is Status.EASING and now - health.since >= policy.slow_start_s:
        health = step(health, Event.EASED, now, "eased in")
    return health


def succeeded(health: Health, now: float, *, cold: bool) -> Health:
    """Traffic got a whole good reply."""
    if health.failures:
        health = replace(health, failures=0)
    if cold:
        return step(health, Event.COLD, now, "its last answer was a cold start")
    return step(health, Event.SUCCESS, now, "answers traffic")


def failed(
    health: Health, now: float, policy: Policy, *, why: str, decisive: bool, may_eject: bool
) -> Health:
    """An attempt failed. `decisive`: it did not even answer its free /health question, so once is enough."""
    failures = min(health.failures + 1, policy.failures)
    health = replace(health, failures=policy.failures if decisive else failures)
    if health.failures < policy.failures or not may_eject:
        return health
    if health.status in SERVING:
        forgiven = now - health.ejected_until > policy.ejection_cap_s
        health = replace(health, ejections=1 if forgiven else health.ejections + 1)
    if health.status in SERVING or health.status is Status.EJECTED:
        lasts = min(policy.ejection_s * health.ejections, policy.ejection_cap_s)
        health = replace(health, ejected_until=max(health.ejected_until, now + lasts))
    return step(health, Event.EJECT, now, f"{why} (ejection {health.ejections})")


def probed(health: Health, up: bool | None, at: float, now: float, reason: str) -> Health:
    """The vantages' merged verdict after new observations; None when they reach none."""
    health = replace(health, probed_at=max(health.probed_at, at))
    if up is None:
        return health
    health = step(health, Event.UP if up else Event.DOWN, now, reason)
    # Later vantages add to the reason though the status stays.
    return replace(health, reason=reason) if health.status is Status.DOWN else health


def share(health: Health, now: float, policy: Policy) -> float:
    """The part of its weight that a serving target gets: 1, or less while it eases in."""
    if health.status is not Status.EASING:
        return 1.0
    done = int(_STEPS * max(0.0, now - health.since) / policy.slow_start_s)
    return min(1 + done, _STEPS) / _STEPS
