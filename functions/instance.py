"""Measurements of one instance: cold or warm, its start-up time, its load.

Time comes in as an argument (seconds of a monotonic clock).

The utilization is the mean number of active requests, the rate counts new requests per second; both are
exponentially weighted over about ten seconds and decay while an instance is frozen. Rate over utilization is
the inverse of the mean request time, which a weighting router needs without knowing an instance's capacity.
"""

from __future__ import annotations

import math
from typing import Final

from skyfleet.orca import format_load

# Long enough to smooth single requests, short enough to follow a change of load between two probes.
WINDOW_S: Final = 10.0


class InstanceStats:
    """Measurements of one instance. init_ms: from the first import to the finished application."""

    def __init__(self, init_ms: float) -> None:
        self.init_ms = round(init_ms, 1)
        self.cold = True
        self.inflight = 0
        # Since when the instance ends; None: it serves.
        self.draining_since: float | None = None
        self._busy = 0.0
        self._rate = 0.0
        self._updated: float | None = None

    def begin(self, now: float) -> None:
        """A request has arrived."""
        self._decay(now)
        self.inflight += 1
        self._rate += 1 / WINDOW_S

    def end(self, now: float) -> None:
        """Its response is complete, or its client has disconnected."""
        self._decay(now)
        self.inflight -= 1

    def drain(self, now: float) -> None:
        """The instance ends: it finishes what runs and takes nothing new."""
        if self.draining_since is None:
            self.draining_since = now

    def take_cold_flag(self) -> bool:
        """Whether this is the first response of the instance. The instance is warm afterwards."""
        cold, self.cold = self.cold, False
        return cold

    def load_header(self, now: float) -> bytes:
        """The value of `endpoint-load-metrics`."""
        self._decay(now)
        return format_load(self._busy, self._rate)

    def _decay(self, now: float) -> None:
        elapsed = max(0.0, now - self._updated) if self._updated is not None else 0.0
        kept = math.exp(-elapsed / WINDOW_S)
        self._busy = self._busy * kept + self.inflight * (1 - kept)
        self._rate *= kept
        self._updated = now
