"""What one target's evidence makes of it: one literal table, and the deadlines around it.

Rules
- A step is `(health, event, now) -> health`. Values are frozen; an event without a row raises and changes
  nothing.
- Probes and traffic are two witnesses. Probes decide `down` and its end; traffic decides `ejected`, time
  ends it, and `degraded` (see `gray`), which serves with a share that is eased off in steps and back.
- A cold answer is a sign of life, never a failure. `unknown` and `cold` serve at full weight.
- A target that was out returns through `slow-start`: its share grows in ten steps over `slow_start_s`, or
  over a multiple of that, up to `slow_start_most`, when it was out several times lately. After an ejection,
  or when its probes went stale, one failed attempt ejects it again until its first good reply.
- Ejection lasts `ejection_s` times the number of ejections, at most the cap; a deadline only ever moves
  later. A target that stays in for the cap's time after it was out last is forgiven.
- Throttled is not failed: the target rests until the time it asked for, at most `rest_cap_s`, and how it
  stands does not change. A rest too only ever moves later.
- `down` needs fresh probes. When all of them are stale nobody knows: the target eases in, and traffic judges
  it.
- `draining` is an order, not evidence: only `resume` ends it.

Time. `now` is unix seconds and an argument. Nothing here runs by itself: `settle` applies what time alone
does, whenever somebody looks. A clock that never goes back suffices. If it was set back or forth, a deadline
further away than its cap counts as over, and so does what began more than `SKEW_S` in the future.
"""

from __future__ import annotations

import math
from dataclasses import replace
from enum import StrEnum
from typing import Final

from router.core.errors import IllegalEvent
from router.core.health import outlier
from router.core.health.outlier import Conclusion, Derating
from router.core.policy import SKEW_S, Policy
from skyfleet.values import frozen


class Status(StrEnum):
    """How a target stands."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    COLD = "cold"
    SLOW_START = "slow-start"
    DEGRADED = "degraded"
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
    DERATE = "worse than the others"
    RESTORE = "good again"
    ENDED = "ejection over"
    SLOW_START_OVER = "slow start over"
    DRAIN = "drain"
    RESUME = "resume"


SERVING: Final = frozenset({Status.UNKNOWN, Status.HEALTHY, Status.COLD, Status.SLOW_START, Status.DEGRADED})

_U, _H, _C, _G = Status.UNKNOWN, Status.HEALTHY, Status.COLD, Status.DEGRADED
_E, _J, _D, _R = Status.SLOW_START, Status.EJECTED, Status.DOWN, Status.DRAINING

TABLE: Final[dict[tuple[Status, Event], Status]] = {
    (_U, Event.UP): _H,
    (_U, Event.DOWN): _D,
    (_U, Event.STALE): _U,
    (_U, Event.COLD): _C,
    (_U, Event.SUCCESS): _H,
    (_U, Event.EJECT): _J,
    (_U, Event.DERATE): _G,
    (_U, Event.DRAIN): _R,
    (_H, Event.UP): _H,
    (_H, Event.DOWN): _D,
    (_H, Event.STALE): _H,
    (_H, Event.COLD): _C,
    (_H, Event.SUCCESS): _H,
    (_H, Event.EJECT): _J,
    (_H, Event.DERATE): _G,
    (_H, Event.DRAIN): _R,
    (_C, Event.UP): _H,
    (_C, Event.DOWN): _D,
    (_C, Event.STALE): _C,
    (_C, Event.COLD): _C,
    (_C, Event.SUCCESS): _H,
    (_C, Event.EJECT): _J,
    (_C, Event.DERATE): _G,
    (_C, Event.DRAIN): _R,
    (_E, Event.UP): _E,
    (_E, Event.DOWN): _D,
    (_E, Event.STALE): _E,
    (_E, Event.COLD): _E,
    (_E, Event.SUCCESS): _E,
    (_E, Event.EJECT): _J,
    (_E, Event.DERATE): _G,
    (_E, Event.SLOW_START_OVER): _H,
    (_E, Event.DRAIN): _R,
    (_G, Event.UP): _G,
    (_G, Event.DOWN): _D,
    (_G, Event.STALE): _G,
    (_G, Event.COLD): _G,
    (_G, Event.SUCCESS): _G,
    (_G, Event.EJECT): _J,
    (_G, Event.DERATE): _G,
    (_G, Event.RESTORE): _H,
    (_G, Event.DRAIN): _R,
    (_J, Event.UP): _J,
    (_J, Event.DOWN): _D,
    (_J, Event.STALE): _J,
    (_J, Event.COLD): _J,
    (_J, Event.SUCCESS): _J,
    (_J, Event.EJECT): _J,
    (_J, Event.DERATE): _J,
    (_J, Event.ENDED): _E,
    (_J, Event.DRAIN): _R,
    (_D, Event.UP): _E,
    (_D, Event.DOWN): _D,
    (_D, Event.STALE): _E,
    (_D, Event.COLD): _D,
    (_D, Event.SUCCESS): _E,
    (_D, Event.EJECT): _D,
    (_D, Event.DERATE): _D,
    (_D, Event.DRAIN): _R,
    (_R, Event.UP): _R,
    (_R, Event.DOWN): _R,
    (_R, Event.STALE): _R,
    (_R, Event.COLD): _R,
    (_R, Event.SUCCESS): _R,
    (_R, Event.EJECT): _R,
    (_R, Event.DERATE): _R,
    (_R, Event.DRAIN): _R,
    (_R, Event.RESUME): _U,
}

_BACK: Final = "getting its share back, was "
# Ten steps from 10 % to 100 %: each adds a tenth, small enough to stop at.
_STEPS: Final = 10


@frozen
class Health:
    """One target as this router sees it.

    since: when the status began. failures: consecutive failed attempts of our own traffic.
    ejections: how often it was ejected lately. ejected_until: absolute. probed_at: newest believed
    observation. outs: how often it was ejected or down lately. back_at: when it last came back from that.
    rests_until: absolute. level: how far it is, or was last, eased off.
    """

    status: Status = Status.UNKNOWN
    since: float = 0.0
    reason: str = "no evidence yet"
    failures: int = 0
    ejections: int = 0
    ejected_until: float = 0.0
    probed_at: float = 0.0
    flap_count: int = 0
    back_at: float = 0.0
    backoff_until: float = 0.0
    derating: Derating = outlier.FULL


def step(health: Health, event: Event, now: float, reason: str) -> Health:
    """Follow the table; entering a status notes when and why."""
    status = TABLE.get((health.status, event))
    if status is None:
        raise IllegalEvent(f"A target that is {health.status} cannot take the event {event!r}.")
    if status is health.status:
        return health
    back_at = now if status is Status.SLOW_START else health.back_at
    return replace(health, status=status, since=now, reason=reason, back_at=back_at)


def settle(health: Health, now: float, policy: Policy) -> Health:
    """What time alone has done by now: ejections end, easing completes, old probes lose their say."""
    trial = policy.failures - 1
    if health.backoff_until and not in_backoff(health, now, policy):
        health = replace(health, backoff_until=0.0)
    if health.status is Status.DOWN and not _since(probed_or_since(health), now, policy.fresh_s):
        health = step(health, Event.STALE, now, "its probes are stale, so traffic tries it")
        health = replace(health, failures=trial)
    if health.status is Status.EJECTED and not 0 < health.ejected_until - now <= policy.ejection_cap_s:
        health = step(health, Event.ENDED, now, f"back after ejection {health.ejections}")
        health = replace(health, failures=trial)
    if health.status is Status.SLOW_START and not _since(
        health.since, now, slow_start_length_s(health, policy)
    ):
        health = step(health, Event.SLOW_START_OVER, now, "slow start over")
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
    failures = policy.failures if decisive else min(health.failures + 1, policy.failures)
    if failures != health.failures:
        health = replace(health, failures=failures)
    if health.failures < policy.failures or not may_eject:
        return health
    if health.status in SERVING:
        forgiven = now - health.ejected_until > policy.ejection_cap_s
        health = replace(_out(health, now, policy), ejections=1 if forgiven else health.ejections + 1)
    if health.status in SERVING or health.status is Status.EJECTED:
        lasts = min(policy.ejection_s * health.ejections, policy.ejection_cap_s)
        until = _later(health.ejected_until, now + lasts, now, policy.ejection_cap_s)
        health = replace(health, ejected_until=until)
    return step(health, Event.EJECT, now, f"{why} (ejection {health.ejections})")


def back(health: Health, now: float) -> Health:
    """It answers again after a total outage, which was not its own fault: it need not wait for the end of its
    ejection, nor for its probes."""
    if health.status is Status.EJECTED:
        return replace(step(health, Event.ENDED, now, "answers again"), ejected_until=now, failures=0)
    if health.status is Status.DOWN:
        return step(health, Event.SUCCESS, now, "answers again")
    return health


def rate_limited(health: Health, now: float, policy: Policy, retry_after_s: float | None) -> Health:
    """It is at its limit. retry_after_s: how long it wants to be left alone, if it said so."""
    asked = retry_after_s if retry_after_s is not None and retry_after_s > 0 else policy.backoff_s
    until = _later(health.backoff_until, now + min(asked, policy.backoff_cap_s), now, policy.backoff_cap_s)
    return health if until == health.backoff_until else replace(health, backoff_until=until)


def probed(health: Health, up: bool | None, at: float, now: float, policy: Policy, reason: str) -> Health:
    """The checkers' merged verdict after new observations; None when they reach none."""
    known = health.probed_at if health.probed_at <= now + SKEW_S else 0.0
    health = replace(health, probed_at=max(known, at))
    if up is None:
        return health
    if not up and health.status in SERVING:
        health = _out(health, now, policy)
    health = step(health, Event.UP if up else Event.DOWN, now, reason)
    # Later checkers add to the reason though the status stays.
    return replace(health, reason=reason) if health.status is Status.DOWN else health


def derated(health: Health, verdict: Conclusion, now: float, policy: Policy, why: str) -> Health:
    """What the tests of `gray` say of a serving target; the very same health if it is no time for a step."""
    if health.status is not Status.DEGRADED:
        if verdict is not Conclusion.BAD:
            return health
        derating = outlier.first_step(health.derating, share(health, now, policy), now, policy)
        return replace(step(health, Event.DERATE, now, why), derating=derating)
    derating = outlier.next_step(health.derating, verdict, now, policy)
    if derating is health.derating:
        return health
    was = _BACK + health.reason.removeprefix(_BACK)
    health = replace(health, derating=derating, reason=why if verdict is Conclusion.BAD else was)
    return health if derating.steps else step(health, Event.RESTORE, now, "as good as the others again")


def in_backoff(health: Health, now: float, policy: Policy) -> bool:
    """Whether it asked to be left alone for now."""
    return 0 < health.backoff_until - now <= policy.backoff_cap_s


def share(health: Health, now: float, policy: Policy) -> float:
    """The part of its weight that a serving target gets: 1, or less while it eases in or is eased off."""
    if health.status is Status.DEGRADED:
        return outlier.share(health.derating, policy)
    if health.status is not Status.SLOW_START:
        return 1.0
    done = int(_STEPS * max(0.0, now - health.since) / slow_start_length_s(health, policy))
    return min(1 + done, _STEPS) / _STEPS


def changes_at(health: Health, now: float, policy: Policy) -> float:
    """When time alone next changes what this target may get; inf if never. It is to be settled first."""
    ends = [health.backoff_until] if in_backoff(health, now, policy) else []
    if health.status is Status.EJECTED:
        ends.append(health.ejected_until)
    elif health.status is Status.DOWN:
        ends.append(probed_or_since(health) + policy.fresh_s)
    elif health.status is Status.SLOW_START:
        lasts = slow_start_length_s(health, policy)
        done = int(_STEPS * max(0.0, now - health.since) / lasts)
        ends.append(health.since + lasts * (done + 1) / _STEPS)
    # Not before the next tick of a clock in floats, or somebody would wait for a moment that is now.
    return max(min(ends), math.nextafter(now, math.inf)) if ends else math.inf


def slow_start_length_s(health: Health, policy: Policy) -> float:
    """How long it eases in, after as many times out."""
    return policy.slow_start_s * max(1, min(health.flap_count, policy.slow_start_most))


def probed_or_since(health: Health) -> float:
    """When a target that is down was last known to be."""
    return max(health.probed_at, health.since)


def _out(health: Health, now: float, policy: Policy) -> Health:
    """It goes out once more; who was in for long starts anew."""
    forgiven = now - health.back_at > policy.ejection_cap_s
    return replace(health, flap_count=1 if forgiven else health.flap_count + 1)


def _since(began: float, now: float, lasts: float) -> bool:
    """Whether what began then still lasts; not if it is to begin in the future, as after a clock was set."""
    return -SKEW_S <= now - began < lasts


def _later(known: float, new: float, now: float, cap: float) -> float:
    """The later of two deadlines, unless the known one is further away than any can be."""
    return max(known, new) if known - now <= cap else new
