"""The load balancer of one router instance: its only mutable object in the core.

Rules
- Decisions are pure functions of the core; this class keeps the latest values and supplies clock and chance.
- Each attempt reports here by a direct call.
- Adaptive strategies skip a target whose oldest active request exceeds the hedge delay and that has sent
  nothing since. At low traffic this is the only signal.
- A pick costs the same with 3 and with 300 targets: tier and picker are cached per strategy.
- Slots begin at a random place: thousands of short-lived instances that all began with the heaviest target
  would give it everything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from router.core.balance import strategies as s
from router.core.balance.affinity import Affinity
from router.core.balance.late import Row, late, noticed
from router.core.balance.metrics import NOTHING, Traffic, expected_ms, restarted, saw
from router.core.balance.picker import Basis, expires_at, prepare, shares
from router.core.balance.quality import Known
from router.core.balance.strategies import LEARNING, Picker, Strategy, pick_alternative, pick_by_key
from router.core.health import fleet as f
from router.core.health.fleet import Outcome, Tier
from router.core.health.machine import Status
from router.core.health.rejected import Rejected
from router.core.health.snapshots import Snapshot
from router.core.median import lower_median
from router.core.policy import SKEW_S, Policy
from router.core.request.budget import full
from router.core.targets import Choice, Target

# How often traffic is reviewed on the request path.
_REVIEW_S: Final = 1.0
# Fewer good replies say nothing of one in twenty.
_HEDGE_SAMPLES: Final = 20
# A timer of the event loop is no finer than this.
_LEAST_HEDGE_S: Final = 0.005
# So many slots of avoided targets are skipped.
_SLOTS_SKIPPED: Final = 8
_OUT: Final = frozenset({Status.EJECTED, Status.DOWN})
# What the outcome says of the target's failures; of the others, nothing.
_FAILED: Final = {
    Outcome.SUCCESS: False,
    Outcome.COLD: False,
    Outcome.FAILURE: True,
    Outcome.SILENT: True,
    Outcome.LATE: True,
}


class ActiveRequest:
    """A request in flight at one target; closing it twice does no harm."""

    __slots__ = ("_counts", "_key", "_since", "open")

    def __init__(
        self, counts: dict[str, int], key: str, since: dict[ActiveRequest, float], now: float
    ) -> None:
        """since: when each open seat at that target was taken, the oldest first."""
        self._counts, self._key, self._since, self.open = counts, key, since, True
        counts[key] += 1
        since[self] = now

    def __enter__(self) -> ActiveRequest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.open:
            self.open = False
            self._counts[self._key] -= 1
            del self._since[self]


@dataclass(slots=True)
class _CachedPicker:
    """The picker of one strategy, valid while `epoch` is the balancer's and from `since` until `until`.

    choices: (not alive lately, alive lately) by key. expires: when it must be prepared again. slot: the next
    one, counted per strategy.
    """

    strategy: Strategy
    epoch: int
    tier: Tier
    picker: Picker
    choices: Mapping[str, tuple[Choice, Choice]]
    since: float
    until: float
    expires: float
    slot: int


class Balancer:
    """What this router instance knows."""

    def __init__(
        self,
        targets: tuple[Target, ...],
        strategy: Strategy,
        policy: Policy,
        clock: Callable[[], float],
        draw: Callable[[], float],
        ticks: Callable[[], float] | None = None,
    ) -> None:
        """clock: unix seconds. draw: uniform in [0, 1). ticks: monotonic seconds; default: the clock."""
        self.targets = {target.key: target for target in targets}
        self.strategy, self.policy = strategy, policy
        self.most_attempts = min(policy.attempts, len(targets))
        self.clock, self._draw = clock, draw
        self.ticks = clock if ticks is None else ticks
        self.fleet = f.start(targets, clock())
        self.budget = full(self.ticks(), policy)
        self.inflight: dict[str, int] = dict.fromkeys(self.targets, 0)
        self._since: dict[str, dict[ActiveRequest, float]] = {key: {} for key in self.targets}
        self._heard_at: dict[str, float] = dict.fromkeys(self.targets, float("-inf"))
        self.traffic: dict[str, Traffic] = dict.fromkeys(self.targets, NOTHING)
        self._known = Known(self.traffic, {target.key: target.price for target in targets})
        self._first_slot = int(draw() * (1 << 32))
        self._cached: dict[Strategy, _CachedPicker] = {}
        self._current: _CachedPicker | None = None
        self._epoch = 0
        self._seen: f.Fleet | None = None
        self._seen_at = self._look_at = self._reviewed_at = float("-inf")
        self.late: dict[str, Row] = {}
        self._hedge: tuple[float, float | None] = (float("-inf"), None)
        self._alive_at: dict[str, float] = dict.fromkeys(self.targets, float("-inf"))
        self.names = Affinity()
        self.requests = self.retried = self.failed = 0
        self.rejected = Rejected(self.targets, clock)
        # Out because not even /health answered.
        self._silent: set[str] = set()

    def choose(
        self,
        excluded: Collection[str],
        strategy: Strategy | None = None,
        avoid: Collection[str] = (),
        name: bytes = b"",
    ) -> Choice | None:
        """The target for the next attempt; None when all are excluded.

        strategy: of this request only. avoid: skipped where another target serves. name: the affinity key."""
        now = self.clock()
        if strategy is None:
            strategy = self.strategy
        cached = self._current
        if (
            cached is None
            or cached.strategy is not strategy
            or cached.epoch != self._epoch
            or self.fleet is not self._seen
            or not cached.since <= now < cached.until
        ):
            cached = self._picker_now(strategy, now)
        if excluded:
            return self._retry(cached, excluded, avoid, name, now)
        if name and (choice := self._remembered_choice(name, now)) is not None:
            return choice
        key = pick_by_key(cached.picker, name) if name else None
        if key is None:
            key = s.pick(cached.picker, cached.slot, self.inflight, self._drawn(cached.picker))
            cached.slot += 1
        if key in avoid or (self.inflight[key] and strategy in LEARNING and self._is_stuck(key, now)):
            return self._skip_avoided(cached, key, avoid, name, now)
        return self._choice(cached, key, now)

    def seat(self, key: str) -> ActiveRequest:
        """One more request in flight."""
        return ActiveRequest(self.inflight, key, self._since[key], self.clock())

    def record(self, key: str, outcome: Outcome, why: str = "", retry_after_s: float | None = None) -> None:
        """How an attempt ended. retry_after_s: what a throttled reply asked for."""
        now = self.clock()
        failed = _FAILED.get(outcome)
        if failed is not None:
            self.traffic[key] = saw(self.traffic[key], now, self.policy, failed=failed)
            if not failed:
                self._alive_at[key] = now
            if outcome is Outcome.SILENT:
                self._silent.add(key)
            elif self._silent:
                self._silent.discard(key)
        before, why = self.fleet, why or "failed attempts"
        self.fleet = f.record(before, key, outcome, now, self.policy, why, retry_after_s)
        if before is self._seen and f.same_tier(before.health[key], self.fleet.health[key]):
            self._seen = self.fleet

    def report_first_event(self, key: str, first_event_ms: float, load: float | None, cold: bool) -> None:
        """A good reply's first event came after so long. load: as its agent reports it, in requests at
        work. cold: it met a cold start, whose time says nothing of the next."""
        now = self.clock()
        if first_event_ms <= self._patience_s() * 1000:
            self.late.pop(key, None)
        self._heard_at[key] = now
        ms, load = -1.0 if cold else first_event_ms, -1.0 if load is None else load
        self.traffic[key] = saw(self.traffic[key], now, self.policy, failed=None, latency_ms=ms, load=load)

    def lost_to_hedge(self, key: str, taken_ms: float, cold: bool) -> bool:
        """A censored sample: an attempt ended unheard after so long. Returns whether it counts, which it does
        if it took longer than expected, as twice its elapsed time."""
        now, before = self.clock(), self.traffic[key]
        if taken_ms <= expected_ms(before, now, self.policy):
            return False
        ms = -1.0 if cold else 2 * taken_ms
        self.traffic[key] = saw(before, now, self.policy, failed=None, latency_ms=ms)
        return True

    def attempt_is_slow(self, key: str) -> None:
        """An attempt there has no first event although the learned delay has passed."""
        self.late = noticed(self.late, key, self.clock())

    def slow_now(self) -> list[str]:
        """Targets that a new request had better avoid, if it can."""
        return late(self.late, self.clock())

    def hedge_delay_s(self) -> float | None:
        """The lower median of the targets' 95 % quantiles; None while too few replies were seen."""
        now = self.clock()
        at, delay = self._hedge
        if not at <= now < at + self.policy.learn_s:
            known = [one for one in self.traffic.values() if one.samples]
            if sum(one.samples for one in known) >= _HEDGE_SAMPLES:
                delay = max(lower_median(one.p95_ms for one in known) / 1000, _LEAST_HEDGE_S)
            self._hedge = now, delay
        return delay

    def _patience_s(self) -> float:
        """After which time an attempt is late: the delay of hedges, as long as it is known."""
        delay = self._hedge[1]
        return self.policy.probe_after_s if delay is None else delay

    def _is_stuck(self, key: str, now: float) -> bool:
        """Whether its oldest attempt in flight is late, and nothing was heard since that was sent."""
        since = next(iter(self._since[key].values()), now)
        return since < now - self._patience_s() and not since <= self._heard_at[key] <= now

    def shares(self) -> dict[str, float]:
        """The part of the turns that each target has now by the strategy; of others than these, none."""
        picker = self._picker_now(self.strategy, self.clock()).picker
        return {**dict.fromkeys(self.targets, 0.0), **shares(picker)}

    def fold(self, documents: Iterable[Snapshot]) -> None:
        """Take in what checkers say."""
        documents = tuple(documents)
        self.fleet = f.fold(self.fleet, documents, self.clock(), self.policy)
        for document in documents:
            self.rejected.forget(document.checker)
            for key, seen in document.results.items():
                alive = next((one.at for one in reversed(seen) if one.alive), 0.0)
                known = self._alive_at.get(key, alive)
                self._alive_at[key] = max(known, alive) if known <= self.clock() + SKEW_S else alive

    def unconfirmed_down(self, documents: Collection[Snapshot]) -> tuple[str, ...]:
        """Targets that these put out by a lone checker's word."""
        return f.unconfirmed_down(self.fleet, documents, self.clock(), self.policy)

    def confirm_up(self, key: str) -> None:
        """An accused target has answered."""
        self.fleet = f.confirmed_up(self.fleet, key, self.clock())

    def out(self) -> list[str]:
        """Targets that are ejected or down."""
        return [key for key, one in self.fleet.health.items() if one.status in _OUT]

    def is_back(self, key: str) -> None:
        """A target answered while nothing could be sent to anybody."""
        self._silent.discard(key)
        self.fleet = f.back(self.fleet, key, self.clock())

    def answered(self, key: str) -> None:
        """A target answered /health late: an ejection for being unresponsive ends at once."""
        if key in self._silent:
            self.is_back(key)

    def retry_after_s(self) -> int:
        """What to tell a caller whom nobody could serve."""
        return f.retry_after_s(self.fleet, self.clock(), self.policy)

    def _picker_now(self, strategy: Strategy, now: float) -> _CachedPicker:
        """The strategy's desk as of now, which is then the one at hand."""
        if self.fleet is not self._seen or not self._seen_at <= now < self._look_at:
            self._look(now)
        cached = self._cached.get(strategy)
        if cached is None or cached.epoch != self._epoch or not cached.since <= now < cached.until:
            cached = self._cached[strategy] = self._renewed(strategy, cached, now)
        self._current = cached
        return cached

    def _look(self, now: float) -> None:
        """Apply what time and traffic have done to the fleet."""
        fleet = f.settle(self.fleet, now, self.policy)
        for key, health in fleet.health.items():
            if 0 < self.traffic[key].at < health.back_at <= now:
                self.traffic[key] = restarted(self.traffic[key], now)
        if not 0 <= now - self._reviewed_at < _REVIEW_S:
            fleet = f.review(fleet, self.traffic, now, self.policy)
            self._reviewed_at = now
        self.fleet = self._seen = fleet
        self._epoch += 1
        self._seen_at = now
        self._look_at = min(self._reviewed_at + _REVIEW_S, f.changes_at(fleet, now, self.policy))

    def _renewed(self, strategy: Strategy, cached: _CachedPicker | None, now: float) -> _CachedPicker:
        tier = f.tier(self.fleet, (), now, self.policy)
        if cached is not None and tier == cached.tier and cached.since <= now < cached.expires:
            until = min(cached.expires, self._look_at)
            cached.epoch, cached.until = self._epoch, until
            return cached
        basis = Basis(self._known, now, self.policy)
        picker = prepare(strategy, tier.candidates, basis, cached.picker if cached else None)
        choices = cached.choices if cached is not None and tier == cached.tier else self._choices(tier)
        expires = expires_at(picker, self.policy)
        until = min(expires, self._look_at)
        slot = cached.slot if cached is not None else self._first_slot
        return _CachedPicker(strategy, self._epoch, tier, picker, choices, now, until, expires, slot)

    def _choices(self, tier: Tier) -> dict[str, tuple[Choice, Choice]]:
        def choice(key: str, warm: bool) -> Choice:
            return Choice(key, self.targets[key].repeatable, tier.panic, warm, tier.in_backoff)

        return {one.key: (choice(one.key, False), choice(one.key, True)) for one in tier.candidates}

    def _drawn(self, picker: Picker) -> float:
        return self._draw() if s.needs_random(picker) else 0.0

    def _choice(self, cached: _CachedPicker, key: str, now: float) -> Choice:
        return cached.choices[key][self._is_warm(key, now)]

    def _is_warm(self, key: str, now: float) -> bool:
        return -SKEW_S <= now - self._alive_at[key] < self.policy.warm_for_s

    def _remembered_choice(self, name: bytes, now: float) -> Choice | None:
        """Where a request of this name was sent before, if that serves."""
        key = self.names.place(name)
        if key is None or not f.serves(self.fleet, key, now, self.policy):
            return None
        return Choice(key, self.targets[key].repeatable, warm=self._is_warm(key, now))

    def _skip_avoided(
        self, cached: _CachedPicker, key: str, avoid: Collection[str], name: bytes, now: float
    ) -> Choice:
        """Another target than `key`: by the next slots, which are used up, or by the affinity key."""
        if name:
            stuck = [one for one in cached.picker.keys if self.inflight[one] and self._is_stuck(one, now)]
            if (other := pick_by_key(cached.picker, name, (*avoid, *stuck))) is not None:
                return self._choice(cached, other, now)
        else:
            slot = cached.slot
            for _ in range(_SLOTS_SKIPPED):
                other = s.pick(cached.picker, cached.slot, self.inflight, self._drawn(cached.picker))
                cached.slot += 1
                if other not in avoid and not (self.inflight[other] and self._is_stuck(other, now)):
                    return self._choice(cached, other, now)
            cached.slot = slot
        choice = self._alternative(cached, avoid, name, now)
        return choice if choice is not None and not choice.last_resort else self._choice(cached, key, now)

    def _retry(
        self,
        cached: _CachedPicker,
        excluded: Collection[str],
        avoid: Collection[str],
        name: bytes,
        now: float,
    ) -> Choice | None:
        if avoid:
            choice = self._alternative(cached, (*excluded, *avoid), name, now)
            if choice is not None and not choice.last_resort:
                return choice
        return self._alternative(cached, excluded, name, now)

    def _alternative(
        self, cached: _CachedPicker, excluded: Collection[str], name: bytes, now: float
    ) -> Choice | None:
        """Somebody else than these; it takes no turn."""
        if name:
            key = pick_by_key(cached.picker, name, excluded)
        else:
            key = pick_alternative(
                cached.picker, cached.slot, self.inflight, self._drawn(cached.picker), excluded
            )
        if key is not None:
            return self._choice(cached, key, now)
        # Everybody of the first tier was tried.
        tier = f.tier(self.fleet, excluded, now, self.policy)
        if not tier.candidates:
            return None
        picker = prepare(cached.strategy, tier.candidates, Basis(self._known, now, self.policy))
        key = pick_by_key(picker, name) if name else None
        if key is None:
            key = s.pick(picker, cached.slot, self.inflight, self._drawn(picker))
        return self._choices(tier)[key][self._is_warm(key, now)]
