"""When a serving target has become slow, and how its /health shows that this is over.

Rules
- A target is slow while its expected latency is over `SLOWED_TIMES` its usual one, by `SLOWED_BY_MS` or more.
- This router times health checks of a slow target, at the pauses at which it checks one that is out
  (`router.core.health.recovery`). They show nothing where only requests are slow. Where the whole target is
  slow (no processor time, a blocked event loop, a bad path), its /health is, too.
- A check that takes less than a third of the fastest of the `LEAST_CHECKS` or more before it shows that the
  slowness is over. So no usual time of /health is needed, and a target whose /health was fast all along gives
  no such sign. A difference below `SLOWED_BY_MS` is none.
- The sign is worth three fast replies of the four that end a slowness (`router.core.balance.metrics`). The
  next slow reply takes it back.
"""

from __future__ import annotations

import math
from typing import Final

from router.core.balance.metrics import Traffic, expected_ms
from skyfleet.values import frozen

SLOWED_TIMES: Final = 3.0
SLOWED_BY_MS: Final = 50.0
LEAST_CHECKS: Final = 3


@frozen
class Slowness:
    """A slow target. since: unix s. checks: how many were answered. least_ms: the fastest of them."""

    since: float
    checks: int = 0
    least_ms: float = math.inf


def is_slowed(traffic: Traffic, now: float) -> bool:
    """Whether a target is slow, compared with itself."""
    latency, usual = expected_ms(traffic, now), traffic.usual_ms
    return latency > SLOWED_TIMES * usual and latency - usual >= SLOWED_BY_MS


def checked(slowness: Slowness, took_ms: float) -> tuple[Slowness, bool]:
    """After a check that took so long, and whether it shows that the slowness is over."""
    least = slowness.least_ms
    over = (
        slowness.checks >= LEAST_CHECKS and took_ms < least / SLOWED_TIMES and least - took_ms >= SLOWED_BY_MS
    )
    return Slowness(slowness.since, slowness.checks + 1, min(least, took_ms)), over
