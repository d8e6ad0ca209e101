"""Claims about turns: kept while targets are avoided, by each strategy, and by the names of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from router.core.balance.affinity import MOST, Affinity
from router.core.balance.strategies import Strategy
from router.core.health.fleet import Outcome
from tests.router.core.balance.test_balancer import Desk

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("strategy", list(Strategy))
def test_first_attempts_keep_their_turns_while_a_target_is_avoided(strategy: Strategy) -> None:
    """The others share what the avoided one would have got; nobody gets all of it."""
    desk = Desk([1] * 6, strategy)
    for key in desk.balancer.targets:
        desk.reply(key)
    avoid = ["aws/r2", "aws/r4"]
    counted: Counter[str] = Counter()
    for _ in range(800):
        with desk.avoiding(avoid):
            choice = desk.balancer.choose(())
        assert choice is not None
        counted[choice.key] += 1
    assert not set(avoid) & set(counted)
    assert min(counted.values()) >= 120


def test_shares_are_exact_among_the_others_while_a_target_is_avoided() -> None:
    """And exact again among all when it is not."""
    desk = Desk([3, 2, 1])
    without: Counter[str] = Counter()
    for _ in range(300):
        with desk.avoiding(["aws/r0"]):
            choice = desk.balancer.choose(())
        assert choice is not None
        without[choice.key] += 1
    assert without == {"aws/r1": 200, "aws/r2": 100}
    assert desk.keys(600) == {"aws/r0": 300, "aws/r1": 200, "aws/r2": 100}


def test_avoided_targets_are_chosen_when_there_is_nobody_else() -> None:
    """Avoiding is a wish; a serving target, even of a later tier, comes before one that is out."""
    desk = Desk([1, 1, 1])
    everybody = list(desk.balancer.targets)
    with desk.avoiding(everybody):
        assert set(desk.keys(9)) == set(everybody)
        last = desk.balancer.choose(everybody[:2])
    assert last is not None
    assert last.key == everybody[2]
    standby = Desk([1, 0])
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
    desk = Desk([3, 2, 1])
    counted: Counter[str] = Counter()
    for _ in range(600):
        counted[desk.choose().key] += 1
        if other is not Strategy.WEIGHTED:
            desk.choose(strategy=other)
    assert counted == {"aws/r0": 300, "aws/r1": 200, "aws/r2": 100}


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("count", [3, 12])
def test_a_name_goes_to_the_same_target_and_names_share_by_weight(strategy: Strategy, count: int) -> None:
    """At every instance, whatever came between; the turns of others stay as they are."""
    weights = [3, 2, 1] * (count // 3)
    one, other = Desk(weights, strategy), Desk(weights, strategy, first_draw=0.7)
    counted: Counter[str] = Counter()
    for number in range(1200):
        name = b"key-%d" % number
        choices = [desk.balancer.choose((), affinity_key=name) for desk in (one, other, one)]
        one.choose()
        keys = {choice.key for choice in choices if choice}
        assert len(keys) == 1
        counted.update(keys)
    part = 1200 / sum(one.balancer.shares().values())
    for key, expected in one.balancer.shares().items():
        assert abs(counted[key] - part * expected) < 40 + part * expected * 0.35


def place(desk: Desk, name: bytes, excluded: Sequence[str] = (), avoid: Sequence[str] = ()) -> str:
    with desk.avoiding(avoid):
        choice = desk.balancer.choose(excluded, affinity_key=name)
    assert choice is not None
    return choice.key


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("count", [3, 12])
def test_only_the_names_of_who_is_out_move(strategy: Strategy, count: int) -> None:
    """So the others keep what they know. Those that move go where their retries went while it was not yet
    known, and where they went while it was avoided: there their replies are kept."""
    desk = Desk([3, 2, 1] * (count // 3), strategy)
    names = [b"key-%d" % number for number in range(300)]
    before = {name: place(desk, name) for name in names}
    of_it = [name for name in names if before[name] == "aws/r1"]
    retried: dict[bytes, str] = {}
    for name in of_it:
        retried[name] = place(desk, name, excluded=["aws/r1"])
        desk.choose()  # whatever comes between
    avoided = {name: place(desk, name, avoid=["aws/r1"]) for name in names}
    desk.balancer.report("aws/r1", Outcome.UNRESPONSIVE)
    after = {name: place(desk, name) for name in names}
    assert after == before | retried
    assert avoided == after
    assert len(set(retried.values())) > 1


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("count", [3, 12])
def test_equal_names_meet_however_busy_their_target_is(strategy: Strategy, count: int) -> None:
    """Many at once, or a repeat while the first runs: they are what keeps it busy, and elsewhere they would
    run again."""
    desk = Desk([3, 2, 1] * (count // 3), strategy)
    for number in range(50):
        name = b"key-%d" % number
        key = place(desk, name)
        with ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(desk.active(key))
                assert place(desk, name) == key


def test_a_stuck_target_is_passed_by_as_the_name_says() -> None:
    """Its oldest request in flight is late, which nobody else need have noticed."""
    desk = Desk([1, 1, 1], Strategy.ADAPTIVE)
    names = [name for number in range(60) if place(desk, name := b"key-%d" % number) == "aws/r1"]
    expected = [place(desk, name, excluded=["aws/r1"]) for name in names]
    with desk.active("aws/r1"):
        desk.now += 3
        assert [place(desk, name) for name in names] == expected
    assert len(set(expected)) == 2


def test_a_target_is_stuck_as_long_as_its_oldest_request_is() -> None:
    """Others that came and went there without an event change nothing; an event does."""
    desk = Desk([1, 1, 1], Strategy.ADAPTIVE)
    with desk.active("aws/r1"):
        with desk.active("aws/r1"):
            desk.now += 3
        assert "aws/r1" not in desk.keys(30)
        desk.reply("aws/r1")
        assert "aws/r1" in desk.keys(30)
    assert desk.balancer.inflight["aws/r1"] == 0


@pytest.mark.parametrize("strategy", [Strategy.WEIGHTED, Strategy.ROUND_ROBIN])
def test_what_promises_exact_shares_passes_nobody_by(strategy: Strategy) -> None:
    """Late or not; who is dead is found out by questions."""
    desk = Desk([1, 1, 1], strategy)
    with desk.active("aws/r1"):
        desk.now += 3
        assert desk.keys(30) == {"aws/r0": 10, "aws/r1": 10, "aws/r2": 10}


def test_a_name_is_served_by_a_standby_when_all_others_were_tried() -> None:
    """Names choose among the permitted only, and among all of them."""
    desk = Desk([1, 1, 0])
    name = b"key"
    excluded: list[str] = []
    for _ in desk.balancer.targets:
        excluded.append(place(desk, name, excluded=excluded))
    assert sorted(excluded) == sorted(desk.balancer.targets)
    assert excluded[2] == "aws/r2"
    assert desk.balancer.choose(excluded, affinity_key=name) is None
    everybody = list(desk.balancer.targets)
    assert place(desk, name, avoid=everybody) == excluded[0]


@pytest.mark.parametrize(
    "strategy", [Strategy.ADAPTIVE, Strategy.LATENCY, Strategy.COST, Strategy.LEAST_LOAD]
)
@pytest.mark.parametrize("avoid", [(), ("aws/r1",)])
def test_names_pass_by_all_that_are_stuck_as_turns_do(strategy: Strategy, avoid: Sequence[str]) -> None:
    """Whoever else a name prefers may be late too; when all are, it stays with its own, standby or not."""
    desk = Desk([1, 1, 1, 0], strategy)
    names = [b"key-%d" % number for number in range(60)]
    own = {name: place(desk, name) for name in names}
    with desk.active("aws/r0"), desk.active("aws/r1"):
        desk.now += 3
        assert {place(desk, name, avoid=avoid) for name in names} == {"aws/r2"}
        with desk.active("aws/r2"):
            desk.now += 3
            if strategy in (Strategy.COST, Strategy.ADAPTIVE):
                assert {name: place(desk, name) for name in names} == own
            assert {place(desk, name) for name in names} <= {"aws/r0", "aws/r1", "aws/r2"}


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("count", [2, 7])
def test_a_name_meets_the_same_standby_every_time(strategy: Strategy, count: int) -> None:
    """As a retry, while the last one with a weight is avoided, and when it is out."""
    desk = Desk([1] + [0] * count, strategy)
    names = [b"key-%d" % number for number in range(60)]
    retried = {name: place(desk, name, excluded=["aws/r0"]) for name in names}
    assert {name: place(desk, name, excluded=["aws/r0"]) for name in names} == retried
    assert {name: place(desk, name, avoid=["aws/r0"]) for name in names} == retried
    desk.balancer.report("aws/r0", Outcome.UNRESPONSIVE)
    assert {name: place(desk, name) for name in names} == retried
    assert len(set(retried.values())) == count


def test_a_repeat_goes_where_the_one_before_went_though_others_avoid_it() -> None:
    """Only there can it be told that the first still runs. Who is out or rests cannot say so; then the name
    says who else."""
    desk = Desk([1, 1, 1], Strategy.ADAPTIVE)
    name = next(name for number in range(60) if place(desk, name := b"key-%d" % number) == "aws/r1")
    elsewhere = place(desk, name, excluded=["aws/r1"])
    desk.balancer.remember(name, "aws/r1")
    with desk.active("aws/r1"):
        desk.now += 3
        assert place(desk, name) == "aws/r1"
        assert place(desk, name, avoid=["aws/r1"]) == "aws/r1"
        assert place(desk, name, excluded=["aws/r1"]) == elsewhere
    desk.balancer.report("aws/r1", Outcome.RATE_LIMITED, retry_after_s=5)
    assert place(desk, name) == elsewhere
    desk.now += 6
    assert place(desk, name) == "aws/r1"
    desk.balancer.report("aws/r1", Outcome.UNRESPONSIVE)
    assert place(desk, name) == elsewhere
    desk.balancer.remember(name, elsewhere)
    desk.balancer.back("aws/r1")
    assert place(desk, name) == elsewhere


def test_the_last_thousand_names_are_known() -> None:
    """The newest of each; an instance lives long and must not fill its memory."""
    names = Affinity()
    for number in range(MOST + 1):
        names.remember(b"%d" % number, "a")
        names.remember(b"0", "b")
    assert [names.get(b"%d" % number) for number in (0, 1, 2, MOST)] == ["b", None, "a", "a"]
