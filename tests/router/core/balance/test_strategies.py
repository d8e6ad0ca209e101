"""Claims about choosing among permitted targets: what every strategy keeps, and what each is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.balance.metrics import FADE_S, NOTHING, Traffic
from router.core.balance.picker import Basis, due_s, prepare, shares
from router.core.balance.quality import Known
from router.core.balance.strategies import Candidate, Picker, pick, pick_alternative
from router.core.policy import DEFAULT
from skyfleet.contract import Strategy

pytestmark = pytest.mark.pure

NOW = 1_000_000.0
weights = st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any)
draws = st.floats(0, 1, exclude_max=True)


def candidates(*numbers: float, share: float = 1.0) -> list[Candidate]:
    return [Candidate(f"t{index}", number, share) for index, number in enumerate(numbers)]


def known(traffic: Mapping[str, Traffic] | None = None, **prices: float) -> Known:
    return Known(traffic or {}, {**{f"t{index}": 0.2 for index in range(300)}, **prices})


def timed(ms: float, **others: float) -> Traffic:
    """A target that has been like this for long."""
    seen = replace(NOTHING, at=NOW, timed_at=NOW, latency_ms=ms, usual_ms=ms, p95_ms=2 * ms, samples=100)
    return replace(seen, outcomes=10.0, **others)


def picker(strategy: Strategy, listed: list[Candidate], about: Known | None = None) -> Picker:
    return prepare(strategy, listed, Basis(about or known(), NOW, DEFAULT))


def busy(**counts: int) -> dict[str, int]:
    return {**{f"t{index}": 0 for index in range(300)}, **counts}


def picks(one: Picker, times: int, inflight: Mapping[str, int] | None = None) -> list[str]:
    """Of requests one after another; the draws go evenly through [0, 1)."""
    return [pick(one, slot, inflight or busy(), slot * 0.618034 % 1) for slot in range(times)]


SHARES = (1.0, 0.5, 0.1, 1 / 3, 1 / 64)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Candidate], Known, dict[str, int]]:
    """Any candidates, whatever is known of them, and any number of requests in flight."""
    count = draw(st.integers(1, 8))
    number = st.one_of(st.integers(0, 20), st.floats(0, 1e6))
    listed = [Candidate(f"t{n}", draw(number), draw(st.sampled_from(SHARES))) for n in range(count)]
    seen: dict[str, Traffic] = {}
    for one in listed:
        if draw(st.booleans()):
            failures, load = draw(st.floats(0, 10)), draw(st.floats(-1, 1e3))
            ago = draw(st.floats(-100, 1e6))
            some = timed(draw(st.floats(0, 1e5)), failures=failures, load=load)
            seen[one.key] = replace(some, timed_at=NOW - ago)
    prices = {one.key: draw(st.floats(0, 1e6)) for one in listed}
    return listed, Known(seen, prices), {one.key: draw(st.integers(0, 50)) for one in listed}


@given(st.sampled_from(Strategy), fleets(), st.integers(0, 2**32), draws)
def test_whatever_is_known_there_is_always_a_choice_and_only_of_candidates(
    strategy: Strategy, fleet: tuple[list[Candidate], Known, dict[str, int]], slot: int, draw: float
) -> None:
    """Also among standbys only; one after another until all were tried, never one twice."""
    here, about, inflight = fleet
    one = picker(strategy, here, about)
    permitted = {each.key for each in here if each.weight} or {each.key for each in here}
    assert set(one.keys) == permitted == set(one.slots)
    excluded: list[str] = []
    key: str | None = pick(one, slot, inflight, draw)
    while key is not None:
        assert key in permitted - set(excluded)
        excluded.append(key)
        key = pick_alternative(one, slot, inflight, draw, excluded)
    assert set(excluded) == permitted


@given(weights, st.integers(1, 4))
def test_the_ratio_of_weighted_is_exact_over_every_cycle(numbers: list[int], cycles: int) -> None:
    """Whatever the weights: as many turns as weight, wherever one begins."""
    counted = Counter(picks(picker(Strategy.WEIGHTED, candidates(*numbers)), sum(numbers) * cycles))
    assert all(counted[f"t{index}"] == number * cycles for index, number in enumerate(numbers))


def test_600_picks_at_3_2_1_are_300_200_100() -> None:
    """Exact, not about."""
    one = picker(Strategy.WEIGHTED, candidates(3, 2, 1))
    assert Counter(picks(one, 600)) == {"t0": 300, "t1": 200, "t2": 100}


@given(weights)
def test_turns_are_spread_not_bunched(numbers: list[int]) -> None:
    """At no time is a target further from its share than the others' number of turns."""
    chosen = picks(picker(Strategy.WEIGHTED, candidates(*numbers)), 2 * sum(numbers))
    served = [number for number in numbers if number]
    for key, number in ((f"t{index}", number) for index, number in enumerate(numbers) if number):
        had = 0
        for slot, one in enumerate(chosen, 1):
            had += one == key
            assert abs(had - slot * number / sum(numbers)) <= 1 + len(served) / 2


def test_the_heaviest_is_interrupted_evenly() -> None:
    """5, 1, 1 never gives the heavy one five turns in a row."""
    one = picker(Strategy.WEIGHTED, candidates(5, 1, 1))
    assert picks(one, 7) == ["t0", "t1", "t0", "t0", "t0", "t2", "t0"]


def test_round_robin_takes_turns_whatever_the_weights() -> None:
    """One after another, in the configured order."""
    assert picks(picker(Strategy.ROUND_ROBIN, candidates(9, 1, 0.5)), 6) == ["t0", "t1", "t2"] * 2


@given(st.lists(draws, min_size=1, max_size=50))
def test_random_follows_the_draw(drawn: list[float]) -> None:
    """Equal parts of [0, 1) for equal shares."""
    one = picker(Strategy.RANDOM, candidates(7, 1, 1, 1))
    assert [pick(one, 0, busy(), draw) for draw in drawn] == [f"t{int(draw * 4)}" for draw in drawn]


def test_random_picks_the_targets_of_repeats_too() -> None:
    """Else all repeats of one turn would meet at one target."""
    one = picker(Strategy.RANDOM, candidates(1, 1, 1))
    found = Counter(pick_alternative(one, 5, busy(), draw / 30, {"t0"}) for draw in range(30))
    assert set(found) == {"t1", "t2"}
    assert min(found.values()) >= 5


@pytest.mark.parametrize("strategy", Strategy)
def test_every_strategy_honours_the_share_that_health_allows(strategy: Strategy) -> None:
    """A target at a tenth of its share gets about a tenth of a turn, and no more."""
    listed = [Candidate("t0", 1, 1.0), Candidate("t1", 1, 0.1)]
    assert Counter(picks(picker(strategy, listed), 1100))["t1"] <= 101


@pytest.mark.parametrize("strategy", [Strategy.WEIGHTED, Strategy.ROUND_ROBIN, Strategy.ADAPTIVE])
def test_where_turns_are_taken_the_share_is_exact(strategy: Strategy) -> None:
    """Ten of 110, and in `adaptive` too as long as nothing tells the targets apart."""
    listed = [Candidate("t0", 1, 1.0), Candidate("t1", 1, 0.1)]
    assert Counter(picks(picker(strategy, listed), 110))["t1"] == 10


@pytest.mark.parametrize("count", [2, 3, 5, 30, 300])
def test_least_load_picks_the_less_busy(count: int) -> None:
    """With few targets of all, with many the better of two; the busiest is hardly ever taken."""
    one = picker(Strategy.LEAST_LOAD, candidates(*[1.0] * count))
    inflight = {f"t{index}": 5 + index % 7 for index in range(count)} | {"t0": 0, "t1": 90}
    chosen = Counter(picks(one, 900, inflight))
    assert not chosen["t1"]
    if count <= 5:
        assert set(chosen) == {"t0"}
    else:
        assert chosen["t0"] >= 1.8 * 900 / count


def test_with_many_targets_the_second_of_two_is_picked_at_random() -> None:
    """Any of the others, each for an equal part; the next in turn would get all that one sheds."""
    one = picker(Strategy.LEAST_LOAD, candidates(*[1.0] * 12))
    first = one.slots[0]
    chosen = [pick(one, 0, busy(**{first: 5}), (number + 0.5) / 11) for number in range(11)]
    assert sorted(chosen) == sorted(set(one.keys) - {first})


def test_least_load_counts_what_agents_report() -> None:
    """Four requests of other routers weigh like four of our own."""
    one = picker(Strategy.LEAST_LOAD, candidates(1, 1), known({"t0": timed(5, load=4.0), "t1": timed(5)}))
    assert set(picks(one, 10, busy(t1=3))) == {"t1"}
    assert set(picks(one, 10, busy(t1=5))) == {"t0"}


def test_least_load_is_not_drawn_to_a_target_that_fails_fast() -> None:
    """A target that answers everything at once with an error is never loaded."""
    one = picker(Strategy.LEAST_LOAD, candidates(1, 1), known({"t0": timed(5, failures=9.0)}))
    assert set(picks(one, 10, busy(t0=1, t1=8))) == {"t1"}


@pytest.mark.parametrize("count", [2, 5, 6, 300])
def test_latency_leaves_a_slow_target(count: int) -> None:
    """It is taken only where two at random are both slow, or never."""
    seen = {f"t{index}": timed(20) for index in range(count)} | {"t1": timed(400)}
    chosen = Counter(picks(picker(Strategy.LATENCY, candidates(*[1.0] * count), known(seen)), 1200))
    assert not chosen["t1"]
    assert max(chosen.values()) <= 2 * 1200 / (count - 1)


@pytest.mark.parametrize("count", [3, 6])
def test_latency_keeps_the_target_in_turn_unless_another_is_better_by_a_fifth(count: int) -> None:
    """So likes share alike, however many there are."""
    for ms, spared in ((23.0, True), (28.0, False)):
        seen = {f"t{index}": timed(20) for index in range(count)} | {"t1": timed(ms)}
        one = picker(Strategy.LATENCY, candidates(*[1.0] * count), known(seen))
        assert ("t1" in picks(one, 60)) is spared


def test_latency_weighs_requests_in_flight() -> None:
    """A target twice as fast is worth waiting for behind one other, not behind three."""
    one = picker(Strategy.LATENCY, candidates(1, 1), known({"t0": timed(10), "t1": timed(22)}))
    assert set(picks(one, 4, busy(t0=0))) == {"t0"}
    assert set(picks(one, 4, busy(t0=3))) == {"t1"}


def test_latency_comes_back_when_nothing_more_is_heard() -> None:
    """A slow target's latency fades to what it usually was, so it is tried again."""
    seen = {"t0": timed(20), "t1": replace(timed(20), latency_ms=200.0)}
    listed = candidates(1, 1)
    now = Basis(known(seen), NOW, DEFAULT)
    later = replace(now, now=NOW + 8 * FADE_S)
    assert "t1" not in picks(prepare(Strategy.LATENCY, listed, now), 20)
    assert Counter(picks(prepare(Strategy.LATENCY, listed, later), 20)) == {"t0": 10, "t1": 10}


def test_cost_picks_the_cheapest_that_meets_the_goal() -> None:
    """All but the trickle that keeps the others' latency known."""
    seen = {"t0": timed(100), "t1": timed(900), "t2": timed(5000)}
    one = picker(Strategy.COST, candidates(1, 1, 1), known(seen, t0=0.4, t1=0.2, t2=0.1))
    assert shares(one)["t1"] > 0.98


def test_cost_leaves_a_target_that_misses_the_goal() -> None:
    """The next cheapest takes over; when none meets the goal, the fastest does."""
    seen = {"t0": timed(100), "t1": timed(1300), "t2": timed(5000)}
    about = known(seen, t0=0.4, t1=0.2, t2=0.1)
    assert shares(picker(Strategy.COST, candidates(1, 1, 1), about))["t0"] > 0.98
    slow = known({**seen, "t0": timed(2000)}, t0=0.4, t1=0.2, t2=0.1)
    assert shares(picker(Strategy.COST, candidates(1, 1, 1), slow))["t1"] > 0.98


def test_cost_shares_by_weight_among_equal_prices() -> None:
    """Two of the three clouds ask the same."""
    one = picker(Strategy.COST, candidates(3, 1, 9), known(t2=0.4))
    assert shares(one)["t0"] == pytest.approx(3 * shares(one)["t1"], rel=0.05)
    assert shares(one)["t2"] < 0.01


def test_cost_repeats_at_the_next_cheapest() -> None:
    """Not at the target that has the next turn of the trickle."""
    seen = {"t0": timed(10), "t1": timed(900), "t2": timed(10), "t3": timed(5000)}
    one = picker(Strategy.COST, candidates(1, 1, 1, 1), known(seen, t0=0.9, t1=0.2, t2=0.4, t3=0.1))
    order = [pick_alternative(one, 0, busy(), 0.5, excluded) for excluded in ((), ("t1",), ("t1", "t2"))]
    assert order == ["t1", "t2", "t0"]


def test_adaptive_passes_a_turn_on_when_the_other_is_clearly_less_busy() -> None:
    """Requests pile up at a target that swallows them before any latency is known."""
    one = picker(Strategy.ADAPTIVE, candidates(1, 1))
    assert set(picks(one, 10, busy(t0=3))) == {"t1"}
    assert Counter(picks(one, 10, busy(t0=2))) == {"t0": 5, "t1": 5}


def test_adaptive_never_passes_a_turn_to_a_target_at_its_floor_for_being_idle() -> None:
    """A derated one is idle because of that."""
    about = known({"t0": timed(20), "t1": timed(20), "t2": timed(2000)})
    one = picker(Strategy.ADAPTIVE, candidates(1, 1, 1), about)
    chosen = Counter(picks(one, 1280, busy(t0=40, t1=40)))
    assert chosen["t2"] == pytest.approx(10, abs=1)


def test_asking_without_candidates_is_a_mistake_of_ours() -> None:
    """An empty list never falls through."""
    with pytest.raises(ValueError, match="no candidate"):
        picker(Strategy.WEIGHTED, [])


@pytest.mark.parametrize(("count", "after"), [(1, 0.25), (3, 0.25), (75, 0.25), (150, 0.5), (300, 1.0)])
def test_many_targets_are_looked_at_less_often(count: int, after: float) -> None:
    """One rule for all strategies: each quarter of a second, with 300 targets each second."""
    assert due_s(count, DEFAULT) == after
