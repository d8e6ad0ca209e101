"""Claims about the board: choices from kept rosters, and what it learns on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from router.core.balance.balancer import Balancer
from router.core.balance.strategies import Strategy
from router.core.health import fleet
from router.core.health.fleet import Outcome
from router.core.health.machine import Status
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.policy import DEFAULT, Policy
from router.core.targets import Choice, Origin, Target

pytestmark = pytest.mark.pure

ORIGIN = Origin(False, "127.0.0.1", 9)


def target(number: int, weight: float = 1.0, price: float = 0.2) -> Target:
    return Target("aws", f"r{number}", "http://127.0.0.1:9", ORIGIN, weight, price=price)


class Desk:
    """A board with a clock and draws of its own."""

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


def test_600_choices_at_3_2_1_are_300_200_100_whatever_is_retried_between() -> None:
    """A repeat elsewhere does not disturb the turns of first attempts."""
    desk = Desk([3, 2, 1])
    counted: Counter[str] = Counter()
    for number in range(600):
        first = desk.choose().key
        counted[first] += 1
        if number % 7 == 0:
            assert desk.choose(first).key != first
    assert counted == {"aws/r0": 300, "aws/r1": 200, "aws/r2": 100}


@pytest.mark.parametrize("looks", [True, False])
def test_who_comes_back_from_an_outage_is_not_eased_off_for_what_it_showed_before(looks: bool) -> None:
    """An outage is punished once. looks: whether somebody asks for the status meanwhile."""
    desk = Desk([1, 1, 1])
    for _ in range(60):
        for key in desk.balancer.targets:
            desk.reply(key)
        desk.now += 0.1
    for _ in range(40):
        desk.balancer.report("aws/r1", Outcome.NEUTRAL, first_event_ms=4_000, load=None, cold=False)
        desk.balancer.report("aws/r1", Outcome.FAILURE)
    desk.choose()
    assert desk.balancer.fleet.health["aws/r1"].status is Status.EJECTED
    seen: list[Status] = []
    for _ in range(120):
        desk.now += 1
        if looks:
            desk.choose()
            seen.append(desk.balancer.fleet.health["aws/r1"].status)
    for _ in range(90):  # a little traffic, all good
        desk.now += 0.5
        desk.reply(desk.choose().key)
        seen.append(desk.balancer.fleet.health["aws/r1"].status)
    assert Status.DEGRADED not in seen
    assert seen[-1] is Status.HEALTHY


def test_repeats_share_by_weight_too() -> None:
    """Of a target's repeats the others get what their weights say."""
    desk = Desk([3, 2, 1])
    repeats = Counter(desk.choose(first).key for _ in range(600) if (first := desk.choose().key) == "aws/r0")
    assert repeats == {"aws/r1": 200, "aws/r2": 100}


def test_only_who_was_put_out_for_silence_comes_back_by_an_answer_of_its_health() -> None:
    """An ejection for failures lasts, also of a target that was silent once before."""
    desk = Desk([1, 1])
    desk.balancer.report("aws/r0", Outcome.UNRESPONSIVE)
    desk.balancer.probe_ended("aws/r0", alive=True)
    assert desk.balancer.fleet.health["aws/r0"].status is Status.SLOW_START
    desk.balancer.report("aws/r0", Outcome.UNRESPONSIVE)
    desk.now += 60
    desk.choose()
    desk.reply("aws/r0")
    for _ in range(3):
        desk.balancer.report("aws/r0", Outcome.FAILURE)
    assert desk.balancer.fleet.health["aws/r0"].status is Status.EJECTED
    desk.balancer.probe_ended("aws/r0", alive=True)
    assert desk.balancer.fleet.health["aws/r0"].status is Status.EJECTED


def test_instances_begin_at_different_turns() -> None:
    """A thousand instances with one request each share it by weight."""
    firsts = Counter(Desk([3, 2, 1], first_draw=number / 1000).choose().key for number in range(1000))
    assert all(abs(firsts[f"aws/r{n}"] - part) <= 20 for n, part in enumerate((500, 333, 167)))


def test_a_request_may_name_its_own_strategy() -> None:
    """And the next one is chosen as before."""
    desk = Desk([8, 1])
    for _ in range(20):
        desk.reply("aws/r0", 900)
        desk.reply("aws/r1", 20)
    assert desk.choose().key == "aws/r0"
    assert desk.keys(10, Strategy.LATENCY)["aws/r1"] == 10
    assert desk.keys(9)["aws/r0"] == 8


def test_the_strategy_may_be_changed_while_running() -> None:
    """From the next choice on."""
    desk = Desk([8, 1])
    assert desk.keys(9) == {"aws/r0": 8, "aws/r1": 1}
    desk.balancer.strategy = Strategy.ROUND_ROBIN
    assert desk.keys(10) == {"aws/r0": 5, "aws/r1": 5}
    assert desk.balancer.shares() == {"aws/r0": 0.5, "aws/r1": 0.5}


@pytest.mark.parametrize("strategy", Strategy)
def test_a_change_of_health_is_seen_by_the_very_next_choice(strategy: Strategy) -> None:
    """Rosters are kept, but never beyond the fleet that they were prepared for."""
    desk = Desk([1, 1, 1], strategy)
    desk.keys(5)
    for _ in range(DEFAULT.failures):
        desk.balancer.report("aws/r1", Outcome.FAILURE)
    assert "aws/r1" not in desk.keys(30)


def test_time_alone_brings_a_target_back_step_by_step() -> None:
    """The ejection ends and the easing goes on without any event: kept rosters end when the menu changes."""
    desk = Desk([1, 1])
    desk.balancer.report("aws/r1", Outcome.UNRESPONSIVE)
    assert desk.keys(20) == {"aws/r0": 20}
    desk.now += DEFAULT.ejection_s
    assert desk.keys(11) == {"aws/r0": 10, "aws/r1": 1}
    desk.now += DEFAULT.slow_start_s / 2
    assert desk.keys(16) == {"aws/r0": 10, "aws/r1": 6}
    desk.now += DEFAULT.slow_start_s
    assert desk.keys(20) == {"aws/r0": 10, "aws/r1": 10}


def test_a_clock_set_back_does_not_keep_old_rosters() -> None:
    """A year back or forth, choices go on and learning does too."""
    desk = Desk([1, 1], Strategy.ADAPTIVE)
    for step in (0.0, -31e6, 62e6, -31e6):
        desk.now += step
        assert set(desk.keys(4)) == {"aws/r0", "aws/r1"}
        for _ in range(60):
            desk.now += 0.1
            desk.reply("aws/r0")
            desk.reply("aws/r1", 2000)
            desk.choose()
        assert desk.balancer.shares()["aws/r1"] < 0.02
        for _ in range(900):
            desk.now += 0.1
            desk.reply("aws/r1")
            desk.choose()
        assert desk.balancer.shares()["aws/r1"] > 0.4


def test_a_throttled_target_rests_as_long_as_it_asks() -> None:
    """It is no failure, and nobody is sent there meanwhile."""
    desk = Desk([1, 1])
    desk.balancer.report("aws/r0", Outcome.RATE_LIMITED, "429", 5.0)
    assert desk.keys(10) == {"aws/r1": 10}
    assert desk.balancer.traffic["aws/r0"].failures == 0
    desk.now += 5.1
    assert desk.keys(10) == {"aws/r0": 5, "aws/r1": 5}


def test_tiers_are_gone_through_when_all_of_one_were_tried() -> None:
    """Serving targets, then standbys, then the least bad in panic; then nobody."""
    desk = Desk([1, 0, 1])
    desk.balancer.fleet = replace(
        desk.balancer.fleet,
        health={
            **desk.balancer.fleet.health,
            "aws/r2": replace(desk.balancer.fleet.health["aws/r2"], status=Status.DRAINING),
        },
    )
    assert desk.choose().key == "aws/r0"
    assert desk.choose("aws/r0").key == "aws/r1"
    last = desk.choose("aws/r0", "aws/r1")
    assert (last.key, last.panic) == ("aws/r2", True)
    assert desk.balancer.choose(("aws/r0", "aws/r1", "aws/r2")) is None


def test_a_choice_knows_whether_its_target_was_alive_lately() -> None:
    """Cold patience is for those that were not."""
    desk = Desk([1])
    assert not desk.choose().warm
    desk.reply("aws/r0", cold=True)
    assert desk.choose().warm
    desk.now += DEFAULT.warm_for_s
    assert not desk.choose().warm


def test_a_clock_set_back_makes_nobody_warm_or_heard_of_for_as_long() -> None:
    """What lies in the future by now says nothing: who is cold gets time, who is stuck is passed by."""
    desk = Desk([1, 1], Strategy.ADAPTIVE)
    for key in desk.balancer.targets:
        desk.reply(key)
    desk.now -= 86_400
    assert not desk.choose("aws/r1").warm
    look = ProbeResult(desk.now, ok=True)
    desk.balancer.fold([Snapshot("aws/r1", desk.now, {"aws/r0": (look,)})])
    assert desk.choose("aws/r1").warm
    desk.now += DEFAULT.warm_for_s
    assert not desk.choose("aws/r1").warm
    with desk.active("aws/r0"):
        desk.now += 30
        assert desk.keys(10) == {"aws/r1": 10}


def test_who_is_overtaken_sooner_than_it_mostly_answers_is_told_nothing_of() -> None:
    """Later, twice the time counts; of a cold start no time does."""
    desk = Desk([1, 1])
    for _ in range(20):
        desk.reply("aws/r0", 100)
    assert not desk.balancer.lost_to_hedge("aws/r0", 99, cold=False)
    assert desk.balancer.traffic["aws/r0"].latency_ms == pytest.approx(100)
    assert desk.balancer.lost_to_hedge("aws/r0", 150, cold=True)
    assert desk.balancer.traffic["aws/r0"].latency_ms == pytest.approx(100)
    assert desk.balancer.lost_to_hedge("aws/r0", 150, cold=False)
    assert desk.balancer.traffic["aws/r0"].latency_ms == pytest.approx(100 + 0.2 * 200)


def test_a_cold_start_spoils_no_latency() -> None:
    """Neither that of its target nor the delay of hedges."""
    desk = Desk([1, 1], Strategy.ADAPTIVE)
    for _ in range(30):
        desk.reply("aws/r0", 20)
        desk.reply("aws/r1", 20)
    delay = desk.balancer.hedge_delay_s()
    for _ in range(30):
        desk.reply("aws/r1", 9000, cold=True)
    desk.now += 1
    assert desk.balancer.traffic["aws/r1"].latency_ms == pytest.approx(20)
    assert desk.balancer.hedge_delay_s() == delay
    assert desk.balancer.shares() == {"aws/r0": 0.5, "aws/r1": 0.5}


def test_the_hedge_delay_is_the_fleets_and_not_a_slow_targets() -> None:
    """None before there is evidence; near the 95 % of the good ones when one is fifty times as slow."""
    desk = Desk([1, 1, 1])
    assert desk.balancer.hedge_delay_s() is None
    for number in range(400):
        spike = 40 if number % 50 == 0 else 8 + number % 5
        desk.reply("aws/r0", spike)
        desk.reply("aws/r1", spike)
        desk.reply("aws/r2", 400)
        desk.now += 0.01
    delay = desk.balancer.hedge_delay_s()
    assert delay is not None
    assert 0.010 < delay < 0.020


def test_a_healthy_noisy_fleet_keeps_exact_weights() -> None:
    """8 ms with spikes of 40 ms is nobody's fault: `weighted` stays exact through every review."""
    desk = Desk([3, 2, 1])
    counted: Counter[str] = Counter()
    for number in range(6000):
        key = desk.choose().key
        counted[key] += 1
        desk.reply(key, 40 if number * 7919 % 101 == 0 else 6 + number * 31 % 5)
        desk.now += 0.01
    assert counted == {"aws/r0": 3000, "aws/r1": 2000, "aws/r2": 1000}


OUTCOMES = st.sampled_from(Outcome)


class AnyLife(RuleBasedStateMachine):
    """Whatever happens to a board, its choices keep to the rules."""

    @initialize(
        weights=st.lists(st.sampled_from([0, 0.5, 1, 3]), min_size=1, max_size=5).filter(any),
        strategy=st.sampled_from(Strategy),
    )
    def begin(self, weights: list[float], strategy: Strategy) -> None:
        self.desk = Desk(weights, strategy)
        self.balancer = self.desk.balancer
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
        self.desk.now += seconds

    @rule(strategy=st.sampled_from(Strategy))
    def switch(self, strategy: Strategy) -> None:
        self.balancer.strategy = strategy

    @rule(number=st.integers(0, 4), seats=st.integers(1, 30))
    def crowd(self, number: int, seats: int) -> None:
        for _ in range(seats):
            self.balancer.start(self.name(number), object())

    @invariant()
    def every_target_is_offered_once(self) -> None:
        """Never an empty choice while one is untried, never one twice, nobody from outside."""
        excluded: list[str] = []
        while (choice := self.balancer.choose(excluded)) is not None:
            assert choice.key in self.names
            assert choice.key not in excluded
            excluded.append(choice.key)
        assert sorted(excluded) == sorted(self.names)

    @invariant()
    def what_is_kept_is_what_a_fresh_look_would_say(self) -> None:
        """No desk picker outlives the tier it was prepared for."""
        shares = self.balancer.shares()
        tier = fleet.tier(self.balancer.fleet, (), self.desk.now, DEFAULT)
        weighted = {one.key for one in tier.candidates if one.weight} or {one.key for one in tier.candidates}
        assert {key for key, part in shares.items() if part} == weighted
        parts = {one.key: one.share for one in tier.candidates}
        if self.balancer.strategy is Strategy.ROUND_ROBIN:
            whole = sum(parts.values())
            assert all(shares[key] == pytest.approx(part / whole, 0.05) for key, part in parts.items())
        assert set(parts) <= set(self.names)

    @invariant()
    def portions_are_parts(self) -> None:
        shares = self.balancer.shares()
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) >= 0
        delay = self.balancer.hedge_delay_s()
        assert delay is None or delay > 0


TestAnyLife = AnyLife.TestCase


@given(st.lists(st.integers(1, 3), max_size=10))
def test_an_active_request_ends_once(ends: list[int]) -> None:
    """However often `end` is called the count never falls below 0."""
    desk = Desk([1])
    tokens = [object() for _ in ends]
    for token in tokens:
        desk.balancer.start("aws/r0", token)
    assert desk.balancer.inflight["aws/r0"] == len(ends)
    for token, times in zip(tokens, ends, strict=True):
        for _ in range(times):
            desk.balancer.end("aws/r0", token)
    assert desk.balancer.inflight["aws/r0"] == 0
