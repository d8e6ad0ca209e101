"""Prequal's hot-cold rule, from its public description (Wydrowski and others, NSDI 2024).

- Each request also sends 3 probes to targets drawn at random; a probe tells requests in flight (RIF) at the
  target and its estimate of latency there. Answers go to a pool of 16; they age out after 1 s.
- A probe is hot when its RIF is above the 0.84 quantile (2 to the -1/4) of the RIFs seen lately. Among cold
  probes the one of least latency is taken; if all are hot, the one of least RIF.
- A used probe stays, with its RIF raised by one, until it was used so often as the budget allows; and with
  each request the worst probe (the hottest; else the slowest) is removed.
- With fewer than 2 probes in the pool the choice is random.
Here its probes are free, exact, and fail at a target that does not answer; its latency estimate is a moving
average of what the target served lately. A pool can hold no more probes than there are targets to probe.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Final

from bench.simulation.baselines import Baseline

_PROBES: Final = 3
_POOL: Final = 16
_AGE_S: Final = 1.0
_QUANTILE: Final = 2**-0.25
_LEAST: Final = 2
_REMOVED: Final = 1
_SEEN: Final = 64

# Ask a target; the answer (RIF, latency in ms) comes to the function given, unless it never comes.
Ask = Callable[[str, Callable[[int, float], None]], None]


@dataclass(slots=True)
class Probe:
    """One answer in the pool."""

    key: str
    at: float
    rif: int
    latency_ms: float
    uses: float


class Prequal(Baseline):
    """One client's pool."""

    def __init__(
        self, keys: Sequence[str], draw: random.Random, clock: Callable[[], float], ask: Ask
    ) -> None:
        super().__init__(keys, draw)
        self._clock, self._ask = clock, ask
        self._pool: deque[Probe] = deque(maxlen=_POOL)
        self._rifs: deque[int] = deque(maxlen=_SEEN)
        fresh = (1 - _POOL / len(keys)) * _PROBES - _REMOVED
        self._uses = max(1.0, 2.0 / fresh) if fresh > 0 else inf

    def pick(self, left: Sequence[str]) -> str:
        for key in self.draw.sample(self.keys, min(_PROBES, len(self.keys))):
            self._ask(key, self._keeper(key))
        oldest = self._clock() - _AGE_S
        while self._pool and self._pool[0].at < oldest:
            self._pool.popleft()
        usable = [probe for probe in self._pool if probe.key in left]
        if len(usable) < _LEAST:
            return self.draw.choice(left)
        limit = self._limit()
        best = min(usable, key=lambda probe: _badness(probe, limit))
        best.rif += 1
        best.uses -= 1
        if best.uses <= 0:
            self._pool.remove(best)
        if len(self._pool) > _LEAST and self._uses < inf:
            self._pool.remove(max(self._pool, key=lambda probe: _badness(probe, limit)))
        return best.key

    def _keeper(self, key: str) -> Callable[[int, float], None]:
        def keep(rif: int, latency_ms: float) -> None:
            if self._uses == inf:
                for old in [probe for probe in self._pool if probe.key == key]:
                    self._pool.remove(old)
            self._rifs.append(rif)
            self._pool.append(Probe(key, self._clock(), rif, latency_ms, self._uses))

        return keep

    def _limit(self) -> int:
        known = sorted(self._rifs)
        return known[min(len(known) - 1, ceil(_QUANTILE * len(known)) - 1)]


def _badness(probe: Probe, limit: int) -> tuple[bool, float]:
    """Cold before hot; the fast before the slow among the cold, the idle before the busy among the hot."""
    hot = probe.rif > limit
    return hot, float(probe.rif) if hot else probe.latency_ms
