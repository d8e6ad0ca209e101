"""Tests of which router a client uses next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfleet.client.routers import MOST_REST_S, REST_S, Choice, Failed, Routers

pytestmark = pytest.mark.pure

HALF = REST_S / 2


Case = tuple[dict[int, Failed], set[int], float, Choice | None]
CASES: list[Case] = [
    ({}, set(), 0.0, Choice(0, ask=False, last=False)),
    ({}, {0}, 0.0, Choice(1, ask=False, last=False)),
    ({}, {0, 1}, 0.0, Choice(2, ask=False, last=True)),
    ({}, {0, 1, 2}, 0.0, None),
    ({0: Failed(1, 1.0)}, set(), 0.5, Choice(1, ask=False, last=False)),
    ({0: Failed(1, 1.0)}, set(), 1.0, Choice(0, ask=True, last=False)),
    ({0: Failed(1, 1.0)}, {1, 2}, 1.0, Choice(0, ask=False, last=True)),
    ({0: Failed(1, 1.0)}, {1, 2}, 0.5, Choice(0, ask=False, last=True)),
    (
        {0: Failed(3, 9.0), 1: Failed(1, 2.0), 2: Failed(1, 3.0)},
        set(),
        0.5,
        Choice(1, ask=False, last=False),
    ),
]
IDS = ["first", "second", "last", "none", "rests", "half-open", "only-one", "only-resting", "all-rest"]


@pytest.mark.parametrize(("failed", "tried", "now", "choice"), CASES, ids=IDS)
def test_the_first_router_that_does_not_rest_is_next(
    failed: dict[int, Failed], tried: set[int], now: float, choice: Choice | None
) -> None:
    """Of three routers."""
    assert Routers(3, failed).choose(tried, now)[1] == choice


def test_one_request_asks_a_router_after_its_rest() -> None:
    """The next request leaves it out until the answer is known."""
    known = Routers(2).lost(0, 0.0)
    known, asking = known.choose(set(), REST_S)
    known, other = known.choose(set(), REST_S)
    assert asking == Choice(0, ask=True, last=False)
    assert other == Choice(1, ask=False, last=False)
    assert known.replied(0).choose(set(), REST_S)[1] == Choice(0, ask=False, last=False)


def test_requests_that_fail_together_are_one_failure() -> None:
    """The rest is not prolonged by those that were under way."""
    known = Routers(2).lost(0, 0.0)
    assert known.lost(0, HALF) == known


def test_the_rest_doubles_up_to_its_limit() -> None:
    """Each time the question after a rest fails."""
    known, now, rests = Routers(2).lost(0, 0.0), 0.0, list[float]()
    for _ in range(7):
        rests.append(known.failed[0].until - now)
        now = known.failed[0].until
        known, choice = known.choose(set(), now)
        assert choice is not None
        assert choice.ask
        known = known.lost(0, now + HALF)
    assert rests == [1, 2, 4, 8, 16, MOST_REST_S, MOST_REST_S]


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.floats(0, 5))),
)
def test_a_request_can_use_each_router_once_whatever_happened(
    count: int, events: list[tuple[bool, int, float]]
) -> None:
    """And it goes without a question to the last one."""
    known, now = Routers(count), 0.0
    for good, index, seconds in events:
        now += seconds
        known = known.replied(index % count) if good else known.lost(index % count, now)
    used = list[Choice]()
    while True:
        known, choice = known.choose({one.index for one in used}, now)
        if choice is None:
            break
        used.append(choice)
    assert sorted(one.index for one in used) == list(range(count))
    assert [one.last for one in used] == [False] * (count - 1) + [True]
    assert not used[-1].ask
