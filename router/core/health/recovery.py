"""How a successful health check ends the absence of a target, and when this router checks one that is out.

Rules
- A target that is out returns at a successful check, as in Envoy
  (`successful_active_health_check_uneject_host` of its outlier detection, by default true). The check is one
  of this router, or one that the checkers agree on. It is newer than the absence and than the last failed
  check of this router.
- After silence (refused, reset, no reply) the check shows what was missing: the target serves again, in slow
  start from six tenths of its share. After a cold start it begins with the smallest share, since its
  sandboxes are gone.
- After errors it does not, since `/health` may be fine all the while: the target is on trial. It has the
  smallest share until `h.TRIAL` good replies in a row. If a check failed meanwhile, `/health` failed together
  with the requests, and the absence counts as silence.
- One failed attempt ejects a target on trial, and one that returned after silence until its first success.
- Flapping is bounded. A check counts once the absence has lasted `hold_s`, which grows with each absence:
  0, 1, 3, 7 s and so on after silence. After errors it is half of the ejection.
- This router checks a target that is out at once, and then at pauses of a 32nd of its absence. That is
  ten times a second in the first three seconds, and never less often than each `PAUSE_MOST_S`. After errors,
  once a check has succeeded, it is once a second until a check counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from router.core.health import machine as h
from router.core.health.machine import Event, Health, Status
from router.core.policy import EJECTION_CAP_S, Policy

PAUSE_LEAST_S: Final = 0.1
PAUSE_MOST_S: Final = 5.0
PAUSE_FINE_S: Final = 1.0
_PAUSE_PART: Final = 1 / 32


def answered(health: Health, at: float, now: float, policy: Policy, *, cold: bool = False) -> Health:
    """A check of a target succeeded. at: when (unix s). cold: it met a cold start. The same object if that
    ends no absence."""
    if health.status not in h.OUT or at < max(health.out_at, health.unanswered_at):
        return health
    if now < health.out_at + hold_s(health, policy):
        return health
    ejected = health.status is Status.EJECTED
    trial = h.TRIAL if ejected and health.errors else 1
    why = "on trial: answers its health checks again" if trial > 1 else "answers its health checks again"
    back = h.step(health, Event.ENDED if ejected else Event.UP, now, why)
    until = now if ejected else health.ejected_until
    return replace(
        back, ejected_until=until, failures=h.FAILURES - 1, trial=trial, checked=trial == 1 and not cold
    )


def unanswered(health: Health, now: float) -> Health:
    """A check of this router failed."""
    return replace(health, unanswered_at=now, errors=False) if health.status in h.OUT else health


def hold_s(health: Health, policy: Policy) -> float:
    """How long the absence lasts at least (s), whatever checks say."""
    if health.status is Status.EJECTED and health.errors:
        return min(policy.ejection_s * health.ejections, EJECTION_CAP_S) / 2
    return min(2.0 ** min(health.flap_count - 1, 9) - 1, EJECTION_CAP_S)


def pause_s(since: float, now: float) -> float:
    """The pause until this router's next check of a target (s). since: when it went out or became slow."""
    return min(max(PAUSE_LEAST_S, (now - since) * _PAUSE_PART), PAUSE_MOST_S)


def absence_pause_s(health: Health, answered_at: float, now: float, policy: Policy) -> float:
    """The same for a target that is out. answered_at: its last answer to this router's checks (unix s)."""
    pause = pause_s(health.out_at, now)
    if health.status is Status.EJECTED and health.errors and answered_at >= health.out_at:
        return max(pause, min(health.out_at + hold_s(health, policy) - now, PAUSE_FINE_S))
    return pause
