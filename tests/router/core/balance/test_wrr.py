"""Claims about turns: kept while targets are avoided, by each strategy, and by the names of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from router.core.balance.affinity import MOST, Affinity
from router.core.outcomes import Outcome
from skyfleet.contract import Strategy
from tests.router.core.balance.support import Harness

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("strategy", list(Strategy))
def test_first_attempts_keep_their_turns_while_a_target_is_avoided(strategy: Strategy) -> None:
    """The others share what the avoided one would have got; none gets all of it."""
    harness = Harness([1] * 6, strategy)
    for key in harness.balancer.targets:
        harness.reply(key)
    avoid = ["aws/r2", "aws/r4"]
    counted: Counter[str] = Counter()
    for _ in range(800):
        with harness.avoiding(avoid):
            choice = harness.balancer.choose(())
        assert choice is not None
        counted[choice.key] += 1
    assert not set(avoid) & set(counted)
    assert min(counted.values()) >= 120


def test_shares_are_exact_among_the_others_while_a_target_is_avoided() -> None:
    """And exact again among all when it is not."""
    harness = Harness([3, 2, 1])
    without: Counter[str] = Counter()
    for _ in range(300):
        with harness.avoiding(["aws/r0"]):
            choice = harness.balancer.choose(())
        assert choice is not None
        without[choice.key] += 1
    assert without == {"aws/r1": 200, "aws/r2": 100}
    assert harness.keys(600) == {"aws/r0": 300, "aws/r1": 200, "aws/r2": 100}


def test_avoided_targets_are_chosen_when_there_is_no_other() -> None:
    """Avoiding is a wish; a serving target, even of a later tier, comes before one that is out."""
    harness = Harness([1, 1, 1])
    every = list(harness.balancer.targets)
    with harness.avoiding(every):
        assert set(harness.keys(9)) == set(every)
        last = harness.balancer.choose(every[:2])
    assert last is not None
    assert last.key == every[2]
    standby = Harness([1, 0])
    with standby.avoiding(["aws/r0"]):
        choice = standby.balancer.choose(())
    assert choice is not None
    assert choice.key == "aws/r1"
    for _ in range(3):
        standby.balancer.report("aws/r1", Outcome.UNRESPONSIVE)
    with standby.avoiding(["aws/r0"]):
        choice = standby.balancer.choose(())
    assert choice is not None
    assert (choice.key, choice.panic) == ("aws/r0", False)


@pytest.mark.parametrize("other", list(Strategy))
def test_requests_that_name_another_strategy_take_no_turns_of_the_rest(other: Strategy) -> None:
    """Every second request does; the others still share exactly."""
    harness = Harness([3, 2, 1])
    counted: Counter[str] = Counter()
    for _ in range(600):
        counted[harness.choose().key] += 1
        if other is not Strategy.WEIGHTED:
            harness.choose(strategy=other)
    assert counted == {"aws/r0": 300, "aws/r1": 200, "aws/r2": 100}


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("count", [3, 12])
def test_a_name_goes_to_the_same_target_and_names_share_by_weight(strategy: Strategy, count: int) -> None:
    """At every instance, whatever came between; the turns of others stay as they are."""
    weights = [3, 2, 1] * (count // 3)
    one, other = Harness(weights, strategy), Harness(weights, strategy, first_draw=0.7)
    counted: Counter[str] = Counter()
    for number in range(1200):
        name = b"key-%d" % number
        choices = [harness.balancer.choose((), affinity_key=name) for harness in (one, other, one)]
        one.choose()
        keys = {choice.key for choice in choices if choice}
        assert len(keys) == 1
        counted.update(keys)
    part = 1200 / sum(one.balancer.shares().values())
    for key, expected in one.balancer.shares().items():
        assert abs(counted[key] - part * expected) < 40 + part * expected * 0.35


def place(harness: Harness, name: bytes, excluded: Sequence[str] = (), avoid: Sequence[str] = ()) -> str:
    with harness.avoiding(avoid):
        choice = harness.balancer.choose(excluded, affinity_key=name)
    assert choice is not None
    return choice.key


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("count", [3, 12])
def test_only_the_keys_of_a_target_that_is_out_move(strategy: Strategy, count: int) -> None:
    """So the others keep what they know. Those that move go where their retries went while it was not yet
    known, and where they went while it was avoided: there their replies are kept."""
    harness = Harness([3, 2, 1] * (count // 3), strategy)
    names = [b"key-%d" % number for number in range(300)]
    before = {name: place(harness, name) for name in names}
    of_it = [name for name in names if before[name] == "aws/r1"]
    retried: dict[bytes, str] = {}
    for name in of_it:
        retried[name] = place(harness, name, excluded=["aws/r1"])
        harness.choose()  # whatever comes between
    avoided = {name: place(harness, name, avoid=["aws/r1"]) for name in names}
    harness.balancer.report("aws/r1", Outcome.UNRESPONSIVE)
    after = {name: place(harness, name) for name in names}
    assert after == before | retried
    assert avoided == after
    assert len(set(retried.values())) > 1


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("count", [3, 12])
def test_equal_names_meet_however_busy_their_target_is(strategy: Strategy, count: int) -> None:
    """Many at once, or a repeat while the first runs: they are what keeps it busy, and elsewhere they would
    run again."""
    harness = Harness([3, 2, 1] * (count // 3), strategy)
    for number in range(50):
        name = b"key-%d" % number
        key = place(harness, name)
        with ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(harness.active(key))
                assert place(harness, name) == key


def test_a_stuck_target_is_passed_by_as_the_name_says() -> None:
    """Its oldest request in flight is late, which no other instance need have noticed."""
    harness = Harness([1, 1, 1], Strategy.ADAPTIVE)
    names = [name for number in range(60) if place(harness, name := b"key-%d" % number) == "aws/r1"]
    expected = [place(harness, name, excluded=["aws/r1"]) for name in names]
    with harness.active("aws/r1"):
        harness.now += 3
        assert [place(harness, name) for name in names] == expected
    assert len(set(expected)) == 2


def test_a_target_is_stuck_as_long_as_its_oldest_request_is() -> None:
    """Others that came and went there without an event change nothing; an event does."""
    harness = Harness([1, 1, 1], Strategy.ADAPTIVE)
    with harness.active("aws/r1"):
        with harness.active("aws/r1"):
            harness.now += 3
        assert "aws/r1" not in harness.keys(30)
        harness.reply("aws/r1")
        assert "aws/r1" in harness.keys(30)
    assert harness.balancer.inflight["aws/r1"] == 0


@pytest.mark.parametrize("strategy", [Strategy.WEIGHTED, Strategy.ROUND_ROBIN])
def test_a_strategy_with_exact_shares_skips_no_target(strategy: Strategy) -> None:
    """Late or not; an unresponsive target is found by probes."""
    harness = Harness([1, 1, 1], strategy)
    with harness.active("aws/r1"):
        harness.now += 3
        assert harness.keys(30) == {"aws/r0": 10, "aws/r1": 10, "aws/r2": 10}


def test_a_name_is_served_by_a_standby_when_all_others_were_tried() -> None:
    """Names choose among the permitted only, and among all of them."""
    harness = Harness([1, 1, 0])
    name = b"key"
    excluded: list[str] = []
    for _ in harness.balancer.targets:
        excluded.append(place(harness, name, excluded=excluded))
    assert sorted(excluded) == sorted(harness.balancer.targets)
    assert excluded[2] == "aws/r2"
    assert harness.balancer.choose(excluded, affinity_key=name) is None
    every = list(harness.balancer.targets)
    assert place(harness, name, avoid=every) == excluded[0]


@pytest.mark.parametrize(
    "strategy", [Strategy.ADAPTIVE, Strategy.LATENCY, Strategy.COST, Strategy.LEAST_LOAD]
)
@pytest.mark.parametrize("avoid", [(), ("aws/r1",)])
def test_names_pass_by_all_that_are_stuck_as_turns_do(strategy: Strategy, avoid: Sequence[str]) -> None:
    """The next target of a key may be late too; when all are, the key stays with its own, standby or not."""
    harness = Harness([1, 1, 1, 0], strategy)
    names = [b"key-%d" % number for number in range(60)]
    own = {name: place(harness, name) for name in names}
    with harness.active("aws/r0"), harness.active("aws/r1"):
        harness.now += 3
        assert {place(harness, name, avoid=avoid) for name in names} == {"aws/r2"}
        with harness.active("aws/r2"):
            harness.now += 3
            if strategy in (Strategy.COST, Strategy.ADAPTIVE):
                assert {name: place(harness, name) for name in names} == own
            assert {place(harness, name) for name in names} <= {"aws/r0", "aws/r1", "aws/r2"}


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("count", [2, 7])
def test_a_name_meets_the_same_standby_every_time(strategy: Strategy, count: int) -> None:
    """As a retry, while the last one with a weight is avoided, and when it is out."""
    harness = Harness([1] + [0] * count, strategy)
    names = [b"key-%d" % number for number in range(60)]
    retried = {name: place(harness, name, excluded=["aws/r0"]) for name in names}
    assert {name: place(harness, name, excluded=["aws/r0"]) for name in names} == retried
    assert {name: place(harness, name, avoid=["aws/r0"]) for name in names} == retried
    harness.balancer.report("aws/r0", Outcome.UNRESPONSIVE)
    assert {name: place(harness, name) for name in names} == retried
    assert len(set(retried.values())) == count


def test_a_repeat_goes_where_the_one_before_went_though_others_avoid_it() -> None:
    """Only there is it known that the first still runs. A target that is out or backs off cannot say so; then
    the key picks another."""
    harness = Harness([1, 1, 1], Strategy.ADAPTIVE)
    name = next(name for number in range(60) if place(harness, name := b"key-%d" % number) == "aws/r1")
    elsewhere = place(harness, name, excluded=["aws/r1"])
    harness.balancer.remember(name, "aws/r1")
    with harness.active("aws/r1"):
        harness.now += 3
        assert place(harness, name) == "aws/r1"
        assert place(harness, name, avoid=["aws/r1"]) == "aws/r1"
        assert place(harness, name, excluded=["aws/r1"]) == elsewhere
    harness.balancer.report("aws/r1", Outcome.RATE_LIMITED, retry_after_s=5)
    assert place(harness, name) == elsewhere
    harness.now += 6
    assert place(harness, name) == "aws/r1"
    harness.balancer.report("aws/r1", Outcome.UNRESPONSIVE)
    assert place(harness, name) == elsewhere
    harness.balancer.remember(name, elsewhere)
    harness.balancer.back("aws/r1")
    assert place(harness, name) == elsewhere
    harness.now += 100
    harness.balancer.forget(name)
    assert place(harness, name) == "aws/r1"


def test_the_last_thousand_names_are_known() -> None:
    """The newest of each; an instance lives long and must not fill its memory."""
    names = Affinity()
    for number in range(MOST + 1):
        names.remember(b"%d" % number, "a")
        names.remember(b"0", "b")
    names.forget(b"2")
    names.forget(b"2")
    assert names.get(b"2") is None
    names.remember(b"2", "a")
    assert [names.get(b"%d" % number) for number in (0, 1, 2, MOST)] == ["b", None, "a", "a"]
