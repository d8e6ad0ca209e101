"""What one router instance knows of its targets, and every event that changes it.

Rules
- Decisions are pure functions of the core; this class keeps their latest values and supplies the clock.
  Nothing else writes them: requests, probes, checkers and operators report by its methods.
- An event costs little: a good reply of a healthy target changes its metrics and `LastSeen` only. While
  requests fail, those that succeed are counted as well.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from router.core.balance.affinity import Affinity
from router.core.balance.metrics import (
    NOTHING,
    Traffic,
    expected_ms,
    hedge_delay_s,
    nearly_recovered,
    saw,
    slower,
    without_outcomes,
)
from router.core.balance.strategies import LEARNING
from router.core.health import attribution, recovery, slowness
from router.core.health import fleet as f
from router.core.health.attribution import Evidence
from router.core.health.last_seen import NEVER, LastSeen, proven
from router.core.health.machine import OUT, SERVING, Status
from router.core.health.slowness import Slowness
from router.core.health.snapshots import Snapshot
from router.core.minutes import BOUNDS_MS
from router.core.outcomes import Outcome
from router.core.policy import SKEW_S, Policy
from router.core.request.budget import AttemptReason, full, patience, pay
from router.core.targets import Target
from skyfleet.contract import Strategy

_UNRESPONSIVE: Final = "gave neither a reply in time nor an answer to /health"
# Whether an outcome counts as a failure in the metrics; the others do not count.
_FAILED: Final = {
    Outcome.SUCCESS: False,
    Outcome.COLD: False,
    Outcome.FAILURE: True,
    Outcome.SILENCE: True,
    Outcome.UNRESPONSIVE: True,
    Outcome.CLIENT_GAVE_UP: True,
}
# Read for each reply. CPython 3.13 specializes the lookup of a constant, not that of a member of an Enum.
_NEUTRAL, _SUCCESS, _HEALTHY = Outcome.NEUTRAL, Outcome.SUCCESS, Status.HEALTHY


class TargetStates:
    """The state of one router instance."""

    def __init__(
        self,
        targets: tuple[Target, ...],
        strategy: Strategy,
        policy: Policy,
        clock: Callable[[], float],
        ticks: Callable[[], float] | None = None,
    ) -> None:
        """clock: unix seconds. ticks: monotonic seconds; default: the clock."""
        self.targets = {target.key: target for target in targets}
        self.strategy, self.policy = strategy, policy
        self.configured = strategy
        self.most_attempts = min(policy.attempts, len(targets))
        self.clock = clock
        self.ticks = clock if ticks is None else ticks
        self.fleet = f.start(targets, clock())
        self.budget = full(self.ticks(), policy)
        self.inflight: dict[str, int] = dict.fromkeys(self.targets, 0)
        # When each active request of a target was sent, the oldest first.
        self._active: dict[str, dict[object, float]] = {key: {} for key in self.targets}
        self.traffic: dict[str, Traffic] = dict.fromkeys(self.targets, NOTHING)
        self.last_seen = {key: LastSeen() for key in self.targets}
        # Since when a probe of a target waits for its answer.
        self.probing: dict[str, float] = {}
        # Targets that failed while no other served.
        self._survivors: set[str] = set()
        # Targets that serve and have become slow, and when such a slowness ended by a check.
        self.slow: dict[str, Slowness] = {}
        self._recovered_at: dict[str, float] = dict.fromkeys(self.targets, NEVER)
        # Counts the changes that pickers depend on.
        self._version: int = 0
        self._hedge: tuple[float, float | None] = (NEVER, None)
        # After which time an attempt is slow: the hedge delay, once it is known.
        self._slow_after_s: float = policy.probe_after_s
        self._affinity = Affinity()
        self.requests = self.retried = self.failed = self._hedged = self._ejected = 0
        self._latency = [0] * (len(BOUNDS_MS) + 1)
        # The outcomes since the first failure lately; None: there was none.
        self.evidence: Evidence | None = None

    # What requests report.

    def request_began(self) -> None:
        """Count a request."""
        self.requests += 1

    def request_failed(self) -> None:
        """Count a request whose client got an error."""
        self.failed += 1

    def request_took(self, ms: float) -> None:
        """Count the time until the head of a request's reply."""
        self._latency[bisect_left(BOUNDS_MS, ms)] += 1

    def counts(self) -> tuple[int, ...]:
        """What was counted since the start, in the order of `router.core.minutes`."""
        return (self.requests, self.failed, self.retried, self._hedged, self._ejected, *self._latency)

    def afford(self, key: str, reason: AttemptReason) -> bool:
        """Pay for one more attempt there, if the budget has as much."""
        usd = self.targets[key].price / 1e6
        self.budget, paid = pay(self.budget, reason, usd, self.requests, self.ticks(), self.policy)
        self._hedged += paid and reason is AttemptReason.HEDGE
        return paid

    def remember(self, affinity_key: bytes, key: str) -> None:
        """A request with this affinity key went to that target."""
        self._affinity.remember(affinity_key, key)

    def forget(self, affinity_key: bytes) -> None:
        """The request with this affinity key was sent nowhere."""
        self._affinity.forget(affinity_key)

    def start(self, key: str, token: object, *, retry: bool = False) -> None:
        """An attempt is sent: one more active request. token: hashable, the same for `end`."""
        self._active[key][token] = self.clock()
        self.inflight[key] += 1
        self.retried += retry

    def end(self, key: str, token: object) -> None:
        """The attempt is over; a second call has no effect."""
        if self._active[key].pop(token, None) is not None:
            self.inflight[key] -= 1

    def report(
        self,
        key: str,
        outcome: Outcome,
        reason: str = "",
        retry_after_s: float | None = None,
        *,
        first_event_ms: float = -1.0,
        load: float | None = None,
        cold: bool = False,
    ) -> None:
        """How an attempt ended, or (`NEUTRAL`) that a good reply began.

        retry_after_s: of a rate-limited reply. first_event_ms: until the first event of a good reply; -1:
        none or reported before. load: active requests by the agent's load header. cold: after a cold start,
        whose latency is not counted."""
        now, failed, timed = self.clock(), _FAILED.get(outcome), first_event_ms >= 0.0
        before = self.traffic[key]
        if timed or failed is not None:
            # As in `_is_old`, written out because every reply goes this way.
            old = now - first_event_ms / 1000.0 < self._recovered_at[key] <= now
            self.traffic[key] = saw(
                before,
                now,
                failed=failed,
                latency_ms=-1.0 if cold or old else first_event_ms,
                load=-1.0 if load is None else load,
                in_time=timed and first_event_ms <= self._slow_after_s * 1000.0,
            )
        if timed or failed is False:
            self.last_seen[key].reply = now
        elif failed and not f.another_serves(self.fleet, key):
            self._survivors.add(key)
        health = self.fleet.health[key]
        if outcome is _NEUTRAL or (outcome is _SUCCESS and health.status is _HEALTHY and not health.failures):
            return
        fleet = f.record(
            self.fleet, key, outcome, now, self.policy, reason or "failed attempts", retry_after_s
        )
        self._changed(key, fleet)

    def _forgive_survivors(self, fleet: f.Fleet) -> f.Fleet:
        """When others serve again, the failures of a target that served alone are no evidence: they were
        those of an outage of all, and the others have lost theirs by their absence."""
        for key in [key for key in self._survivors if f.another_serves(fleet, key)]:
            self._survivors.discard(key)
            self.traffic[key] = without_outcomes(self.traffic[key])
            fleet = f.untested(fleet, key)
        return fleet

    def agent_failed(self, key: str, request_class: int, why: str, age_s: float = 0.0) -> None:
        """Its agent answered a request of this class, sent `age_s` ago, with an error of its own. That counts
        as a failure if the comparison with the other targets proves that the target is at fault."""
        now, active = self.clock(), max(0, self.inflight[key] - 1)
        self.evidence, finding = attribution.failed(self.evidence, request_class, key, now, active)
        for _ in range(finding.earlier):
            self.traffic[key] = saw(self.traffic[key], now, failed=True)
        for _ in range(finding.row):
            self.attempt_failed(key, Outcome.FAILURE, f"{why}, more often than the others", age_s)

    def breaks_everywhere(self, key: str, request_class: int) -> bool:
        """A request of this class was sent there and got no reply of an agent. Whether other targets fare
        alike, so that it does not count."""
        self.evidence, alike = attribution.broke(self.evidence, request_class, key, self.clock())
        return alike

    def agent_succeeded(self, key: str, request_class: int) -> None:
        """Its agent answered a request of this class well."""
        if self.evidence is not None:
            self.evidence = attribution.succeeded(self.evidence, request_class, key, self.clock())

    def attempt_failed(self, key: str, outcome: Outcome, reason: str, age_s: float) -> None:
        """An attempt that was sent `age_s` ago failed. If its target has returned from an absence since, it
        is of that absence and no news."""
        now = self.clock()
        if not now - age_s < self.fleet.health[key].back_at <= now:
            self.report(key, outcome, reason)

    def lost_to_hedge(self, key: str, taken_ms: float, cold: bool) -> bool:
        """A censored sample: an attempt was abandoned before its first event. Returns whether it counts: it
        does if it took longer than expected, as twice its time."""
        now, before = self.clock(), self.traffic[key]
        if taken_ms <= expected_ms(before, now) or self._is_old(key, now, taken_ms):
            return False
        ms = -1.0 if cold else 2 * taken_ms
        self.traffic[key] = saw(before, now, failed=None, latency_ms=ms)
        return True

    def attempt_is_slow(self, key: str) -> None:
        """A hedge was sent for an attempt there."""
        now = self.clock()
        if not self._is_old(key, now, self._slow_after_s * 1000):
            self.traffic[key] = slower(self.traffic[key], now)

    def responded(self, key: str) -> None:
        """Its agent gave a response, good or bad."""
        self.last_seen[key].reply = self.clock()

    # What probes, checkers and operators report.

    def probe_started(self, key: str) -> None:
        """This router's own probe of /health waits for its answer."""
        self.probing.setdefault(key, self.clock())

    def probe_ended(self, key: str, *, alive: bool | None, cold: bool = False) -> None:
        """Its result; None when the probe proves nothing. cold: it met a cold start.

        A target that gave no reply meanwhile is ejected at once. The result may end an absence
        (`router.core.health.recovery`)."""
        now, since = self.clock(), self.probing.pop(key, None)
        if alive:
            self.last_seen[key].probe = now
            self._changed(key, f.answered(self.fleet, key, now, self.policy, cold=cold))
        elif alive is False and since is not None:
            self._changed(key, f.unanswered(self.fleet, key, now))
            if self.fleet.health[key].status in SERVING:
                replied = self.last_seen[key].replied_since(since, now)
                outcome = Outcome.NEUTRAL if replied else Outcome.UNRESPONSIVE
                self.attempt_failed(key, outcome, _UNRESPONSIVE, now - since)

    def slow_target_checked(self, key: str, took_ms: float) -> None:
        """A health check of a slow target was answered (`router.core.health.slowness`)."""
        known = self.slow.get(key)
        if known is None:
            return
        self.slow[key], over = slowness.checked(known, took_ms)
        if over:
            del self.slow[key]
            self._recovered_at[key] = self.clock()
            self.traffic[key] = nearly_recovered(self.traffic[key])
            self._version += 1

    def back(self, key: str) -> None:
        """A target that was out answers: it serves again, in slow start."""
        self._changed(key, f.back(self.fleet, key, self.clock()))

    def fold(self, snapshots: Iterable[Snapshot]) -> None:
        """Apply checkers' snapshots."""
        snapshots, now = tuple(snapshots), self.clock()
        self.fleet = f.fold(
            self.fleet,
            snapshots,
            now,
            self.policy,
            proven(self.last_seen, self.fleet.health, now),
        )
        self._version += 1
        for snapshot in snapshots:
            for key, results in snapshot.results.items():
                alive = next((one.at for one in reversed(results) if one.alive), NEVER)
                seen = self.last_seen.get(key)
                if seen is not None:
                    seen.checker = max(seen.checker, alive) if seen.checker <= now + SKEW_S else alive

    def unconfirmed_down(self, snapshots: Iterable[Snapshot]) -> tuple[str, ...]:
        """Targets that a single fresh checker calls down in these, against no own evidence."""
        now = self.clock()
        return f.unconfirmed_down(
            self.fleet,
            snapshots,
            now,
            self.policy,
            proven(self.last_seen, self.fleet.health, now),
        )

    def control(self, strategy: Strategy | None, draining: Collection[str]) -> None:
        """Follow the control document. strategy: None means as configured. draining: keys of targets."""
        self.strategy = strategy or self.configured
        self.fleet = f.drain(self.fleet, draining, self.clock())
        self._version += 1

    def out(self) -> list[str]:
        """Targets that are ejected or down."""
        return [key for key, one in self.fleet.health.items() if one.status in OUT]

    def checks_due(self, checked_at: Mapping[str, float]) -> tuple[list[str], float]:
        """The targets that are out or slow and due for a check by this router, and the pause until the next
        (s).

        checked_at: when each was last checked (unix s)."""
        now, due, pause = self.clock(), list[str](), math.inf
        pauses = {key: recovery.pause_s(one.since, now) for key, one in self.slow.items()}
        for key in self.out():
            health, answered_at = self.fleet.health[key], self.last_seen[key].probe
            pauses[key] = recovery.absence_pause_s(health, answered_at, now, self.policy)
        for key, each in pauses.items():
            left = checked_at.get(key, NEVER) + each - now
            if not 0 < left <= each:
                due.append(key)
                left = each
            pause = min(pause, left)
        return due, pause

    def retry_after_s(self) -> int:
        """The Retry-After of a request that no target could serve."""
        return f.retry_after_s(self.fleet, self.clock(), self.policy)

    def settled(self) -> f.Fleet:
        """The fleet after what time alone has done."""
        return f.settle(self.fleet, self.clock(), self.policy)

    def hedge_delay_s(self) -> float | None:
        """The lower median of the targets' 95 % latency; None while too few good replies were seen."""
        now = self.clock()
        at, delay = self._hedge
        if not at <= now < at + self.policy.learn_s:
            delay = hedge_delay_s(self.traffic.values(), delay)
            self._hedge = now, delay
            self._slow_after_s = self.policy.probe_after_s if delay is None else delay
        return delay

    def hedge_after_s(self, strategy: Strategy) -> float:
        """How long a lone attempt of this strategy may take before it is hedged; infinite: never."""
        hedge = self.policy.hedge
        if hedge == "off" or (hedge == "auto" and strategy not in LEARNING):
            return math.inf
        delay = self.hedge_delay_s()
        if delay is None:
            return self.policy.probe_after_s
        return delay * patience(self.budget, self.requests, self.policy)

    def _is_old(self, key: str, now: float, taken_ms: float) -> bool:
        """Whether an attempt that has taken so long was sent while its target was slow, which is over."""
        return now - taken_ms / 1000 < self._recovered_at[key] <= now

    def _changed(self, key: str, fleet: f.Fleet) -> None:
        """Take the fleet after an event of one target. What is only counted or noted changes no pick."""
        before, after = self.fleet.health[key], fleet.health[key]
        self.fleet = fleet
        noted = (
            replace(before, failures=after.failures, errors=after.errors, unanswered_at=after.unanswered_at)
            if before is not after
            else after
        )
        if noted != after:
            self._version += 1
            self._ejected += after.status is Status.EJECTED and before.status is not Status.EJECTED
