"""Claims about the balancer: choices from cached pickers, and what it learns from replies."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from router.core.health import fleet
from router.core.health.machine import FAILURES, Status
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT, WARM_S
from skyfleet.contract import Strategy
from tests.router.core.balance.support import Harness

pytestmark = pytest.mark.pure


def test_600_choices_at_3_2_1_are_300_200_100_whatever_is_retried_between() -> None:
    """A repeat elsewhere does not disturb the turns of first attempts."""
    harness = Harness([3, 2, 1])
    counted: Counter[str] = Counter()
    for number in range(600):
        first = harness.choose().key
        counted[first] += 1
        if number % 7 == 0:
            assert harness.choose(first).key != first
    assert counted == {"aws/r0": 300, "aws/r1": 200, "aws/r2": 100}


@pytest.mark.parametrize("looks", [True, False])
def test_a_target_back_from_an_outage_is_not_derated_for_its_earlier_replies(looks: bool) -> None:
    """An outage is punished once. looks: whether the status is read meanwhile."""
    harness = Harness([1, 1, 1])
    for _ in range(60):
        for key in harness.balancer.targets:
            harness.reply(key)
        harness.now += 0.1
    for _ in range(40):
        harness.balancer.report("aws/r1", Outcome.NEUTRAL, first_event_ms=4_000, load=None, cold=False)
        harness.balancer.report("aws/r1", Outcome.FAILURE)
    harness.choose()
    assert harness.balancer.fleet.health["aws/r1"].status is Status.EJECTED
    seen: list[Status] = []
    for _ in range(120):
        harness.now += 1
        if looks:
            harness.choose()
            seen.append(harness.balancer.fleet.health["aws/r1"].status)
    for _ in range(90):  # a little traffic, all good
        harness.now += 0.5
        harness.reply(harness.choose().key)
        seen.append(harness.balancer.fleet.health["aws/r1"].status)
    assert Status.DEGRADED not in seen
    assert seen[-1] is Status.HEALTHY


def test_repeats_share_by_weight_too() -> None:
    """Of a target's repeats the others get what their weights say."""
    harness = Harness([3, 2, 1])
    repeats = Counter(
        harness.choose(first).key for _ in range(600) if (first := harness.choose().key) == "aws/r0"
    )
    assert repeats == {"aws/r1": 200, "aws/r2": 100}


def test_only_a_target_ejected_as_unresponsive_comes_back_by_a_health_reply() -> None:
    """An ejection for failures lasts, also of a target that was silent once before."""
    harness = Harness([1, 1])
    harness.balancer.report("aws/r0", Outcome.UNRESPONSIVE)
    harness.balancer.probe_ended("aws/r0", alive=True)
    assert harness.balancer.fleet.health["aws/r0"].status is Status.SLOW_START
    harness.balancer.report("aws/r0", Outcome.UNRESPONSIVE)
    harness.now += 60
    harness.choose()
    harness.reply("aws/r0")
    for _ in range(3):
        harness.balancer.report("aws/r0", Outcome.FAILURE)
    assert harness.balancer.fleet.health["aws/r0"].status is Status.EJECTED
    harness.balancer.probe_ended("aws/r0", alive=True)
    assert harness.balancer.fleet.health["aws/r0"].status is Status.EJECTED


def test_instances_begin_at_different_turns() -> None:
    """A thousand instances with one request each share it by weight."""
    firsts = Counter(Harness([3, 2, 1], first_draw=number / 1000).choose().key for number in range(1000))
    assert all(abs(firsts[f"aws/r{n}"] - part) <= 20 for n, part in enumerate((500, 333, 167)))


def test_a_request_may_name_its_own_strategy() -> None:
    """And the next one is chosen as before."""
    harness = Harness([8, 1])
    for _ in range(20):
        harness.reply("aws/r0", 900)
        harness.reply("aws/r1", 20)
    assert harness.choose().key == "aws/r0"
    assert harness.keys(10, Strategy.LATENCY)["aws/r1"] == 10
    assert harness.keys(9)["aws/r0"] == 8


def test_the_strategy_may_be_changed_while_running() -> None:
    """From the next choice on."""
    harness = Harness([8, 1])
    assert harness.keys(9) == {"aws/r0": 8, "aws/r1": 1}
    harness.balancer.strategy = Strategy.ROUND_ROBIN
    assert harness.keys(10) == {"aws/r0": 5, "aws/r1": 5}
    assert harness.balancer.shares() == {"aws/r0": 0.5, "aws/r1": 0.5}


@pytest.mark.parametrize("strategy", Strategy)
def test_a_change_of_health_is_seen_by_the_very_next_choice(strategy: Strategy) -> None:
    """Pickers are cached, but never beyond the fleet that they were prepared for."""
    harness = Harness([1, 1, 1], strategy)
    harness.keys(5)
    for _ in range(FAILURES):
        harness.balancer.report("aws/r1", Outcome.FAILURE)
    assert "aws/r1" not in harness.keys(30)


def test_time_alone_brings_a_target_back_step_by_step() -> None:
    """The ejection ends and slow start goes on without any event: pickers end with their tier."""
    harness = Harness([1, 1])
    harness.balancer.report("aws/r1", Outcome.UNRESPONSIVE)
    assert harness.keys(20) == {"aws/r0": 20}
    harness.now += DEFAULT.ejection_s
    assert harness.keys(11) == {"aws/r0": 10, "aws/r1": 1}
    harness.now += DEFAULT.slow_start_s / 2
    assert harness.keys(16) == {"aws/r0": 10, "aws/r1": 6}
    harness.now += DEFAULT.slow_start_s
    assert harness.keys(20) == {"aws/r0": 10, "aws/r1": 10}


def test_a_clock_set_back_does_not_keep_old_pickers() -> None:
    """A year back or forth, choices go on and learning does too."""
    harness = Harness([1, 1], Strategy.ADAPTIVE)
    for step in (0.0, -31e6, 62e6, -31e6):
        harness.now += step
        assert set(harness.keys(4)) == {"aws/r0", "aws/r1"}
        for _ in range(60):
            harness.now += 0.1
            harness.reply("aws/r0")
            harness.reply("aws/r1", 2000)
            harness.choose()
        assert harness.balancer.shares()["aws/r1"] < 0.02
        for _ in range(900):
            harness.now += 0.1
            harness.reply("aws/r1")
            harness.choose()
        assert harness.balancer.shares()["aws/r1"] > 0.4


def test_a_throttled_target_rests_as_long_as_it_asks() -> None:
    """It is no failure, and no request is sent there meanwhile."""
    harness = Harness([1, 1])
    harness.balancer.report("aws/r0", Outcome.RATE_LIMITED, "429", 5.0)
    assert harness.keys(10) == {"aws/r1": 10}
    assert harness.balancer.traffic["aws/r0"].failures == 0
    harness.now += 5.1
    assert harness.keys(10) == {"aws/r0": 5, "aws/r1": 5}


def test_tiers_are_gone_through_when_all_of_one_were_tried() -> None:
    """Serving targets, then standbys, then the least bad in panic; then none."""
    harness = Harness([1, 0, 1])
    harness.balancer.fleet = replace(
        harness.balancer.fleet,
        health={
            **harness.balancer.fleet.health,
            "aws/r2": replace(harness.balancer.fleet.health["aws/r2"], status=Status.DRAINING),
        },
    )
    assert harness.choose().key == "aws/r0"
    assert harness.choose("aws/r0").key == "aws/r1"
    last = harness.choose("aws/r0", "aws/r1")
    assert (last.key, last.panic) == ("aws/r2", True)
    assert harness.balancer.choose(("aws/r0", "aws/r1", "aws/r2")) is None


def test_a_choice_knows_whether_its_target_was_alive_lately() -> None:
    """Cold patience is for those that were not."""
    harness = Harness([1])
    assert not harness.choose().warm
    harness.reply("aws/r0", cold=True)
    assert harness.choose().warm
    harness.now += WARM_S
    assert not harness.choose().warm


def test_a_clock_set_back_makes_no_target_warm_or_heard_of_for_as_long() -> None:
    """A time in the future says nothing: a cold target gets time, a stalled one is skipped."""
    harness = Harness([1, 1], Strategy.ADAPTIVE)
    for key in harness.balancer.targets:
        harness.reply(key)
    harness.now -= 86_400
    assert not harness.choose("aws/r1").warm
    look = ProbeResult(harness.now, ok=True)
    harness.balancer.fold([Snapshot("aws/r1", harness.now, {"aws/r0": (look,)})])
    assert harness.choose("aws/r1").warm
    harness.now += WARM_S
    assert not harness.choose("aws/r1").warm
    with harness.active("aws/r0"):
        harness.now += 30
        assert harness.keys(10) == {"aws/r1": 10}


def test_an_attempt_lost_to_a_hedge_sooner_than_its_target_mostly_answers_is_not_counted() -> None:
    """Later, twice the time counts; of a cold start no time does."""
    harness = Harness([1, 1])
    for _ in range(20):
        harness.reply("aws/r0", 100)
    assert not harness.balancer.lost_to_hedge("aws/r0", 99, cold=False)
    assert harness.balancer.traffic["aws/r0"].latency_ms == pytest.approx(100)
    assert harness.balancer.lost_to_hedge("aws/r0", 150, cold=True)
    assert harness.balancer.traffic["aws/r0"].latency_ms == pytest.approx(100)
    assert harness.balancer.lost_to_hedge("aws/r0", 150, cold=False)
    assert harness.balancer.traffic["aws/r0"].latency_ms == pytest.approx(100 + 0.2 * 200)


def test_a_cold_start_spoils_no_latency() -> None:
    """Neither that of its target nor the delay of hedges."""
    harness = Harness([1, 1], Strategy.ADAPTIVE)
    for _ in range(30):
        harness.reply("aws/r0", 20)
        harness.reply("aws/r1", 20)
    delay = harness.balancer.hedge_delay_s()
    for _ in range(30):
        harness.reply("aws/r1", 9000, cold=True)
    harness.now += 1
    assert harness.balancer.traffic["aws/r1"].latency_ms == pytest.approx(20)
    assert harness.balancer.hedge_delay_s() == delay
    assert harness.balancer.shares() == {"aws/r0": 0.5, "aws/r1": 0.5}


def test_the_hedge_delay_is_the_fleets_and_not_a_slow_targets() -> None:
    """None before there is evidence; near the 95 % of the good ones when one is fifty times as slow."""
    harness = Harness([1, 1, 1])
    assert harness.balancer.hedge_delay_s() is None
    for number in range(400):
        spike = 40 if number % 50 == 0 else 8 + number % 5
        harness.reply("aws/r0", spike)
        harness.reply("aws/r1", spike)
        harness.reply("aws/r2", 400)
        harness.now += 0.01
    delay = harness.balancer.hedge_delay_s()
    assert delay is not None
    assert 0.010 < delay < 0.020


def test_a_healthy_noisy_fleet_keeps_exact_weights() -> None:
    """8 ms with spikes of 40 ms is no fault: `weighted` stays exact through every review."""
    harness = Harness([3, 2, 1])
    counted: Counter[str] = Counter()
    for number in range(6000):
        key = harness.choose().key
        counted[key] += 1
        harness.reply(key, 40 if number * 7919 % 101 == 0 else 6 + number * 31 % 5)
        harness.now += 0.01
    assert counted == {"aws/r0": 3000, "aws/r1": 2000, "aws/r2": 1000}


OUTCOMES = st.sampled_from(Outcome)


class AnyLife(RuleBasedStateMachine):
    """Whatever happens to a balancer, its choices keep to the rules."""

    @initialize(
        weights=st.lists(st.sampled_from([0, 0.5, 1, 3]), min_size=1, max_size=5).filter(any),
        strategy=st.sampled_from(Strategy),
    )
    def begin(self, weights: list[float], strategy: Strategy) -> None:
        self.harness = Harness(weights, strategy)
        self.balancer = self.harness.balancer
        self.names = list(self.balancer.targets)

    def name(self, number: int) -> str:
        return self.names[number % len(self.names)]

    @rule(number=st.integers(0, 4), outcome=OUTCOMES, after=st.none() | st.floats(0, 1e9))
    def record(self, number: int, outcome: Outcome, after: float | None) -> None:
        self.balancer.report(self.name(number), outcome, "by chance", after)

    @rule(number=st.integers(0, 4), ms=st.floats(0, 1e6), cold=st.booleans())
    def reply(self, number: int, ms: float, cold: bool) -> None:
        self.balancer.report(self.name(number), Outcome.NEUTRAL, first_event_ms=ms, load=None, cold=cold)

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 10.0, 400.0, -5.0, -1e6, 1e6]))
    def wait(self, seconds: float) -> None:
        self.harness.now += seconds

    @rule(strategy=st.sampled_from(Strategy))
    def switch(self, strategy: Strategy) -> None:
        self.balancer.strategy = strategy

    @rule(number=st.integers(0, 4), count=st.integers(1, 30))
    def crowd(self, number: int, count: int) -> None:
        for _ in range(count):
            self.balancer.start(self.name(number), object())

    @invariant()
    def every_target_is_offered_once(self) -> None:
        """Never an empty choice while one is untried, never one twice, never an unknown one."""
        excluded: list[str] = []
        while (choice := self.balancer.choose(excluded)) is not None:
            assert choice.key in self.names
            assert choice.key not in excluded
            excluded.append(choice.key)
        assert sorted(excluded) == sorted(self.names)

    @invariant()
    def what_is_kept_is_what_a_fresh_look_would_say(self) -> None:
        """No harness picker outlives the tier it was prepared for."""
        shares = self.balancer.shares()
        tier = fleet.tier(self.balancer.fleet, (), self.harness.now, DEFAULT)
        weighted = {one.key for one in tier.candidates if one.weight} or {one.key for one in tier.candidates}
        assert {key for key, part in shares.items() if part} == weighted
        parts = {one.key: one.share for one in tier.candidates}
        if self.balancer.strategy is Strategy.ROUND_ROBIN:
            whole = sum(parts.values())
            assert all(shares[key] == pytest.approx(part / whole, 0.05) for key, part in parts.items())
        assert set(parts) <= set(self.names)

    @invariant()
    def shares_are_between_zero_and_one(self) -> None:
        shares = self.balancer.shares()
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) >= 0
        delay = self.balancer.hedge_delay_s()
        assert delay is None or delay > 0


TestAnyLife = AnyLife.TestCase


@given(st.lists(st.integers(1, 3), max_size=10))
def test_an_active_request_ends_once(ends: list[int]) -> None:
    """However often `end` is called the count never falls below 0."""
    harness = Harness([1])
    tokens = [object() for _ in ends]
    for token in tokens:
        harness.balancer.start("aws/r0", token)
    assert harness.balancer.inflight["aws/r0"] == len(ends)
    for token, times in zip(tokens, ends, strict=True):
        for _ in range(times):
            harness.balancer.end("aws/r0", token)
    assert harness.balancer.inflight["aws/r0"] == 0
