"""The load balancer of one router instance: chooses the target of each attempt.

Rules
- A target is avoided, where another serves, while a probe of it is pending, after `SLOW_STREAK` slow
  attempts in a row, and by adaptive strategies while its oldest active request exceeds the hedge delay and
  nothing has come from it since. At low traffic the last is the only signal.
- A pick costs the same with 3 and with 300 targets: each strategy's picker is kept until the fleet changes
  or it is due (`picker.due_s`).
- Slots begin at a random place: thousands of short-lived instances that all began with the heaviest target
  would give it everything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from router.core.balance.metrics import is_slow, restarted
from router.core.balance.picker import Basis, due_s, prepare, shares
from router.core.balance.quality import Known
from router.core.balance.state import TargetStates
from router.core.balance.strategies import LEARNING, Picker, needs_random, pick_alternative, pick_by_key
from router.core.health import attribution
from router.core.health import fleet as f
from router.core.health.fleet import Tier
from router.core.health.last_seen import NEVER
from router.core.health.machine import SERVING
from router.core.health.slowness import Slowness, is_slowed
from router.core.policy import Policy
from router.core.targets import Choice, Target
from skyfleet.contract import Strategy

# How often traffic is reviewed for outliers.
_REVIEW_S: Final = 1.0
# So many slots of avoided targets are skipped before another target is taken out of order.
_SLOTS_SKIPPED: Final = 8


class _CachedPicker:
    """The picker of one strategy, valid for one `version` of the fleet, from `since` until `until`. slot:
    the next one. choices: made so far, by key and whether the target is warm."""

    __slots__ = (
        "choices",
        "learning",
        "picker",
        "random",
        "since",
        "slot",
        "strategy",
        "tier",
        "until",
        "version",
    )

    def __init__(
        self,
        strategy: Strategy,
        tier: Tier,
        picker: Picker,
        version: int,
        since: float,
        until: float,
        slot: int,
    ) -> None:
        self.strategy, self.learning = strategy, strategy in LEARNING
        self.random = needs_random(picker)
        self.tier, self.picker, self.version = tier, picker, version
        self.since, self.until, self.slot = since, until, slot
        self.choices: dict[tuple[str, bool], Choice] = {}


class Balancer(TargetStates):
    """Chooses the target of each attempt."""

    def __init__(
        self,
        targets: tuple[Target, ...],
        strategy: Strategy,
        policy: Policy,
        clock: Callable[[], float],
        random: Callable[[], float],
        ticks: Callable[[], float] | None = None,
    ) -> None:
        """clock: unix seconds. random: uniform in [0, 1). ticks: monotonic seconds; default: the clock."""
        super().__init__(targets, strategy, policy, clock, ticks)
        self._random = random
        self._known = Known(self.traffic, {target.key: target.price for target in targets})
        self._first_slot = int(random() * (1 << 32))
        self._pickers: dict[Strategy, _CachedPicker] = {}
        self._reviewed_at = NEVER

    def choose(
        self, excluded: Collection[str], strategy: Strategy | None = None, affinity_key: bytes = b""
    ) -> Choice | None:
        """The target for the next attempt; None when all are excluded.

        strategy: of this request only. affinity_key: requests with the same key should meet one target."""
        now = self.clock()
        cached = self._pickers.get(strategy or self.strategy)
        if cached is None or cached.version != self._version or not cached.since <= now < cached.until:
            cached = self._prepared(strategy or self.strategy, now)
        if excluded:
            return self._retry(cached, excluded, affinity_key, now)
        picker = cached.picker
        if affinity_key:
            if (choice := self._remembered_choice(affinity_key, now)) is not None:
                return choice
            key = pick_by_key(picker, affinity_key) or picker.keys[0]
        else:
            random = self._random() if cached.random else 0.0
            key = picker.pick(picker, cached.slot, self.inflight, random)
            cached.slot += 1
        if (self.inflight[key] or self.probing or self.traffic[key].slow_streak) and self._avoids(
            key, now, cached.learning
        ):
            return self._skip_avoided(cached, key, affinity_key, now)
        # As in `_choice`, written out because every request goes this way.
        choice = cached.choices.get((key, self.last_seen[key].is_warm(now)))
        return self._choice(cached, key, now) if choice is None else choice

    def compared(self, choice: Choice, request_class: int, strategy: Strategy | None = None) -> Choice:
        """The choice for a request of this class: another target than the given one, if that serves and a
        comparison is due (`router.core.health.attribution`)."""
        evidence = self.evidence
        if evidence is None or not attribution.needs_comparison(evidence, request_class, choice.key):
            return choice
        other = self.choose((choice.key,), strategy)
        if other is None or other.last_resort:
            return choice
        self.evidence = attribution.asked(evidence, request_class)
        return other

    def avoid(self, now: float, *, learning: bool = True) -> list[str]:
        """The targets that a new request avoids, where another serves. learning: by an adaptive strategy."""
        return [key for key in self.targets if self._avoids(key, now, learning)]

    def _avoids(self, key: str, now: float, learning: bool) -> bool:
        since = self.probing.get(key)
        if since is not None and not self.last_seen[key].replied_since(since, now):
            return True
        if is_slow(self.traffic[key], now):
            return True
        if not learning or not self.inflight[key]:
            return False
        since = next(iter(self._active[key].values()))
        stalled = since < now - self._slow_after_s and not self._recovered_at[key] > since
        return stalled and not self.last_seen[key].replied_since(since, now)

    def shares(self) -> dict[str, float]:
        """The share of the slots that the strategy gives each target now. It changes nothing."""
        now, before = self.clock(), self._pickers.get(self.strategy)
        tier = f.tier(self.settled(), (), now, self.policy)
        basis = Basis(self._known, now, self.policy)
        picker = prepare(self.strategy, tier.candidates, basis, before.picker if before else None)
        return {**dict.fromkeys(self.targets, 0.0), **shares(picker)}

    def _prepared(self, strategy: Strategy, now: float) -> _CachedPicker:
        """The strategy's picker as of now: prepared again when the fleet has changed or it is due."""
        before = self._pickers.get(strategy)
        self._settle_and_review(now)
        tier = f.tier(self.fleet, (), now, self.policy)
        basis = Basis(self._known, now, self.policy)
        picker = prepare(strategy, tier.candidates, basis, before.picker if before else None)
        until = min(
            now + due_s(len(picker.keys), self.policy),
            self._reviewed_at + _REVIEW_S,
            f.changes_at(self.fleet, now, self.policy),
        )
        slot = before.slot if before is not None else self._first_slot
        cached = _CachedPicker(strategy, tier, picker, self._version, now, until, slot)
        self._pickers[strategy] = cached
        return cached

    def _settle_and_review(self, now: float) -> None:
        """Apply what time and traffic have done to the fleet."""
        fleet = f.settle(self.fleet, now, self.policy)
        for key, health in fleet.health.items():
            if 0 < self.traffic[key].at < health.back_at <= now:
                self.traffic[key] = restarted(self.traffic[key], now)
        if self._survivors:
            fleet = self._forgive_survivors(fleet)
        if not 0 <= now - self._reviewed_at < _REVIEW_S:
            fleet = f.review(fleet, self.traffic, now, self.policy)
            self._reviewed_at = now
        if fleet is not self.fleet:
            self.fleet = fleet
            self._version += 1
        for key, health in fleet.health.items():
            if health.status not in SERVING or not is_slowed(self.traffic[key], now):
                self.slow.pop(key, None)
            elif key not in self.slow:
                self.slow[key] = Slowness(now)

    def _choice(self, cached: _CachedPicker, key: str, now: float) -> Choice:
        warm = self.last_seen[key].is_warm(now)
        choice = cached.choices.get((key, warm))
        if choice is None:
            choice = cached.choices[key, warm] = self._made(cached.tier, key, warm)
        return choice

    def _made(self, tier: Tier, key: str, warm: bool) -> Choice:
        repeatable = self.targets[key].repeatable
        return Choice(key, repeatable, panic=tier.panic, warm=warm, in_backoff=tier.in_backoff)

    def _remembered_choice(self, affinity_key: bytes, now: float) -> Choice | None:
        """The target that an earlier request with this key was sent to, if it serves."""
        key = self._affinity.get(affinity_key)
        if key is None or not f.serves(self.fleet, key, now):
            return None
        return Choice(key, self.targets[key].repeatable, warm=self.last_seen[key].is_warm(now))

    def _skip_avoided(self, cached: _CachedPicker, key: str, affinity_key: bytes, now: float) -> Choice:
        """Another target than the avoided `key`: of the next slots, which it uses up, or by the affinity key.

        A target that is only stalled is kept where these give none."""
        if affinity_key:
            other = pick_by_key(cached.picker, affinity_key, self.avoid(now, learning=cached.learning))
        else:
            other = self._next_slot(cached, now)
        if other is not None:
            return self._choice(cached, other, now)
        if not self._avoids(key, now, False):
            return self._choice(cached, key, now)
        choice = self._alternative(cached, self.avoid(now, learning=False), affinity_key, now)
        return choice if choice is not None and not choice.last_resort else self._choice(cached, key, now)

    def _next_slot(self, cached: _CachedPicker, now: float) -> str | None:
        """The first target of the next slots that is not avoided; None, and no slot is used, without one.

        It examines at most `_SLOTS_SKIPPED` targets, so its cost does not depend on the fleet's size."""
        picker, slot = cached.picker, cached.slot
        for _ in range(_SLOTS_SKIPPED):
            random = self._random() if needs_random(picker) else 0.0
            key = picker.pick(picker, cached.slot, self.inflight, random)
            cached.slot += 1
            if not self._avoids(key, now, cached.learning):
                return key
        cached.slot = slot
        return None

    def _retry(
        self, cached: _CachedPicker, excluded: Collection[str], affinity_key: bytes, now: float
    ) -> Choice | None:
        if self.probing:
            avoid = [key for key in self.probing if self._avoids(key, now, False)]
            choice = self._alternative(cached, (*excluded, *avoid), affinity_key, now)
            if choice is not None and not choice.last_resort:
                return choice
        return self._alternative(cached, excluded, affinity_key, now)

    def _alternative(
        self, cached: _CachedPicker, excluded: Collection[str], affinity_key: bytes, now: float
    ) -> Choice | None:
        """A target that is not excluded; it uses no slot."""
        picker = cached.picker
        random = self._random() if needs_random(picker) else 0.0
        if affinity_key:
            key = pick_by_key(picker, affinity_key, excluded)
        else:
            key = pick_alternative(picker, cached.slot, self.inflight, random, excluded)
        if key is not None:
            return self._choice(cached, key, now)
        # The first tier is exhausted.
        tier = f.tier(self.fleet, excluded, now, self.policy)
        if not tier.candidates:
            return None
        picker = prepare(cached.strategy, tier.candidates, Basis(self._known, now, self.policy))
        key = pick_by_key(picker, affinity_key) if affinity_key else None
        if key is None:
            key = picker.pick(picker, cached.slot, self.inflight, random)
        return self._made(tier, key, self.last_seen[key].is_warm(now))
