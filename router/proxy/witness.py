"""What an attempt tells for which nobody waits any more: it was overtaken, or its caller's patience is over.

Rules
- It tells how long it had taken, if that is longer than was expected of its target.
- If it has shown nothing, or no more than the beginning of a small reply or of a stream's first event, the
  target's free /health is asked for nobody in particular; meanwhile others avoid it, and silence puts it out.
  So callers who give up before a stall is noticed still teach.
- A caller who gives up after three times the learned delay makes that an error of the target for
  `router.core.health.outlier`, which compares it with the others: a target that answers /health and swallows
  requests is eased off for it, and none is ejected for impatient callers. Sooner it says nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from router.core.balance.balancer import Balancer
from router.core.health.fleet import Outcome
from router.proxy.context import Plane

if TYPE_CHECKING:
    from router.proxy.attempt import Attempt

_TIMES: Final = 3.0
# Between continents no reply begins sooner.
_LEAST_S: Final = 0.05


def lost_to_hedge(plane: Plane, attempt: Attempt) -> None:
    """A later attempt gave the first event."""
    if attempt.outlasted():
        _suspect(plane, attempt)


def given_up(plane: Plane, attempts: Iterable[Attempt], now: float) -> None:
    """The caller left, or its deadline came, before any reply was passed on. now: in ticks."""
    delay = plane.balancer.hedge_delay_s()
    for attempt in attempts:
        elapsed = now - attempt.started
        if (attempt.status and not attempt.awaited) or elapsed < _LEAST_S:
            continue
        if delay is not None and elapsed > _TIMES * delay and attempt.outlasted():
            attempt.record(Outcome.LATE)
        _suspect(plane, attempt)


def _suspect(plane: Plane, attempt: Attempt) -> None:
    policy = plane.balancer.policy
    patience_s = policy.ask_timeout_s if attempt.choice.warm else policy.cold_timeout_s
    plane.prober.suspect(plane.balancer.targets[attempt.key], patience_s, partial(_dead, plane.balancer))


def _dead(balancer: Balancer, key: str) -> None:
    balancer.record(key, Outcome.SILENT, "gave neither a reply in time nor an answer to /health")
