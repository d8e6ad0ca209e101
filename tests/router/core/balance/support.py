"""A balancer for tests, with a clock and random numbers of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager

from router.core.balance.balancer import Balancer
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT, Policy
from router.core.targets import Choice, Origin, Target
from skyfleet.contract import Strategy

ORIGIN = Origin(False, "127.0.0.1", 9)


def target(number: int, weight: float = 1.0, price: float = 0.2) -> Target:
    return Target("aws", f"r{number}", "http://127.0.0.1:9", ORIGIN, weight, price=price)


class Harness:
    """A balancer with a clock and random numbers of its own."""

    def __init__(
        self,
        weights: Sequence[float],
        strategy: Strategy = Strategy.WEIGHTED,
        policy: Policy = DEFAULT,
        first_draw: float = 0.0,
    ) -> None:
        self.now = 1_000_000.0
        self.drawn = first_draw
        targets = tuple(target(number, weight) for number, weight in enumerate(weights))
        self.balancer = Balancer(targets, strategy, policy, lambda: self.now, self.draw)

    def draw(self) -> float:
        before, self.drawn = self.drawn, (self.drawn + 0.618034) % 1
        return before

    def choose(self, *excluded: str, strategy: Strategy | None = None) -> Choice:
        choice = self.balancer.choose(excluded, strategy)
        assert choice is not None
        return choice

    def keys(self, times: int, strategy: Strategy | None = None) -> Counter[str]:
        return Counter(self.choose(strategy=strategy).key for _ in range(times))

    @contextmanager
    def active(self, key: str) -> Generator[None]:
        """One active request there meanwhile."""
        token = object()
        self.balancer.start(key, token)
        yield
        self.balancer.end(key, token)

    @contextmanager
    def avoiding(self, keys: Collection[str]) -> Generator[None]:
        """Probes of these targets are pending meanwhile."""
        for key in keys:
            self.balancer.probe_started(key)
        yield
        for key in keys:
            self.balancer.probe_ended(key, alive=None)

    def reply(self, key: str, ms: float = 20.0, *, cold: bool = False, load: float | None = None) -> None:
        self.balancer.report(key, Outcome.NEUTRAL, first_event_ms=ms, load=load, cold=cold)
        self.balancer.report(key, Outcome.COLD if cold else Outcome.SUCCESS)
