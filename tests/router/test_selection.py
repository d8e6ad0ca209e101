"""Claims about choosing among permitted targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.selection import Candidate, Credits, Strategy, pick

pytestmark = pytest.mark.pure

weights = st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any)


def candidates(*numbers: float) -> list[Candidate]:
    return [Candidate(f"t{index}", number) for index, number in enumerate(numbers)]


def picks(
    strategy: Strategy, listed: list[Candidate], times: int, draws: Iterable[float] | None = None
) -> list[str]:
    credits: Credits = {}
    chosen: list[str] = []
    source = iter(draws) if draws is not None else None
    for _ in range(times):
        key, credits = pick(strategy, credits, listed, next(source) if source else 0.5)
        chosen.append(key)
    return chosen


def test_600_picks_at_3_2_1_are_300_200_100() -> None:
    """Exact, not about."""
    assert Counter(picks(Strategy.WEIGHTED, candidates(3, 2, 1), 600)) == {"t0": 300, "t1": 200, "t2": 100}


@given(weights, st.integers(1, 4))
def test_the_ratio_is_exact_over_every_cycle(numbers: list[int], cycles: int) -> None:
    """Whatever the weights: as many turns as weight, in each cycle."""
    counted = Counter(picks(Strategy.WEIGHTED, candidates(*numbers), sum(numbers) * cycles))
    assert all(counted[f"t{index}"] == number * cycles for index, number in enumerate(numbers))


def test_turns_are_spread_not_bunched() -> None:
    """5, 1, 1 never gives the heavy one five turns in a row."""
    assert picks(Strategy.WEIGHTED, candidates(5, 1, 1), 7) == ["t0", "t0", "t1", "t0", "t2", "t0", "t0"]


@given(weights, st.lists(st.sets(st.integers(0, 5)), max_size=200))
def test_credits_sum_to_nothing_and_stay_bounded_whoever_is_left_out(
    numbers: list[int], outs: list[set[int]]
) -> None:
    """Who is left out now and then neither bursts afterwards nor loses its turn."""
    everyone = candidates(*numbers)
    credits: Credits = {}
    for out in outs:
        allowed = [one for index, one in enumerate(everyone) if index not in out]
        if not allowed:
            continue
        key, credits = pick(Strategy.WEIGHTED, credits, allowed, 0.5)
        assert key in {one.key for one in allowed}
        assert sum(credits.values()) == pytest.approx(0)
        assert all(abs(credit) <= 2 * sum(numbers) for credit in credits.values())


def test_round_robin_takes_turns_whatever_the_weights() -> None:
    """One after another, in the configured order."""
    assert picks(Strategy.ROUND_ROBIN, candidates(9, 1, 0.5), 6) == ["t0", "t1", "t2"] * 2


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50))
def test_random_follows_the_draw(draws: list[float]) -> None:
    """Equal parts of [0, 1) for equal shares."""
    listed = candidates(7, 1, 1, 1)
    expected = [f"t{min(int(draw * 4), 3)}" for draw in draws]
    assert picks(Strategy.RANDOM, listed, len(draws), draws) == expected


def test_every_strategy_honours_a_slow_start() -> None:
    """A target at a tenth of its share gets a tenth of a turn."""
    listed = [Candidate("old", 1, 1.0), Candidate("new", 1, 0.1)]
    for strategy in (Strategy.WEIGHTED, Strategy.ROUND_ROBIN):
        assert Counter(picks(strategy, listed, 110))["new"] == 10
    draws = [number / 110 for number in range(110)]
    assert Counter(picks(Strategy.RANDOM, listed, 110, draws))["new"] == 10


@given(st.sampled_from(Strategy), st.lists(st.floats(0, 100), min_size=1, max_size=6), st.floats(0, 0.999))
def test_there_is_always_a_choice(strategy: Strategy, numbers: list[float], draw: float) -> None:
    """Also among standbys only, whose weight is 0."""
    key, _ = pick(strategy, {}, candidates(*numbers), draw)
    assert key in {f"t{index}" for index in range(len(numbers))}


def test_asking_without_candidates_is_a_mistake_of_ours() -> None:
    """An empty list never falls through."""
    with pytest.raises(ValueError, match="no candidate"):
        pick(Strategy.WEIGHTED, {}, [], 0.5)
