"""Tests of which router a client uses next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfleet.client.routers import (
    COLD_PROBE_S,
    MOST_REST_S,
    PROBE_S,
    REST_S,
    SILENCE_S,
    Choice,
    Failed,
    Routers,
    Watch,
    silence_s,
)

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


def test_a_silent_router_is_the_last_of_those_that_rest() -> None:
    """Whenever its rest ends; and first again when it is asked after it."""
    known = Routers(2).answered(0, 0.0, good=False, full=False).lost(1, 0.5)
    assert known.choose(set(), 0.6)[1] == Choice(1, ask=False, last=False)
    assert known.choose(set(), 1.0)[1] == Choice(0, ask=True, last=False)


def test_one_request_asks_a_router_after_its_rest() -> None:
    """The next request leaves it out until the answer is known."""
    known = Routers(2).lost(0, 0.0)
    known, asking = known.choose(set(), REST_S)
    known, other = known.choose(set(), REST_S)
    assert asking == Choice(0, ask=True, last=False)
    assert other == Choice(1, ask=False, last=False)
    assert known.replied(0, REST_S).choose(set(), REST_S)[1] == Choice(0, ask=False, last=False)


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


ASK, ASK_COLD, LEAVE = Watch(ask_s=PROBE_S), Watch(ask_s=COLD_PROBE_S), Watch(leave=True)
RESTS = Failed(1, 100.0)
Watching = tuple[str, Routers, float, Watch]
# A request waits for the first of three routers since second 10, and has used no other.
WATCHES: list[Watching] = [
    ("at first", Routers(3), 10.0, Watch(SILENCE_S)),
    ("silent from the beginning", Routers(3), 10.5, ASK_COLD),
    ("silent for minutes", Routers(3, heard={0: -200.0}), 10.5, ASK_COLD),
    ("replied before", Routers(3, heard={0: 9.9}), 10.5, ASK),
    ("replied to another request", Routers(3, heard={0: 10.2}), 10.5, Watch(10.2 + SILENCE_S - 10.5)),
    ("another one replied", Routers(3, heard={0: 9.9, 1: 10.2}), 10.5, ASK),
    ("asked by another request", Routers(3, asked={0: 10.75}), 10.5, Watch(0.25)),
    ("asked without an answer to tell", Routers(3, heard={0: 9.9}, asked={0: 10.4}), 10.5, ASK),
    ("silent to the question", Routers(3, {0: RESTS}, silent={0: 10.5}), 10.5, LEAVE),
    ("silent before this request", Routers(3, {0: RESTS}, silent={0: 9.5}), 10.25, Watch(0.15)),
    ("back since", Routers(3, heard={0: 11.0}, silent={0: 10.5}), 11.0, Watch(SILENCE_S)),
    ("rests for another reason", Routers(3, {0: RESTS}), 10.25, Watch(0.15)),
    ("the others rest", Routers(3, {0: RESTS, 1: RESTS, 2: RESTS}, silent={0: 10.5}), 10.5, LEAVE),
    ("one other is silent too", Routers(3, silent={0: 10.5, 1: 9.0}), 10.5, LEAVE),
    ("all others are silent too", Routers(3, silent={0: 10.5, 1: 9.0, 2: 9.5}), 10.5, Watch(REST_S)),
    ("another one is back", Routers(3, heard={2: 9.6}, silent={0: 10.5, 1: 9.0, 2: 9.5}), 10.5, LEAVE),
]


@pytest.mark.parametrize(("known", "now", "found"), [row[1:] for row in WATCHES], ids=[r[0] for r in WATCHES])
def test_what_a_request_does_while_its_router_is_silent(known: Routers, now: float, found: Watch) -> None:
    """It asks, waits or leaves."""
    after = known.watch(0, 10.0, now, tried={0}, may_leave=True)[1]
    assert (after.ask_s, after.leave) == (found.ask_s, found.leave)
    assert after.wait_s == pytest.approx(found.wait_s)


def test_a_request_that_may_run_once_stays() -> None:
    """As does one that has used all other routers."""
    known = Routers(2, silent={0: 10.5})
    assert known.watch(0, 10.0, 10.5, tried={0}, may_leave=False)[1] == Watch(REST_S)
    assert known.watch(0, 10.0, 10.5, tried={0, 1}, may_leave=True)[1] == Watch(REST_S)


def test_one_question_is_enough_for_all_requests() -> None:
    """The others wait a little longer than its answer may take, and then know what it brought."""
    known, first = Routers(2, heard={0: 0.0}).watch(0, 0.0, SILENCE_S, tried={0}, may_leave=True)
    known, second = known.watch(0, 0.1, SILENCE_S + 0.1, tried={0}, may_leave=True)
    assert first == ASK
    assert PROBE_S - 0.1 < second.wait_s < PROBE_S
    known = known.answered(0, SILENCE_S + PROBE_S, good=False, full=False)
    late = SILENCE_S + 0.1 + second.wait_s
    assert known.watch(0, 0.1, late, tried={0}, may_leave=True)[1] == LEAVE
    assert SILENCE_S + PROBE_S < 1


def test_a_platform_at_its_limit_says_nothing_of_the_requests_that_run() -> None:
    """New requests go elsewhere."""
    known = Routers(2).answered(0, 0.5, good=False, full=True)
    assert known.watch(0, 0.0, 0.5, tried={0}, may_leave=True)[1] == ASK_COLD
    assert known.choose(set(), 0.5)[1] == Choice(1, ask=False, last=False)


def test_the_pauses_between_questions_grow_with_the_request() -> None:
    """Up to a limit."""
    assert [silence_s(age) for age in (0, 3, 8, 24, 600)] == [SILENCE_S, SILENCE_S, 1, 3, 5]


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
        known = known.replied(index % count, now) if good else known.lost(index % count, now)
    used = list[Choice]()
    while True:
        known, choice = known.choose({one.index for one in used}, now)
        if choice is None:
            break
        used.append(choice)
    assert sorted(one.index for one in used) == list(range(count))
    assert [one.last for one in used] == [False] * (count - 1) + [True]
    assert not used[-1].ask
