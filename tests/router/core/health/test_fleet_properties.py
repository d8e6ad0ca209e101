"""Claims about the fleet that hold after any story: a machine makes up targets, outcomes, probes, orders, and
clocks that run and jump."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.core.balance.metrics import NOTHING, Traffic, saw
from router.core.health import fleet as f
from router.core.health import machine as h
from router.core.health.fleet import Fleet
from router.core.health.machine import Status
from router.core.health.snapshots import ProbeResult, Snapshot, keep
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT, EJECTION_CAP_S
from tests.router.core.health.support import targets

pytestmark = pytest.mark.pure

NOW = 1_000_000_000.0
YEAR = 365 * 86_400.0
numbers = st.integers(0, 4)
latencies = st.sampled_from([1.0, 9.0, 100.0, 5_000.0])
weights = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=1, max_size=5).filter(any)


class Story(RuleBasedStateMachine):
    """One router's fleet, with the clock of `pass_time` only."""

    fleet: Fleet
    now: float

    @initialize(shares=weights)
    def begin(self, shares: list[float]) -> None:
        self.now = NOW
        self.fleet = f.start(targets(*shares), self.now)
        self.keys = [target.key for target in self.fleet.targets]
        self.traffic: dict[str, Traffic] = {}
        self.drained = False
        self.probed = False

    @rule(number=numbers, outcome=st.sampled_from(Outcome), milliseconds=latencies, times=st.integers(1, 30))
    def attempts(self, number: int, outcome: Outcome, milliseconds: float, times: int) -> None:
        for _ in range(times):
            self.attempt(self.keys[number % len(self.keys)], outcome, milliseconds)

    def attempt(self, key: str, outcome: Outcome, milliseconds: float) -> None:
        if outcome not in (Outcome.NEUTRAL, Outcome.RATE_LIMITED):
            failed = outcome in (Outcome.FAILURE, Outcome.UNRESPONSIVE)
            latency = milliseconds if outcome is Outcome.SUCCESS else -1.0
            seen = self.traffic.get(key, NOTHING)
            self.traffic[key] = saw(seen, self.now, failed=failed, latency_ms=latency)
        retry_after_s = milliseconds * 1e6 if milliseconds > 9 else None
        self.settle()
        self.fleet = f.record(self.fleet, key, outcome, self.now, DEFAULT, "why", retry_after_s)

    @rule()
    def review(self) -> None:
        self.fleet = f.review(self.fleet, self.traffic, self.now, DEFAULT)

    @rule(seconds=st.floats(0, 400))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(checker=numbers, number=numbers, looks=st.lists(st.booleans(), min_size=1, max_size=5))
    def probe(self, checker: int, number: int, looks: list[bool]) -> None:
        key = self.keys[number % len(self.keys)]
        seen = tuple(ProbeResult(self.now - len(looks) + at + 1, good) for at, good in enumerate(looks))
        document = Snapshot(self.keys[checker % len(self.keys)], self.now, {key: keep(seen)})
        self.fleet = f.fold(self.fleet, [document], self.now, DEFAULT)
        self.probed = True

    @rule(draining=st.sets(numbers, max_size=2))
    def drain(self, draining: set[int]) -> None:
        keys = {self.keys[number % len(self.keys)] for number in draining}
        self.fleet = f.drain(self.fleet, keys, self.now)
        assert {key for key, one in self.fleet.health.items() if one.status is Status.DRAINING} == keys
        self.drained = True

    def settle(self) -> None:
        self.fleet = f.settle(self.fleet, self.now, DEFAULT)

    @invariant()
    def candidates_are_never_empty_while_a_target_is_untried(self) -> None:
        self.settle()
        tried: list[str] = []
        for _ in self.keys:
            tier = f.tier(self.fleet, tried, self.now, DEFAULT)
            offered = [one.key for one in tier.candidates]
            assert offered
            assert set(offered) <= set(self.keys) - set(tried)
            assert all(0 < one.share <= 1 for one in tier.candidates)
            tried.append(offered[0])
        assert f.tier(self.fleet, tried, self.now, DEFAULT).candidates == ()

    @invariant()
    def counters_stay_within_their_bounds(self) -> None:
        for one in self.fleet.health.values():
            assert 0 <= one.failures <= h.FAILURES
            assert one.ejections >= 0 <= one.flap_count
            assert 0 <= one.derating.steps <= 6
            assert one.derating.relapses >= 0
        for test in self.fleet.tests.values():
            assert 0 <= test.errors <= 1 >= test.slow >= 0
        for target in self.fleet.targets:
            assert 0 <= f.effective_weight(self.fleet, target, self.now, DEFAULT) <= target.weight

    @invariant()
    def own_traffic_alone_always_keeps_one(self) -> None:
        if self.probed or self.drained:
            return
        assert any(one.status in h.SERVING for one in self.fleet.health.values())
        self.settle()
        assert not f.tier(self.fleet, (), self.now, DEFAULT).panic

    @invariant()
    def nothing_lasts_longer_than_its_cap(self) -> None:
        self.settle()
        for one in self.fleet.health.values():
            if one.status is Status.EJECTED:
                assert 0 < one.ejected_until - self.now <= EJECTION_CAP_S
            assert not h.in_backoff(one, self.now) or (one.backoff_until - self.now <= h.BACKOFF_CAP_S)
        assert 1 <= f.retry_after_s(self.fleet, self.now, DEFAULT) <= DEFAULT.ejection_s

    @invariant()
    def until_it_changes_the_tier_stays(self) -> None:
        self.settle()
        change = f.changes_at(self.fleet, self.now, DEFAULT)
        assert change > self.now
        before = f.tier(self.fleet, (), self.now, DEFAULT)
        # A float near 1e9 s is exact to a tenth of a microsecond.
        moment = max(self.now, min(change, self.now + 500) - 1e-6)
        assert f.tier(f.settle(self.fleet, moment, DEFAULT), (), moment, DEFAULT) == before


class Jumps(Story):
    """The same with a clock that is set back and forth, by seconds or years."""

    @rule(seconds=st.sampled_from([-0.1, -5.0, -70.0, -3_600.0, 3_600.0, -3 * YEAR, 3 * YEAR]))
    def set_clock(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: not cast("Jumps", self).drained)
    @rule()
    def no_target_is_out_for_longer_than_the_cap(self) -> None:
        """By the clock as it runs from here on, and with nothing heard any more."""
        fleet = f.settle(self.fleet, self.now, DEFAULT)
        later = self.now + EJECTION_CAP_S + 1
        fleet = f.settle(fleet, later, DEFAULT)
        assert all(one.status in h.SERVING for one in fleet.health.values())
        assert not any(h.in_backoff(one, later) for one in fleet.health.values())


TestStory = pytest.mark.pure(Story.TestCase)
TestJumps = pytest.mark.pure(Jumps.TestCase)
