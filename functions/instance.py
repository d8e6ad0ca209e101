"""How an instance is doing: cold or warm, how long it took to start, how busy it is.

Rule: time comes in as an argument (seconds of any steady clock); numbers decay while an instance is frozen.

`application_utilization` is the mean number of requests in work, `rps_fractional` the rate of new ones, both
over the last ten seconds or so (exponentially weighted). Their quotient is one over the mean time of a
request: what a weighting router wants, without knowing how many requests an instance may hold.
The header is ORCA's text form as Envoy's client-side weighted round robin reads it.
"""

from __future__ import annotations

import math
from typing import Final

# Long enough to smooth single requests, short enough to follow a change of load between two probes.
WINDOW_S: Final = 10.0


class Vitals:
    """The state of one instance; the only mutable thing in this room beside the nonces."""

    def __init__(self, init_ms: float) -> None:
        self.init_ms = round(init_ms, 1)
        self.cold = True
        self.inflight = 0
        self._busy = 0.0
        self._rate = 0.0
        self._updated: float | None = None

    def begin(self, now: float) -> None:
        """A request came in."""
        self._decay(now)
        self.inflight += 1
        self._rate += 1 / WINDOW_S

    def end(self, now: float) -> None:
        """Its reply is complete, or its caller gone."""
        self._decay(now)
        self.inflight -= 1

    def first_reply(self) -> bool:
        """Whether this is the first reply of the instance; from then on it is warm."""
        first, self.cold = self.cold, False
        return first

    def load_header(self, now: float) -> bytes:
        """The value of `endpoint-load-metrics`."""
        self._decay(now)
        return f"TEXT application_utilization={self._busy:.3f},rps_fractional={self._rate:.3f}".encode()

    def _decay(self, now: float) -> None:
        elapsed = max(0.0, now - self._updated) if self._updated is not None else 0.0
        kept = math.exp(-elapsed / WINDOW_S)
        self._busy = self._busy * kept + self.inflight * (1 - kept)
        self._rate *= kept
        self._updated = now
