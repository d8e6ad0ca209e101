"""Our rule: the router's own `Balancer` with simulated time and a seeded random source."""

from __future__ import annotations

import random
from collections.abc import Collection

from bench.simulation.callers import Probes
from bench.simulation.checkers import READ_S, REFRESH_S, Store
from bench.simulation.events import Loop
from router.core.balance.balancer import Balancer
from router.core.balance.strategies import Strategy
from router.core.health.fleet import Outcome
from router.core.policy import Policy
from router.core.request.budget import AttemptReason
from router.core.targets import Choice, Target


class Ours:
    """One router instance."""

    def __init__(
        self,
        targets: tuple[Target, ...],
        strategy: Strategy,
        policy: Policy,
        loop: Loop,
        store: Store,
        around: tuple[Probes, random.Random],
    ) -> None:
        """around: the probes and the random source of this instance."""
        self.balancer = Balancer(targets, strategy, policy, loop.clock, around[1].random)
        self._probes = around[0]
        self._loop, self._store = loop, store
        self._suspects: set[str] = set()
        self._active: dict[str, list[object]] = {}
        self._read_at = float("-inf")
        self._version: int = 0

    def choose(self, tried: Collection[str]) -> Choice | None:
        if not tried:
            self.balancer.request_began()
            self._kick()
        pending = self._probes.pending()
        for key in pending:
            self.balancer.probe_started(key)
        choice = self.balancer.choose(tried)
        for key in pending:
            self.balancer.probe_ended(key, alive=None)
        return choice

    def afford(self, choice: Choice, reason: AttemptReason) -> bool:
        return self.balancer.afford(choice.key, reason)

    def hedge_after_s(self) -> float:
        return self.balancer.hedge_after_s(self.balancer.strategy)

    def sent(self, key: str) -> None:
        token = object()
        self.balancer.start(key, token)
        self._active.setdefault(key, []).append(token)

    def settled(self, key: str) -> None:
        self.balancer.end(key, self._active[key].pop())

    def record(self, key: str, outcome: Outcome, retry_after_s: float | None) -> None:
        self.balancer.report(key, outcome, retry_after_s=retry_after_s)

    def report_first_event(self, key: str, milliseconds: float, load: float, cold: bool) -> None:
        known = load if load >= 0 else None
        self.balancer.report(key, Outcome.NEUTRAL, first_event_ms=milliseconds, load=known, cold=cold)

    def report_censored(self, choice: Choice, milliseconds: float) -> None:
        """Report an abandoned attempt, as the router does: its latency is at least so long."""
        self.balancer.lost_to_hedge(choice.key, milliseconds, not choice.warm)

    def attempt_is_slow(self, key: str) -> None:
        self.balancer.attempt_is_slow(key)

    def suspected(self, choice: Choice, silent: bool) -> None:
        """One probe of each target at a time; only a timeout counts."""
        key, policy = choice.key, self.balancer.policy
        if not silent or key in self._suspects:
            return
        self._suspects.add(key)
        patience_s = policy.ask_timeout_s if choice.warm else policy.cold_timeout_s
        self._loop.after(patience_s, lambda: self._condemn(key))

    def _condemn(self, key: str) -> None:
        self._suspects.discard(key)
        self.balancer.report(key, Outcome.UNRESPONSIVE, "was lost to a hedge, and gave no answer to /health")

    def _kick(self) -> None:
        """Read the store beside the request, as `SnapshotStore` does."""
        now = self._loop.now
        if now - self._read_at < REFRESH_S or self._store.version == self._version:
            return
        self._read_at, self._version = now, self._store.version
        snapshots = tuple(self._store.documents.values())
        self._loop.after(READ_S, lambda: self.balancer.fold(snapshots))
