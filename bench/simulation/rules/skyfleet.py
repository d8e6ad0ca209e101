"""The rule of this project: the router's `Balancer` with simulated time and seeded randomness."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection
from functools import partial

from bench.simulation.events import Loop
from bench.simulation.fleet.checkers import READ_S, REFRESH_S, Store
from bench.simulation.rules.rule import Probes
from router.core.balance.balancer import Balancer
from router.core.outcomes import Outcome
from router.core.policy import Policy
from router.core.request.budget import AttemptReason
from router.core.targets import Choice, Target
from skyfleet.contract import Strategy


class Skyfleet:
    """The balancer of one router instance, with the rule's interface."""

    def __init__(
        self,
        targets: tuple[Target, ...],
        strategy: Strategy,
        policy: Policy,
        loop: Loop,
        store: Store,
        own: tuple[Probes, random.Random, Callable[[str], tuple[float, bool]]],
    ) -> None:
        """own: the probes and the random source of this instance, and what a check of a target gives: its
        duration (s; infinite: no answer) and whether it meets a cold start."""
        self.balancer = Balancer(targets, strategy, policy, loop.clock, own[1].random)
        self._probes, _, self._check = own
        self._checked_at: dict[str, float] = {}
        self._loop, self._store = loop, store
        self._verifying: set[str] = set()
        self._active: dict[str, list[object]] = {}
        self._read_at = float("-inf")
        self._version: int = 0

    def choose(self, excluded: Collection[str], request_class: int = 0) -> Choice | None:
        if not excluded:
            self.balancer.request_began()
            self._refresh_soon()
            self._check_those_out()
        pending = self._probes.pending()
        for key in pending:
            self.balancer.probe_started(key)
        choice = self.balancer.choose(excluded)
        if choice is not None and not excluded:
            choice = self.balancer.compared(choice, request_class)
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

    def ended(self, key: str) -> None:
        self.balancer.end(key, self._active[key].pop())

    def record(self, key: str, outcome: Outcome, retry_after_s: float | None, request_class: int = 0) -> None:
        """As `Attempt.record` of the proxy does."""
        if outcome is Outcome.AGENT_ERROR:
            self.balancer.agent_failed(key, request_class, "status 500")
            return
        self.balancer.report(key, outcome, retry_after_s=retry_after_s)
        if outcome in (Outcome.SUCCESS, Outcome.COLD):
            self.balancer.agent_succeeded(key, request_class)

    def report_first_event(self, key: str, milliseconds: float, load: float, cold: bool) -> None:
        known = load if load >= 0 else None
        self.balancer.report(key, Outcome.NEUTRAL, first_event_ms=milliseconds, load=known, cold=cold)

    def report_censored(self, choice: Choice, milliseconds: float) -> None:
        """Report the latency of an abandoned attempt as a censored sample."""
        self.balancer.lost_to_hedge(choice.key, milliseconds, not choice.warm)

    def attempt_is_slow(self, key: str) -> None:
        self.balancer.attempt_is_slow(key)

    def verify(self, choice: Choice, unreachable: bool) -> None:
        """Probe the target of an attempt that lost to a hedge, one probe at a time; only a timeout counts."""
        key, policy = choice.key, self.balancer.policy
        if not unreachable or key in self._verifying:
            return
        self._verifying.add(key)
        timeout_s = policy.probe_timeout_s if choice.warm else policy.cold_timeout_s
        self._loop.after(timeout_s, lambda: self._probe_timed_out(key))

    def _check_those_out(self) -> None:
        """Check targets that are out or slow, as `Prober.watch` does; here with each request."""
        balancer, loop = self.balancer, self._loop
        if not balancer.slow and not balancer.out():
            return
        for key in balancer.checks_due(self._checked_at)[0]:
            self._checked_at[key] = loop.now
            took_s, cold = self._check(key)
            alive = took_s < math.inf
            if key in balancer.slow:
                if alive:
                    loop.after(took_s, partial(balancer.slow_target_checked, key, took_s * 1000))
                continue
            wait_s = took_s if alive else balancer.policy.probe_timeout_s
            loop.after(wait_s, partial(self._checked, key, alive=alive, cold=cold))

    def _checked(self, key: str, *, alive: bool, cold: bool) -> None:
        self.balancer.probe_started(key)
        self.balancer.probe_ended(key, alive=alive, cold=cold)

    def _probe_timed_out(self, key: str) -> None:
        self._verifying.discard(key)
        self.balancer.report(key, Outcome.UNRESPONSIVE, "lost to a hedge, and its /health did not answer")

    def _refresh_soon(self) -> None:
        """Read the store during a request, as `SnapshotStore` does."""
        now = self._loop.now
        if now - self._read_at < REFRESH_S or self._store.version == self._version:
            return
        self._read_at, self._version = now, self._store.version
        snapshots = tuple(self._store.snapshots.values())
        self._loop.after(READ_S, lambda: self.balancer.fold(snapshots))
