"""What a run has shown, as a few figures.

Rules
- Latency and errors are those of requests that arrived during the fault; in a normal run, and for the
  load step, of the same stretch. A quantile is taken over good replies and failed requests alike: a
  wait of 10 s for an error is a latency.
- `oscillation`: how much the targets' shares of first choices differ from one window to the next, divided by
  what independent draws with the same mean shares would show. 1 is chance, below it smoother, far above it
  the instances swing together.
- `after_ms`: the 99 % quantile of requests in the 30 s after the heal.
- `settled_s`: how long after the fault until callers are well again: from the end of the last window before
  the heal in which more than 2 % failed or the 95 % quantile was above 1.5 times that before the fault. Null:
  not before the heal.
- `recovered_s`: how long after the heal until the healed targets have 0.8 of their former share of first
  choices over three windows. Null: not in this run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bench.quantiles import quantile
from bench.simulation.callers import Told
from bench.simulation.topologies import Topology

WINDOW_S: Final = 5.0
_RUN_IN_S: Final = 20.0
_WELL_FAILED: Final = 0.02
_WELL_P95: Final = 1.5
_BACK: Final = 0.8
_AFTER_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Times in ms or s, as the names say. usd: per million requests, extra attempts included."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    after_ms: float
    errors: float
    usd: float
    extra: float
    oscillation: float
    settled_s: float | None
    recovered_s: float | None


def figures(
    topology: Topology, told: Sequence[Told], attempts: int, usd: float, hit: frozenset[str]
) -> Figures:
    """attempts, usd: of the whole run. hit: keys of the targets with the fault."""
    during = [one for one in told if topology.fault_s <= one.at < topology.heal_s]
    took = sorted(one.took_s * 1e3 for one in during)
    quantiles = [round(quantile(took, part), 1) for part in (0.5, 0.95, 0.99, 0.999)]
    after = sorted(one.took_s * 1e3 for one in told if topology.heal_s <= one.at < topology.heal_s + _AFTER_S)
    windows = _windows(topology, told)
    return Figures(
        *quantiles,
        after_ms=round(quantile(after, 0.99), 1),
        errors=round(sum(not one.good for one in during) / max(1, len(during)), 5),
        usd=round(1e6 * usd / max(1, len(told)), 2),
        extra=round(attempts / max(1, len(told)) - 1, 4),
        oscillation=round(oscillation(_settled(topology, windows)), 2),
        settled_s=_settled_s(topology, windows),
        recovered_s=_recovered_s(topology, windows, hit),
    )


def oscillation(windows: Sequence[Sequence[Told]]) -> float:
    """Mean change of the counts from window to window, over that of Poisson counts of the same means."""
    counts = [_counts(window) for window in windows]
    keys = sorted({key for count in counts for key in count})
    pairs = list(pairwise(counts))
    if not pairs:
        return math.nan
    seen = sum(abs(a.get(key, 0) - b.get(key, 0)) for a, b in pairs for key in keys) / len(pairs)
    means = [sum(count.get(key, 0) for count in counts) / len(counts) for key in keys]
    chance = sum(poisson_difference(mean) for mean in means)
    return seen / chance if chance else math.nan


def poisson_difference(mean: float) -> float:
    """The mean absolute difference of two independent Poisson counts of this mean."""
    if mean > 30:
        return 2 * math.sqrt(mean / math.pi)
    most = int(mean + 10 * math.sqrt(mean) + 10)
    parts = [math.exp(-mean)]
    for count in range(1, most):
        parts.append(parts[-1] * mean / count)
    return sum(a * b * abs(i - j) for i, a in enumerate(parts) for j, b in enumerate(parts))


def _windows(topology: Topology, told: Sequence[Told]) -> list[list[Told]]:
    windows: list[list[Told]] = [[] for _ in range(math.ceil(topology.end_s / WINDOW_S))]
    for one in told:
        windows[int(one.at / WINDOW_S)].append(one)
    return windows


def _counts(window: Sequence[Told]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in window:
        counts[one.first] = counts.get(one.first, 0) + 1
    return counts


def _settled(topology: Topology, windows: Sequence[list[Told]]) -> Sequence[list[Told]]:
    """Seconds from the fault until callers are well again, or None."""
    middle = (topology.fault_s + topology.heal_s) / 2
    return windows[math.ceil(middle / WINDOW_S) : int(topology.heal_s / WINDOW_S)]


def _settled_s(topology: Topology, windows: Sequence[list[Told]]) -> float | None:
    first, last = int(topology.fault_s / WINDOW_S), int(topology.heal_s / WINDOW_S)
    before = sorted(one.took_s for window in windows[int(_RUN_IN_S / WINDOW_S) : first] for one in window)
    limit = _WELL_P95 * quantile(before, 0.95)
    bad = [number for number in range(first, last) if not _is_well(windows[number], limit)]
    if not bad:
        return 0.0
    after = (bad[-1] + 1 - first) * WINDOW_S
    return None if bad[-1] + 1 >= last else after


def _is_well(window: Sequence[Told], limit: float) -> bool:
    failed = sum(not one.good for one in window)
    slow = quantile(sorted(one.took_s for one in window), 0.95)
    return failed <= _WELL_FAILED * len(window) and not slow > limit


def _recovered_s(topology: Topology, windows: Sequence[list[Told]], hit: frozenset[str]) -> float | None:
    first, healed = int(topology.fault_s / WINDOW_S), int(topology.heal_s / WINDOW_S)
    former = _share(windows[int(_RUN_IN_S / WINDOW_S) : first], hit)
    for number in range(healed, len(windows) - 2):
        if _share(windows[number : number + 3], hit) >= _BACK * former:
            return (number - healed) * WINDOW_S
    return None


def _share(windows: Sequence[Sequence[Told]], hit: frozenset[str]) -> float:
    total = sum(len(window) for window in windows)
    return sum(one.first in hit for window in windows for one in window) / max(1, total)
