"""Baseline: Envoy's outlier detection with its defaults, around least request (power of two choices).

Source: `api/envoy/config/cluster/v3/outlier_detection.proto` and the architecture page of Envoy's
documentation.
- Five 5xx replies in a row, or errors mapped to them, eject a host at once; 429 does not count.
- `gateway`: five gateway failures in a row (502, 503, 504 and errors of the connection) do instead, and a 500
  of the agent does not: `enforcing_consecutive_5xx` 0 and `enforcing_consecutive_gateway_failure` 100, where
  the defaults are 100 and 0. The success rate counts every 5xx in both.
- Every 10 s the success rates of hosts with 100 requests in the interval are compared, if there are 5 such
  hosts. A host below the mean minus 1.9 standard deviations is ejected.
- An ejection lasts 30 s times the number of ejections, at most 300 s. The number falls by one in each
  interval without an ejection.
- At most 10 % of the hosts are ejected, but always one. Below 50 % healthy hosts (panic) health is ignored.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from typing import Final

from bench.simulation.rules.baselines import PowerOfTwo
from router.core.outcomes import Outcome

_CONSECUTIVE: Final = 5
_SWEEP_S: Final = 10.0
_BASE_S: Final = 30.0
_CAP_S: Final = 300.0
_MOST_EJECTED: Final = 0.1
_LEAST_HOSTS: Final = 5
_LEAST_REQUESTS: Final = 100
_DEVIATIONS: Final = 1.9
_PANIC: Final = 0.5
_GATEWAY: Final = frozenset({Outcome.FAILURE, Outcome.UNRESPONSIVE})
_BAD: Final = _GATEWAY | {Outcome.AGENT_ERROR}


class Envoy(PowerOfTwo):
    """The rule of one proxy."""

    def __init__(
        self, keys: Sequence[str], draw: random.Random, clock: Callable[[], float], *, gateway: bool = False
    ) -> None:
        """gateway: eject for gateway failures in a row instead of any 5xx."""
        super().__init__(keys, draw)
        self._clock, self._ejecting = clock, _GATEWAY if gateway else _BAD
        self._streak = dict.fromkeys(keys, 0)
        self._seen: dict[str, list[int]] = {}
        self._times: dict[str, int] = {}
        self._until: dict[str, float] = {}
        self._swept = clock()
        self._left: Sequence[str] = self.keys

    def open(self) -> Sequence[str]:
        while self._clock() - self._swept >= _SWEEP_S:
            self._swept += _SWEEP_S
            self._sweep()
        return self._left

    def record(self, key: str, outcome: Outcome, retry_after_s: float | None, request_class: int = 0) -> None:
        total = self._seen.setdefault(key, [0, 0])
        total[0] += 1
        total[1] += outcome not in _BAD
        self._streak[key] = self._streak[key] + 1 if outcome in self._ejecting else 0
        if self._streak[key] >= _CONSECUTIVE:
            self._eject(key)

    def _eject(self, key: str) -> None:
        if key in self._until or (self._until and len(self._until) + 1 > _MOST_EJECTED * len(self.keys)):
            return
        self._streak[key] = 0
        self._times[key] = self._times.get(key, 0) + 1
        self._until[key] = self._clock() + min(_BASE_S * self._times[key], _CAP_S)
        self._settle()

    def _settle(self) -> None:
        left = [key for key in self.keys if key not in self._until]
        self._left = left if len(left) >= _PANIC * len(self.keys) else self.keys

    def _sweep(self) -> None:
        now = self._swept
        for key in [key for key, until in self._until.items() if until <= now]:
            del self._until[key]
        for key in [key for key, times in self._times.items() if times and key not in self._until]:
            self._times[key] -= 1
        rates = {key: good / all_ for key, (all_, good) in self._seen.items() if all_ >= _LEAST_REQUESTS}
        self._seen.clear()
        if len(rates) >= _LEAST_HOSTS:
            least = statistics.fmean(rates.values()) - _DEVIATIONS * statistics.pstdev(rates.values())
            for key in [key for key, rate in rates.items() if rate < least]:
                self._eject(key)
        self._settle()
