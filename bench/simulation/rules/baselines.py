"""Baselines: the rules of other load balancers, from their documentation.

Rules
- Each router instance has a rule of its own, which knows the instance's own requests only, as in the
  products.
- An excluded target is not picked while another is left.
- The request machine around them (attempts, timeouts, deadline) is Skyfleet's, without hedges. So the picks
  alone are compared.

`weighted`: smooth weighted round robin, without health or learning. `least-request`: the fewest own active
requests, ties at random. `p2c`: of two random targets the one with fewer own active requests.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from typing import Final

from router.core.outcomes import Outcome
from router.core.request.budget import AttemptReason
from router.core.targets import Choice


class Baseline:
    """Base of the baselines: active requests by target, and the targets that may be excluded."""

    def __init__(self, keys: Sequence[str], draw: random.Random) -> None:
        self.keys: Final = tuple(keys)
        self.draw: Final = draw
        self.inflight: Final = dict.fromkeys(keys, 0)

    def choose(self, excluded: Collection[str], request_class: int = 0) -> Choice | None:
        """Pick a target; None when all are excluded."""
        left = self.open()
        if excluded:
            left = [key for key in left if key not in excluded] or [k for k in self.keys if k not in excluded]
        return Choice(self.pick(left)) if left else None

    def open(self) -> Sequence[str]:
        """Targets that are not ejected; all, unless the rule ejects."""
        return self.keys

    def pick(self, left: Sequence[str]) -> str:
        """Pick one of these targets; at random in this base."""
        return self.draw.choice(left)

    def afford(self, choice: Choice, reason: AttemptReason) -> bool:
        """Charge an attempt; always affordable, since no baseline has a budget."""
        return True

    def hedge_after_s(self) -> float:
        """Delay of a hedge (s): infinite, since no baseline hedges."""
        return math.inf

    def sent(self, key: str) -> None:
        """Count an attempt as active."""
        self.inflight[key] += 1

    def ended(self, key: str) -> None:
        """Count an attempt as ended."""
        self.inflight[key] -= 1

    def record(self, key: str, outcome: Outcome, retry_after_s: float | None, request_class: int = 0) -> None:
        """Record the outcome of an attempt; without effect here."""

    def report_first_event(self, key: str, milliseconds: float, load: float, cold: bool) -> None:
        """Record latency and load report of a good reply; without effect here."""

    def report_censored(self, choice: Choice, milliseconds: float) -> None:
        """Record a censored latency; without effect here."""

    def attempt_is_slow(self, key: str) -> None:
        """Record an attempt that outlasts the hedge delay; without effect here."""

    def verify(self, choice: Choice, unreachable: bool) -> None:
        """Probe the target of an attempt that lost to a hedge; without effect here."""


class Weighted(Baseline):
    """Weighted round robin; with equal weights plain round robin from a random start."""

    def __init__(self, keys: Sequence[str], draw: random.Random) -> None:
        super().__init__(keys, draw)
        self._slot = draw.randrange(len(keys))

    def pick(self, left: Sequence[str]) -> str:
        self._slot += 1
        return left[self._slot % len(left)]


class LeastRequest(Baseline):
    """The target with the fewest active requests, by a scan of all."""

    def pick(self, left: Sequence[str]) -> str:
        least = min(self.inflight[key] for key in left)
        return self.draw.choice([key for key in left if self.inflight[key] == least])


class PowerOfTwo(Baseline):
    """The less busy of two random targets, which is the default of Envoy's least request."""

    def pick(self, left: Sequence[str]) -> str:
        if len(left) == 1:
            return left[0]
        one, other = self.draw.sample(left, 2)
        return one if self.inflight[one] <= self.inflight[other] else other
