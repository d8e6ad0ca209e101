"""Baseline: Prequal's hot-cold rule, from its publication (Wydrowski and others, NSDI 2024).

- Each request also sends 3 probes to random targets. A probe's result has the target's requests in flight
  (RIF) and its estimate of its latency. Results go to a pool of 16 and expire after 1 s.
- A probe is hot when its RIF is above the 0.84 quantile (2 to the -1/4) of recent RIFs. Of the cold probes
  the one with the least latency is used; if all are hot, the one with the least RIF.
- A used probe stays, with its RIF increased by one, for as many uses as the budget allows. Each request
  removes the worst probe: the hottest, else the slowest.
- With fewer than 2 probes in the pool the pick is random.

Here the probes are free and exact, and fail at an unreachable target. The latency estimate is a moving
average of the target's replies. A pool holds at most one probe of each target.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Final

from bench.simulation.rules.baselines import Baseline

_PROBES: Final = 3
_POOL: Final = 16
_AGE_S: Final = 1.0
_QUANTILE: Final = 2**-0.25
_LEAST: Final = 2
_REMOVED: Final = 1
_SEEN: Final = 64

# Probe a target; its result (RIF, latency in ms) goes to the function given, unless it is unreachable.
SendProbe = Callable[[str, Callable[[int, float], None]], None]


@dataclass(slots=True)
class Probe:
    """One result in the pool."""

    key: str
    at: float
    rif: int
    latency_ms: float
    uses: float


class Prequal(Baseline):
    """The rule of one client, with its pool."""

    def __init__(
        self, keys: Sequence[str], draw: random.Random, clock: Callable[[], float], send_probe: SendProbe
    ) -> None:
        super().__init__(keys, draw)
        self._clock, self._send_probe = clock, send_probe
        self._pool: deque[Probe] = deque(maxlen=_POOL)
        self._rifs: deque[int] = deque(maxlen=_SEEN)
        fresh = (1 - _POOL / len(keys)) * _PROBES - _REMOVED
        self._uses = max(1.0, 2.0 / fresh) if fresh > 0 else inf

    def pick(self, left: Sequence[str]) -> str:
        for key in self.draw.sample(self.keys, min(_PROBES, len(self.keys))):
            self._send_probe(key, self._keeper(key))
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
    """Sort key: cold before hot, the cold by latency, the hot by requests in flight."""
    hot = probe.rif > limit
    return hot, float(probe.rif) if hot else probe.latency_ms
