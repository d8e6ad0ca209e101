"""Health of one target: a literal transition table, and the deadlines around it.

Rules
- A step is `(health, event, now) -> health`. Values are frozen; an event without a row raises and changes
  nothing.
- Active and passive health checks are separate evidence. Probes decide `down` and its end. Own traffic
  decides `ejected`, which time ends, and `degraded`: the target serves with a derated share
  (`router.core.health.outlier`).
- A cold start is a sign of life, never a failure. `unknown` and `cold` serve at full weight.
- A target that was out returns through `slow-start`: its share grows in ten steps over `slow_start_s`, or
  over a multiple of that, up to `SLOW_START_MOST`, when it was out several times lately. After an ejection,
  or when its probes went stale, one failed attempt ejects it again until its first success.
- Ejection lasts `ejection_s` times the number of ejections, at most `EJECTION_CAP_S`. The count starts again
  at 1 for a target that served for the cap's time since it was out last. A successful check may end an
  absence sooner (`router.core.health.recovery`).
- All failures of one absence are one ejection: a failure while the target is out changes nothing, nor does
  that of an attempt that was sent before its return (`router.core.balance.state`).
- Rate-limited is not failed: the target is in backoff for its Retry-After, at most `BACKOFF_CAP_S`, and its
  status does not change. The end of a backoff only moves later, too.
- `down` needs fresh probes. When all of them are stale, the target enters slow start, and traffic decides.
- `draining` is an order of the control document, not evidence: only `resume` ends it.

Time. `now` is unix seconds and an argument. `settle` applies what time alone changes; each reader calls it
first. After a change of the clock, a deadline further away than its cap counts as over, and so does what
began more than `SKEW_S` in the future.
"""

from __future__ import annotations

import math
from dataclasses import replace
from enum import StrEnum
from typing import Final

from router.core.errors import IllegalEvent
from router.core.health import outlier
from router.core.health.outlier import Conclusion, Derating
from router.core.policy import EJECTION_CAP_S, SKEW_S, Policy
from skyfleet.values import frozen


class Status(StrEnum):
    """The health of a target."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    COLD = "cold"
    SLOW_START = "slow-start"
    DEGRADED = "degraded"
    EJECTED = "ejected"
    DOWN = "down"
    DRAINING = "draining"


class Event(StrEnum):
    """What changes the status of a target."""

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


OUT: Final = frozenset({Status.EJECTED, Status.DOWN})
SERVING: Final = frozenset({Status.UNKNOWN, Status.HEALTHY, Status.COLD, Status.SLOW_START, Status.DEGRADED})

TABLE: Final[dict[tuple[Status, Event], Status]] = {
    (Status.UNKNOWN, Event.UP): Status.HEALTHY,
    (Status.UNKNOWN, Event.DOWN): Status.DOWN,
    (Status.UNKNOWN, Event.STALE): Status.UNKNOWN,
    (Status.UNKNOWN, Event.COLD): Status.COLD,
    (Status.UNKNOWN, Event.SUCCESS): Status.HEALTHY,
    (Status.UNKNOWN, Event.EJECT): Status.EJECTED,
    (Status.UNKNOWN, Event.DERATE): Status.DEGRADED,
    (Status.UNKNOWN, Event.DRAIN): Status.DRAINING,
    (Status.HEALTHY, Event.UP): Status.HEALTHY,
    (Status.HEALTHY, Event.DOWN): Status.DOWN,
    (Status.HEALTHY, Event.STALE): Status.HEALTHY,
    (Status.HEALTHY, Event.COLD): Status.COLD,
    (Status.HEALTHY, Event.SUCCESS): Status.HEALTHY,
    (Status.HEALTHY, Event.EJECT): Status.EJECTED,
    (Status.HEALTHY, Event.DERATE): Status.DEGRADED,
    (Status.HEALTHY, Event.DRAIN): Status.DRAINING,
    (Status.COLD, Event.UP): Status.HEALTHY,
    (Status.COLD, Event.DOWN): Status.DOWN,
    (Status.COLD, Event.STALE): Status.COLD,
    (Status.COLD, Event.COLD): Status.COLD,
    (Status.COLD, Event.SUCCESS): Status.HEALTHY,
    (Status.COLD, Event.EJECT): Status.EJECTED,
    (Status.COLD, Event.DERATE): Status.DEGRADED,
    (Status.COLD, Event.DRAIN): Status.DRAINING,
    (Status.SLOW_START, Event.UP): Status.SLOW_START,
    (Status.SLOW_START, Event.DOWN): Status.DOWN,
    (Status.SLOW_START, Event.STALE): Status.SLOW_START,
    (Status.SLOW_START, Event.COLD): Status.SLOW_START,
    (Status.SLOW_START, Event.SUCCESS): Status.SLOW_START,
    (Status.SLOW_START, Event.EJECT): Status.EJECTED,
    (Status.SLOW_START, Event.DERATE): Status.DEGRADED,
    (Status.SLOW_START, Event.SLOW_START_OVER): Status.HEALTHY,
    (Status.SLOW_START, Event.DRAIN): Status.DRAINING,
    (Status.DEGRADED, Event.UP): Status.DEGRADED,
    (Status.DEGRADED, Event.DOWN): Status.DOWN,
    (Status.DEGRADED, Event.STALE): Status.DEGRADED,
    (Status.DEGRADED, Event.COLD): Status.DEGRADED,
    (Status.DEGRADED, Event.SUCCESS): Status.DEGRADED,
    (Status.DEGRADED, Event.EJECT): Status.EJECTED,
    (Status.DEGRADED, Event.DERATE): Status.DEGRADED,
    (Status.DEGRADED, Event.RESTORE): Status.HEALTHY,
    (Status.DEGRADED, Event.DRAIN): Status.DRAINING,
    (Status.EJECTED, Event.UP): Status.EJECTED,
    (Status.EJECTED, Event.DOWN): Status.DOWN,
    (Status.EJECTED, Event.STALE): Status.EJECTED,
    (Status.EJECTED, Event.COLD): Status.EJECTED,
    (Status.EJECTED, Event.SUCCESS): Status.EJECTED,
    (Status.EJECTED, Event.EJECT): Status.EJECTED,
    (Status.EJECTED, Event.DERATE): Status.EJECTED,
    (Status.EJECTED, Event.ENDED): Status.SLOW_START,
    (Status.EJECTED, Event.DRAIN): Status.DRAINING,
    (Status.DOWN, Event.UP): Status.SLOW_START,
    (Status.DOWN, Event.DOWN): Status.DOWN,
    (Status.DOWN, Event.STALE): Status.SLOW_START,
    (Status.DOWN, Event.COLD): Status.DOWN,
    (Status.DOWN, Event.SUCCESS): Status.SLOW_START,
    (Status.DOWN, Event.EJECT): Status.DOWN,
    (Status.DOWN, Event.DERATE): Status.DOWN,
    (Status.DOWN, Event.DRAIN): Status.DRAINING,
    (Status.DRAINING, Event.UP): Status.DRAINING,
    (Status.DRAINING, Event.DOWN): Status.DRAINING,
    (Status.DRAINING, Event.STALE): Status.DRAINING,
    (Status.DRAINING, Event.COLD): Status.DRAINING,
    (Status.DRAINING, Event.SUCCESS): Status.DRAINING,
    (Status.DRAINING, Event.EJECT): Status.DRAINING,
    (Status.DRAINING, Event.DERATE): Status.DRAINING,
    (Status.DRAINING, Event.DRAIN): Status.DRAINING,
    (Status.DRAINING, Event.RESUME): Status.UNKNOWN,
}

# Failed attempts in a row before ejection; Envoy waits for 5, but has more hosts to lose them to
# (docs/benchmarks/plots/failures.svg).
FAILURES: Final = 3
# Good replies in a row that end a trial: a target with a third of errors passes one of five.
TRIAL: Final = 4
# Backoff of a target that sends no Retry-After. A full one still takes most requests, so a longer backoff
# drives the others into their own limits (docs/benchmarks/plots/backoff.svg).
BACKOFF_S: Final = 0.1
# A Retry-After of a year is a mistake; a minute later one more request finds out.
BACKOFF_CAP_S: Final = 60.0
# Repeated slow starts take up to three times as long: longer than most flapping, and bounded.
# See docs/benchmarks/plots/slow-start-most.svg.
SLOW_START_MOST: Final = 3
_BACK: Final = "getting its share back, was "
# Ten steps from 10 % to 100 %: each adds a tenth, small enough to stop at.
_STEPS: Final = 10
# Where slow start begins after a successful check: the check is evidence, which the end of a time is not.
_CHECKED_STEP: Final = 6


@frozen
class Health:
    """The health of one target. Times are unix seconds.

    since: when the status began. failures: failed attempts in a row. errors: of these, some were bad
    replies, not silence. ejections: how often it was ejected lately. probed_at: the newest believable probe.
    flap_count: how often it was ejected or down lately. out_at, back_at: when it was last put out, and when
    it returned from that. unanswered_at: the last failed check of this router while it was out. trial: how
    many good replies in a row it still owes. checked: a successful check ended its absence. limited_at: when
    it asked for its backoff; 0 if it said no time. derating: the current or last one.
    """

    status: Status = Status.UNKNOWN
    since: float = 0.0
    reason: str = "no evidence yet"
    failures: int = 0
    errors: bool = False
    ejections: int = 0
    ejected_until: float = 0.0
    probed_at: float = 0.0
    flap_count: int = 0
    out_at: float = 0.0
    back_at: float = 0.0
    unanswered_at: float = 0.0
    trial: int = 0
    checked: bool = False
    backoff_until: float = 0.0
    limited_at: float = 0.0
    derating: Derating = outlier.FULL


def step(health: Health, event: Event, now: float, reason: str) -> Health:
    """Follow the table; entering a status notes when and why."""
    status = TABLE.get((health.status, event))
    if status is None:
        raise IllegalEvent(f"A target that is {health.status} cannot take the event {event!r}.")
    if status is health.status:
        return health
    if status is Status.SLOW_START:
        # The failures before its absence are over, but for one more that ejects it again.
        health = replace(health, back_at=now, failures=min(health.failures, FAILURES - 1))
    return replace(health, status=status, since=now, reason=reason)


def settle(health: Health, now: float, policy: Policy) -> Health:
    """Apply what time alone changes: ends of ejections, slow starts and backoffs, and stale probes.

    A status begins when its cause came, not at this call: so the result does not depend on how often a fleet
    without traffic is looked at."""
    trial = FAILURES - 1
    if health.backoff_until and not in_backoff(health, now):
        health = replace(health, backoff_until=0.0)
    if health.status is Status.DOWN and not _since(probed_or_since(health), now, policy.fresh_s):
        stale_at = min(now, probed_or_since(health) + policy.fresh_s)
        health = step(health, Event.STALE, stale_at, "its probes are stale, so traffic tries it")
        health = replace(health, failures=trial)
    if health.status is Status.EJECTED and not 0 < health.ejected_until - now <= EJECTION_CAP_S:
        ended_at = min(now, health.ejected_until)
        health = step(health, Event.ENDED, ended_at, f"back after ejection {health.ejections}")
        health = replace(health, failures=trial, trial=TRIAL if health.errors else 1)
    if health.status is Status.SLOW_START and not _since(
        health.since, now, slow_start_length_s(health, policy)
    ):
        health = step(health, Event.SLOW_START_OVER, now, "slow start over")
    return health


def succeeded(health: Health, now: float, *, cold: bool) -> Health:
    """An attempt got a whole good reply."""
    if health.trial > 1:
        health = replace(health, trial=health.trial - 1)
    elif health.failures:
        health = replace(health, failures=0, trial=0)
    if cold:
        return step(health, Event.COLD, now, "its last answer was a cold start")
    return step(health, Event.SUCCESS, now, "answers traffic")


def failed(
    health: Health,
    now: float,
    policy: Policy,
    *,
    why: str,
    decisive: bool,
    may_eject: bool,
    silent: bool = False,
) -> Health:
    """An attempt failed. decisive: its probe failed, too, so one failure is enough. silent: no part of a
    reply came."""
    if health.status in OUT:
        return health
    failures = FAILURES if decisive else min(health.failures + 1, FAILURES)
    errors = not decisive and (not silent or (health.errors and health.failures > 0))
    if failures != health.failures or errors is not health.errors:
        health = replace(health, failures=failures, errors=errors)
    if failures < FAILURES or not may_eject:
        return health
    if health.status in SERVING:
        forgiven = now - health.ejected_until > EJECTION_CAP_S
        ejections = 1 if forgiven else health.ejections + 1
        until = now + min(policy.ejection_s * ejections, EJECTION_CAP_S)
        until = _later(health.ejected_until, until, now, EJECTION_CAP_S)
        health = replace(_out(health, now), ejections=ejections, ejected_until=until)
    return step(health, Event.EJECT, now, f"{why} (ejection {health.ejections})")


def back(health: Health, now: float) -> Health:
    """The target answers again while no target served: it returns before its ejection or its probes end
    that."""
    if health.status is Status.EJECTED:
        return replace(step(health, Event.ENDED, now, "answers again"), ejected_until=now, failures=0)
    if health.status is Status.DOWN:
        return step(health, Event.SUCCESS, now, "answers again")
    return health


def rate_limited(health: Health, now: float, retry_after_s: float | None) -> Health:
    """The target is at its limit. retry_after_s: the backoff that it asked for, if any."""
    said = retry_after_s or 0.0
    asked = said if said > 0 else BACKOFF_S
    until = _later(health.backoff_until, now + min(asked, BACKOFF_CAP_S), now, BACKOFF_CAP_S)
    return replace(health, backoff_until=until, limited_at=now if said > 0 else 0.0)


def probed(
    health: Health, up: bool | None, at: float, now: float, reason: str, *, cold: bool = False
) -> Health:
    """The checkers' merged verdict after new results; None when they reach none. cold: the newest result met
    a cold start."""
    known = health.probed_at if health.probed_at <= now + SKEW_S else 0.0
    health = replace(health, probed_at=max(known, at))
    if up is None:
        return health
    if not up and health.status in SERVING:
        health = _out(health, now)
    if up and health.status is Status.DOWN:
        health = replace(health, checked=not cold)
    health = step(health, Event.UP if up else Event.DOWN, now, reason)
    # Further checkers add to the reason while the status stays.
    return replace(health, reason=reason) if health.status is Status.DOWN else health


def derated(health: Health, conclusion: Conclusion, now: float, policy: Policy, why: str) -> Health:
    """Apply what outlier detection concludes of a serving target; the same object if no step is due."""
    if health.status is not Status.DEGRADED:
        if conclusion is not Conclusion.BAD:
            return health
        derating = outlier.first_step(health.derating, share(health, now, policy), now)
        return replace(step(health, Event.DERATE, now, why), derating=derating)
    derating = outlier.next_step(health.derating, conclusion, now)
    if derating is health.derating:
        return health
    was = _BACK + health.reason.removeprefix(_BACK)
    health = replace(health, derating=derating, reason=why if conclusion is Conclusion.BAD else was)
    return health if derating.steps else step(health, Event.RESTORE, now, "as good as the others again")


def in_backoff(health: Health, now: float) -> bool:
    """Whether the target is in backoff now."""
    return 0 < health.backoff_until - now <= BACKOFF_CAP_S


def share(health: Health, now: float, policy: Policy) -> float:
    """The fraction of its weight that health allows: 1, or less in slow start or while derated."""
    if health.status is Status.DEGRADED:
        return outlier.share(health.derating)
    if health.status is not Status.SLOW_START:
        return 1.0
    if health.trial > 1:
        return 1 / _STEPS
    done = int(_STEPS * max(0.0, now - health.since) / slow_start_length_s(health, policy))
    return min(max(1 + done, _CHECKED_STEP if health.checked else 1), _STEPS) / _STEPS


def changes_at(health: Health, now: float, policy: Policy) -> float:
    """When time alone next changes the share or tier of a settled target (unix s); inf if never."""
    ends = [health.backoff_until] if in_backoff(health, now) else []
    if health.status is Status.EJECTED:
        ends.append(health.ejected_until)
    elif health.status is Status.DOWN:
        ends.append(probed_or_since(health) + policy.fresh_s)
    elif health.status is Status.SLOW_START:
        lasts = slow_start_length_s(health, policy)
        done = int(_STEPS * max(0.0, now - health.since) / lasts)
        ends.append(health.since + lasts * (done + 1) / _STEPS)
    # After `now` by at least the smallest step of a float, so that no caller waits for the current moment.
    return max(min(ends), math.nextafter(now, math.inf)) if ends else math.inf


def slow_start_length_s(health: Health, policy: Policy) -> float:
    """The length of slow start, in proportion to the flap count."""
    return policy.slow_start_s * max(1, min(health.flap_count, SLOW_START_MOST))


def probed_or_since(health: Health) -> float:
    """When a probe last reported a target that is down."""
    return max(health.probed_at, health.since)


def _out(health: Health, now: float) -> Health:
    """Count that the target goes out; the count starts again at 1 after the cap's time of serving."""
    forgiven = now - health.back_at > EJECTION_CAP_S
    count = 1 if forgiven else health.flap_count + 1
    return replace(health, flap_count=count, out_at=now, trial=0, checked=False)


def _since(began: float, now: float, lasts: float) -> bool:
    """Whether a period still lasts; not if it begins in the future, as after a change of the clock."""
    return -SKEW_S <= now - began < lasts


def _later(known: float, new: float, now: float, cap: float) -> float:
    """The later of two deadlines, unless the known one is further away than any can be."""
    return max(known, new) if known - now <= cap else new
