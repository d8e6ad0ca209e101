"""Claims about the words for what was learned: they name the factor that decides, and only where one does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config import Place
from router.core.balance.balancer import Balancer
from router.core.balance.quality import Known
from router.core.balance.strategies import Candidate
from router.core.health import fleet as f
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT
from router.core.targets import Origin, Target
from router.explain import Evidence, learned
from router.status import status
from router.sync.snapshots import SnapshotStore
from skyfleet.contract import Strategy

pytestmark = pytest.mark.pure

PLACE = Place("aws", "r0", "b1")
# What a target answers: (latency in ms, load, whether it fails).
Answer = tuple[float, float, bool]
GOOD: Answer = (6.0, 1.0, False)


class Harness:
    """A balancer whose targets each gave some answers over some seconds."""

    def __init__(
        self,
        weights: Sequence[float] = (1, 1, 1),
        strategy: Strategy = Strategy.ADAPTIVE,
        prices: Sequence[float] | None = None,
    ) -> None:
        self.now = 1_000_000.0
        origin = Origin(False, "127.0.0.1", 9)
        targets = [
            Target("aws", f"r{n}", "http://127.0.0.1:9", origin, weight, price=price)
            for n, (weight, price) in enumerate(zip(weights, prices or [0.2] * len(weights), strict=True))
        ]
        self.balancer = Balancer(tuple(targets), strategy, DEFAULT, lambda: self.now, lambda: 0.5)

    def hear(self, answers: Sequence[Answer], times: int = 40) -> Harness:
        for _ in range(times):
            self.now += 0.05
            for number, (ms, load, fails) in enumerate(answers):
                if not fails:
                    self.balancer.report(
                        f"aws/r{number}", Outcome.NEUTRAL, first_event_ms=ms, load=load, cold=False
                    )
                self.balancer.report(f"aws/r{number}", Outcome.NEUTRAL if fails else Outcome.SUCCESS)
        return self

    def words(self) -> dict[str, str]:
        balancer = self.balancer
        known = Known(balancer.traffic, {key: one.price for key, one in balancer.targets.items()})
        tier = f.tier(balancer.fleet, (), self.now, DEFAULT)
        evidence = Evidence(tier.candidates, known, self.now, DEFAULT)
        return learned(balancer.strategy, evidence, balancer.shares())


def test_a_slow_target_is_said_to_be_slow_beside_the_others() -> None:
    """Latencies of both, so that a person can judge."""
    words = Harness().hear([GOOD, GOOD, (80, 1, False)]).words()
    assert words == {"aws/r2": "slow: about 80 ms or more, others 6 ms"}


def test_a_derated_target_too_is_explained_by_its_quality() -> None:
    """`adaptive` counts the share of the gray test as whole, so what it learned alone decides."""
    harness = Harness().hear([GOOD, GOOD, (80, 1, False)])
    known = Known(harness.balancer.traffic, dict.fromkeys(harness.balancer.targets, 0.2))
    candidates = [Candidate("aws/r0", 1), Candidate("aws/r1", 1), Candidate("aws/r2", 1, 1 / 64, True)]
    shares = {"aws/r0": 0.496, "aws/r1": 0.496, "aws/r2": 1 / 128}
    evidence = Evidence(candidates, known, harness.now, DEFAULT)
    assert learned(Strategy.ADAPTIVE, evidence, shares)["aws/r2"].startswith("slow: about 80 ms")
    assert learned(Strategy.COST, evidence, shares) == {}


def test_errors_are_said_as_a_share() -> None:
    """Of the last attempts."""
    harness = Harness().hear([GOOD] * 3)
    for number in range(40):
        outcome = Outcome.FAILURE if number % 3 == 0 else Outcome.SUCCESS
        harness.balancer.report("aws/r1", outcome)
    assert harness.words() == {"aws/r1": "errors: 18% of its attempts lately"}


def test_a_busy_target_is_said_to_be_busy() -> None:
    """By what its agent reports."""
    words = Harness().hear([GOOD, GOOD, (6, 40, False)]).words()
    assert words == {"aws/r2": "loaded: its agent reports a load of 40.0, others 1.0"}


def test_a_dear_target_is_said_to_be_dear() -> None:
    """With the price of the cheapest."""
    words = Harness(prices=[0.2, 0.2, 20.0]).hear([GOOD] * 3).words()
    assert words == {"aws/r2": "price: 20 USD per million requests, others 0.2"}


def test_a_target_that_recovers_is_said_to_come_back() -> None:
    """Its evidence is good already and its part still small."""
    harness = Harness().hear([GOOD, GOOD, (300, 1, False)])
    harness.balancer.choose(())
    assert harness.words()["aws/r2"].startswith("slow")
    for _ in range(40):
        harness.balancer.report("aws/r2", Outcome.NEUTRAL, first_event_ms=6.0, load=1.0, cold=False)
    assert harness.words()["aws/r2"].startswith("it was worse until now")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([GOOD, GOOD], "price: 0.4 USD per million requests, others 0.2"),
        ([GOOD, (3000.0, 1.0, False)], "slow: about 3000 ms or more, the goal is 1000 ms"),
    ],
)
def test_cost_says_whether_it_is_the_price_or_the_goal(answers: list[Answer], said: str) -> None:
    """Its turns follow from both."""
    words = Harness((1, 1), Strategy.COST, prices=[0.2, 0.4]).hear(answers).words()
    assert words == {"aws/r1": said}


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, 0.0]), min_size=2, max_size=5), st.sampled_from(Strategy))
def test_nothing_is_said_of_likes(weights: list[float], strategy: Strategy) -> None:
    """Whatever their weights and the strategy."""
    assert Harness(weights, strategy).hear([GOOD] * len(weights)).words() == {}


@pytest.mark.parametrize("strategy", [Strategy.WEIGHTED, Strategy.LATENCY, Strategy.RANDOM])
def test_strategies_whose_turns_learn_nothing_have_no_words(strategy: Strategy) -> None:
    """Their shares are those of the weights."""
    assert Harness(strategy=strategy).hear([GOOD, GOOD, (800, 1, False)]).words() == {}


def test_the_status_has_the_words_beside_the_share() -> None:
    """Empty for those that have about their part."""
    harness = Harness().hear([GOOD, GOOD, (80, 1, False)])
    told = status(harness.balancer, PLACE, SnapshotStore(None, harness.balancer, lambda: harness.now))
    targets = cast("list[dict[str, Any]]", told["targets"])
    assert [one["learned"][:4] for one in targets] == ["", "", "slow"]
    assert targets[2]["share"] < 0.02


@pytest.mark.parametrize("strategy", [Strategy.LATENCY, Strategy.LEAST_LOAD])
def test_no_part_is_told_where_what_is_in_flight_decides(strategy: Strategy) -> None:
    """The turns are by weight and do not tell which target gets a request; an ejection is explained all the
    same, and so is a lone target."""
    harness = Harness(strategy=strategy).hear([GOOD, GOOD, (800, 1, False)])
    keeper = SnapshotStore(None, harness.balancer, lambda: harness.now)

    def shares() -> list[float | None]:
        told = status(harness.balancer, PLACE, keeper)
        return [one["share"] for one in cast("list[dict[str, Any]]", told["targets"])]

    assert shares() == [None, None, None]
    harness.balancer.report("aws/r0", Outcome.UNRESPONSIVE)
    assert shares() == [0.0, None, None]
    harness.balancer.report("aws/r1", Outcome.UNRESPONSIVE)
    assert shares() == [0.0, 0.0, 1.0]


def test_the_last_target_that_fails_is_told_to_until_it_answers() -> None:
    """Its state stays, since no other serves."""
    harness = Harness((1, 1))
    keeper = SnapshotStore(None, harness.balancer, lambda: harness.now)

    def failing() -> list[bool]:
        told = status(harness.balancer, PLACE, keeper)
        return [one["failing"] for one in cast("list[dict[str, Any]]", told["targets"])]

    for key in harness.balancer.targets:
        harness.balancer.report(key, Outcome.UNRESPONSIVE)
    assert failing() == [False, True]
    harness.balancer.report("aws/r1", Outcome.SUCCESS)
    assert failing() == [False, False]


def test_in_panic_nothing_was_learned() -> None:
    """The least bad one is chosen then."""
    harness = Harness((1, 1)).hear([GOOD, (800, 1, False)])
    for _ in range(3):
        harness.balancer.report("aws/r0", Outcome.UNRESPONSIVE)
    harness.balancer.control(None, ["aws/r0", "aws/r1"])
    told = status(harness.balancer, PLACE, SnapshotStore(None, harness.balancer, lambda: harness.now))
    targets = cast("list[dict[str, Any]]", told["targets"])
    assert [one["learned"] for one in targets] == ["", ""]
