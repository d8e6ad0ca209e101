"""Rate limits: a token bucket for each operator and kind of request.

Pure but for the table of buckets; the time is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["read", "write", "failed"]
# More than this many operators at once: those that have been quiet for longest are forgotten.
MOST_BUCKETS: Final = 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """burst: requests that may come at once; each_s: seconds after which one more may come."""

    burst: int
    each_s: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `level` requests may come at `at`."""

    level: float
    at: float


# A page and a terminal beside it read a few times a second. A person changes a fleet a few times a minute.
RATES: Final[dict[Kind, Rate]] = {
    "read": Rate(200, 0.05),
    "write": Rate(30, 2.0),
    "failed": Rate(10, 10.0),
}


def take(bucket: Bucket | None, rate: Rate, now: float) -> tuple[Bucket, float]:
    """The bucket after one request, and the seconds to wait; 0.0 means that the request may pass.

    A refused request takes nothing, so waiting as told is enough.
    """
    before = bucket or Bucket(rate.burst, now)
    level = min(float(rate.burst), before.level + max(0.0, now - before.at) / rate.each_s)
    if level >= 1.0:
        return Bucket(level - 1.0, now), 0.0
    return Bucket(level, now), (1.0 - level) * rate.each_s


@dataclass(slots=True)
class Limiter:
    """The buckets of all operators."""

    rates: dict[Kind, Rate] = field(default_factory=lambda: dict(RATES))
    _buckets: dict[tuple[str, Kind], Bucket] = field(default_factory=dict[tuple[str, Kind], Bucket])

    def wait_s(self, name: str, kind: Kind, now: float) -> int:
        """Whole seconds that a request has to wait, 0 if it may pass."""
        bucket, wait = take(self._buckets.pop((name, kind), None), self.rates[kind], now)
        self._buckets[name, kind] = bucket  # the newest is last
        while len(self._buckets) > MOST_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        return math.ceil(wait)
