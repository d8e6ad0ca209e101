"""The rules of other load balancers, as their documents describe them, with the same methods as
`Balancer`.

Rules
- Each router instance has its own rule; it knows what it sent and what came back, as in the real products.
- A target that was tried in a request is left out while another remains, for all of them.
- The plan around them (attempts, patience, deadline) is ours, without hedges: what is compared is the choice.

`weighted`: smooth weighted round robin, no health, no learning. `least-request`: fewest own requests in
flight, ties by chance. `p2c`: of two targets drawn the one with fewer own requests in flight.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from typing import Final

from router.core.health.fleet import Outcome
from router.core.request.budget import AttemptReason
from router.core.targets import Choice


class Baseline:
    """Base of the baselines: active requests by target, and the targets that may be tried."""

    def __init__(self, keys: Sequence[str], draw: random.Random) -> None:
        self.keys: Final = tuple(keys)
        self.draw: Final = draw
        self.inflight: Final = dict.fromkeys(keys, 0)

    def choose(self, tried: Collection[str]) -> Choice | None:
        """The next target; None when all were tried."""
        left = self.open()
        if tried:
            left = [key for key in left if key not in tried] or [k for k in self.keys if k not in tried]
        return Choice(self.pick(left)) if left else None

    def open(self) -> Sequence[str]:
        """Targets that the rule permits; all, unless it ejects."""
        return self.keys

    def pick(self, left: Sequence[str]) -> str:
        """One of these: by chance, unless the rule says better."""
        return self.draw.choice(left)

    def afford(self, choice: Choice, reason: AttemptReason) -> bool:
        """No baseline limits retries by a budget, so none loses a request to one."""
        return True

    def hedge_after_s(self) -> float:
        """Never."""
        return math.inf

    def sent(self, key: str) -> None:
        """One more in flight."""
        self.inflight[key] += 1

    def settled(self, key: str) -> None:
        """One less."""
        self.inflight[key] -= 1

    def record(self, key: str, outcome: Outcome, retry_after_s: float | None) -> None:
        """How an attempt ended."""

    def report_first_event(self, key: str, milliseconds: float, load: float, cold: bool) -> None:
        """How long a good reply took, and what it said of its target's load."""

    def report_censored(self, choice: Choice, milliseconds: float) -> None:
        """An attempt had no reply after so long."""

    def attempt_is_slow(self, key: str) -> None:
        """An attempt has no reply after the learned delay."""

    def suspected(self, choice: Choice, silent: bool) -> None:
        """Its target's /health was asked."""


class Weighted(Baseline):
    """Smooth weighted round robin with equal weights is plain round robin, begun anywhere."""

    def __init__(self, keys: Sequence[str], draw: random.Random) -> None:
        super().__init__(keys, draw)
        self._turn = draw.randrange(len(keys))

    def pick(self, left: Sequence[str]) -> str:
        self._turn += 1
        return left[self._turn % len(left)]


class LeastRequest(Baseline):
    """A full scan."""

    def pick(self, left: Sequence[str]) -> str:
        least = min(self.inflight[key] for key in left)
        return self.draw.choice([key for key in left if self.inflight[key] == least])


class PowerOfTwo(Baseline):
    """Two drawn, the less busy taken; this is also how Envoy's least request chooses by default."""

    def pick(self, left: Sequence[str]) -> str:
        if len(left) == 1:
            return left[0]
        one, other = self.draw.sample(left, 2)
        return one if self.inflight[one] <= self.inflight[other] else other
