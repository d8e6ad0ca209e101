"""The bounds of a soak: what may not grow, and what may not be lost.

Rules
- Pure.
- Growth is judged where nothing else changes: at the end of each minute, when its fault has healed and the
  load is what it is in every other minute. The first minutes fill caches and pools and do not count.
- What belongs to requests (sockets, tasks) has to be back at its idle value after the load: the least of some
  seconds before it is compared with the least of some seconds after it, since checkers come and go.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.soak.faults import MINUTE_S, QUIET_S
from bench.soak.watch import Sample

_WARM_UP: Final = 2  # minutes
# The larger of both. The interpreter's arenas and the C library's heap move by about a megabyte.
_GROWTH_MB: Final = 2.0
_GROWTH_SHARE: Final = 0.05
# A checker, and a probe of each target, may be there in one idle time and not in the other.
_MORE_SOCKETS: Final = 4
_MORE_TASKS: Final = 1
# Lines of the log that no router writes unless something of it failed.
ALARMS: Final = ("Traceback", "never retrieved", "never awaited", "Exception in callback", "ERROR")


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound. found, allowed: the value and the most that it may be."""

    name: str
    found: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether it is kept; a value that could not be computed is not."""
        return self.found <= self.allowed


def quiet(samples: Sequence[Sample], minute: int) -> list[Sample]:
    """The samples at the end of a minute."""
    begin, end = minute * MINUTE_S + QUIET_S, (minute + 1) * MINUTE_S
    return [one for one in samples if begin <= one.at_s < end]


def thirds(samples: Sequence[Sample], minutes: int) -> tuple[list[Sample], list[Sample]]:
    """The quiet samples of the first and of the last third of a run, without its first minutes."""
    counted = range(min(_WARM_UP, minutes - 1), minutes)
    part = max(1, len(counted) // 3)
    first, last = counted[:part], counted[-part:]
    return [one for at in first for one in quiet(samples, at)], [
        one for at in last for one in quiet(samples, at)
    ]


def median(values: Sequence[float]) -> float:
    """NaN for none, which no bound allows."""
    return statistics.median(values) if values else math.nan


def growth_mb(samples: Sequence[Sample], minutes: int) -> tuple[float, float]:
    """Memory in the first third, and how much more it is in the last one."""
    first, last = thirds(samples, minutes)
    before = median([one.rss_mb for one in first])
    return before, median([one.rss_mb for one in last]) - before


def bounds(
    samples: Sequence[Sample],
    minutes: int,
    idle: tuple[Sequence[Sample], Sequence[Sample]],
    counts: Mapping[str, int],
) -> list[Bound]:
    """All bounds of a run. idle: samples before and after the load. counts: `lost`, `wrong_repeats`,
    `alarms`, `restarts`."""
    before_mb, more_mb = growth_mb(samples, minutes)
    before, after = idle

    def least(of: Sequence[Sample], name: str) -> float:
        return min((float(getattr(one, name)) for one in of), default=math.nan)

    return [
        Bound(
            "growth of memory, MB", round(more_mb, 2), max(_GROWTH_MB, round(_GROWTH_SHARE * before_mb, 2))
        ),
        Bound("idle descriptors", least(after, "descriptors"), least(before, "descriptors") + _MORE_SOCKETS),
        Bound("idle sockets", least(after, "sockets"), least(before, "sockets") + _MORE_SOCKETS),
        Bound("idle asyncio tasks", least(after, "tasks"), least(before, "tasks") + _MORE_TASKS),
        Bound("idle active requests in the status", least(after, "inflight"), 0),
        Bound("lost requests that may be repeated", counts["lost"], 0),
        Bound("repeats of requests that must not be", counts["wrong_repeats"], 0),
        Bound("alarming lines in the router's log", counts["alarms"], 0),
        Bound("restarts of the router", counts["restarts"], 0),
    ]


def alarms(log: str) -> int:
    """Lines that say that something in the router failed."""
    return sum(any(word in line for word in ALARMS) for line in log.splitlines())
