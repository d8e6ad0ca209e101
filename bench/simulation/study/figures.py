"""The figures of one run, computed from the results of its requests.

Rules
- Latency and errors are those of requests that arrived during the fault, in a normal run of the same period.
  Quantiles include failed requests: 10 s until an error count as a latency of 10 s.
- `oscillation`: the mean change of the targets' shares of first attempts from window to window, divided by
  that of independent random picks with the same mean shares. 1 is random, less is smoother. Far above 1 the
  instances change together.
- `after_ms`: p99 of the requests in the 30 s after the heal.
- `settled_s`: time from the fault to the end of the last window before the heal in which more than 2 % of the
  requests failed or p95 was above 1.5 times that before the fault. Null: not before the heal.
- `recovered_s`: time from the heal until the healed targets have 0.8 of their former share of first attempts
  over three windows. Null: not in this run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bench.quantiles import quantile
from bench.simulation.driver import Result
from bench.simulation.fleet.topologies import Topology

WINDOW_S: Final = 5.0
_RUN_IN_S: Final = 20.0
_GOOD_FAILED: Final = 0.02
_GOOD_P95: Final = 1.5
_BACK: Final = 0.8
_AFTER_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Times are in ms or s, as named.

    usd: per million requests, with extra attempts. extra: attempts beyond one, per request.
    """

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
    topology: Topology, results: Sequence[Result], attempts: int, usd: float, faulty: frozenset[str]
) -> Figures:
    """Compute all figures. attempts, usd: totals of the run. faulty: keys of the targets with the fault."""
    during = [result for result in results if topology.fault_s <= result.at < topology.heal_s]
    took = sorted(result.took_s * 1e3 for result in during)
    quantiles = [round(quantile(took, part), 1) for part in (0.5, 0.95, 0.99, 0.999)]
    after = sorted(
        result.took_s * 1e3 for result in results if topology.heal_s <= result.at < topology.heal_s + _AFTER_S
    )
    windows = _windows(topology, results)
    return Figures(
        *quantiles,
        after_ms=round(quantile(after, 0.99), 1),
        errors=round(sum(not result.good for result in during) / max(1, len(during)), 5),
        usd=round(1e6 * usd / max(1, len(results)), 2),
        extra=round(attempts / max(1, len(results)) - 1, 4),
        oscillation=round(oscillation(_adapted(topology, windows)), 2),
        settled_s=_settled_s(topology, windows),
        recovered_s=_recovered_s(topology, windows, faulty),
    )


def oscillation(windows: Sequence[Sequence[Result]]) -> float:
    """Mean change of the counts between windows, divided by that of Poisson counts with the same means."""
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
    """Mean absolute difference of two independent Poisson counts with this mean."""
    if mean > 30:
        return 2 * math.sqrt(mean / math.pi)
    most = int(mean + 10 * math.sqrt(mean) + 10)
    parts = [math.exp(-mean)]
    for count in range(1, most):
        parts.append(parts[-1] * mean / count)
    return sum(a * b * abs(i - j) for i, a in enumerate(parts) for j, b in enumerate(parts))


def _windows(topology: Topology, results: Sequence[Result]) -> list[list[Result]]:
    windows: list[list[Result]] = [[] for _ in range(math.ceil(topology.end_s / WINDOW_S))]
    for result in results:
        windows[int(result.at / WINDOW_S)].append(result)
    return windows


def _counts(window: Sequence[Result]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for result in window:
        counts[result.first] = counts.get(result.first, 0) + 1
    return counts


def _adapted(topology: Topology, windows: Sequence[list[Result]]) -> Sequence[list[Result]]:
    """The windows in which a rule has adapted to the fault: from its middle to its end."""
    middle = (topology.fault_s + topology.heal_s) / 2
    return windows[math.ceil(middle / WINDOW_S) : int(topology.heal_s / WINDOW_S)]


def _settled_s(topology: Topology, windows: Sequence[list[Result]]) -> float | None:
    first, last = int(topology.fault_s / WINDOW_S), int(topology.heal_s / WINDOW_S)
    before = sorted(
        result.took_s for window in windows[int(_RUN_IN_S / WINDOW_S) : first] for result in window
    )
    limit = _GOOD_P95 * quantile(before, 0.95)
    bad = [number for number in range(first, last) if not _is_good(windows[number], limit)]
    if not bad:
        return 0.0
    after = (bad[-1] + 1 - first) * WINDOW_S
    return None if bad[-1] + 1 >= last else after


def _is_good(window: Sequence[Result], limit: float) -> bool:
    failed = sum(not result.good for result in window)
    slow = quantile(sorted(result.took_s for result in window), 0.95)
    return failed <= _GOOD_FAILED * len(window) and not slow > limit


def _recovered_s(topology: Topology, windows: Sequence[list[Result]], faulty: frozenset[str]) -> float | None:
    first, healed = int(topology.fault_s / WINDOW_S), int(topology.heal_s / WINDOW_S)
    former = _share(windows[int(_RUN_IN_S / WINDOW_S) : first], faulty)
    for number in range(healed, len(windows) - 2):
        if _share(windows[number : number + 3], faulty) >= _BACK * former:
            return (number - healed) * WINDOW_S
    return None


def _share(windows: Sequence[Sequence[Result]], faulty: frozenset[str]) -> float:
    total = sum(len(window) for window in windows)
    return sum(result.first in faulty for window in windows for result in window) / max(1, total)
