"""The one place that changes: the fleet, the credits of selection, and what this instance has counted.

Rules
- All thinking is in the core; this class keeps the latest values and hands in the clock and the draw.
- Every attempt tells its outcome here by a direct call, never through a log or a queue.
- Requests in flight are counted by seats: taken once, given back once, never below 0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from router import fleet as f
from router.merge import Document
from router.plan import Choice
from router.policy import Policy
from router.selection import Credits, Strategy, pick
from router.targets import Target

# Weight of the newest latency in its average: about the last ten count.
_NEWEST: Final = 0.2


class Seat:
    """A request in flight at one target; a context manager that may also be closed by hand, even twice."""

    __slots__ = ("_counts", "_key", "_open")

    def __init__(self, counts: dict[str, int], key: str) -> None:
        self._counts, self._key, self._open = counts, key, True
        counts[key] += 1

    def __enter__(self) -> Seat:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._open:
            self._open = False
            self._counts[self._key] -= 1


class Board:
    """What this router instance knows."""

    def __init__(
        self,
        targets: tuple[Target, ...],
        strategy: Strategy,
        policy: Policy,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        """clock: unix seconds. draw: uniform in [0, 1)."""
        self.targets = {target.key: target for target in targets}
        self.strategy, self.policy = strategy, policy
        self.clock, self._draw = clock, draw
        self.fleet = f.start(targets, clock())
        self._credits: Credits = {}
        self.inflight: dict[str, int] = dict.fromkeys(self.targets, 0)
        self.latency_ms: dict[str, float] = {}
        self._alive_at: dict[str, float] = {}
        self.requests = self.retried = self.failed = 0
        self.refused: dict[str, str] = {}

    def choose(self, tried: Collection[str]) -> Choice | None:
        """The target for the next attempt; None when all were tried."""
        now = self.clock()
        self.fleet = f.settle(self.fleet, now, self.policy)
        menu = f.menu(self.fleet, tried, now, self.policy)
        if not menu.candidates:
            return None
        key, self._credits = pick(self.strategy, self._credits, menu.candidates, self._draw())
        warm = now - self._alive_at.get(key, -self.policy.warm_for_s) < self.policy.warm_for_s
        return Choice(key, self.targets[key].repeatable, menu.panic, warm)

    def seat(self, key: str) -> Seat:
        """One more request in flight."""
        return Seat(self.inflight, key)

    def record(self, key: str, outcome: f.Outcome, why: str = "") -> None:
        """How an attempt ended."""
        now = self.clock()
        if outcome in (f.Outcome.SUCCESS, f.Outcome.COLD):
            self._alive_at[key] = now
        self.fleet = f.record(self.fleet, key, outcome, now, self.policy, why or "failed attempts")

    def saw_latency(self, key: str, milliseconds: float) -> None:
        """How long a reply's head took."""
        known = self.latency_ms.get(key, milliseconds)
        self.latency_ms[key] = known + _NEWEST * (milliseconds - known)

    def fold(self, documents: Iterable[Document]) -> None:
        """Take in what vantages say."""
        documents = tuple(documents)
        self.fleet = f.fold(self.fleet, documents, self.clock(), self.policy)
        for document in documents:
            self.refused.pop(document.vantage, None)
            for key, seen in document.observations.items():
                alive = max((one.at for one in seen if one.alive), default=0.0)
                self._alive_at[key] = max(self._alive_at.get(key, 0.0), alive)

    def refuse(self, source: str, reason: str) -> None:
        """Remember why a document was not believed; only the newest few sources are kept."""
        self.refused.pop(source, None)
        self.refused[source] = reason
        while len(self.refused) > len(self.targets) + 1:
            del self.refused[next(iter(self.refused))]

    def retry_after_s(self) -> int:
        """What to tell a caller whom nobody could serve."""
        return f.retry_after_s(self.fleet, self.clock(), self.policy)
