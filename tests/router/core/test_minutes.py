"""Counts of minutes add up in any order, and a document is read as it was written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.core import minutes
from router.core.balance.balancer import Balancer
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT
from router.core.request.budget import AttemptReason
from skyfleet.contract import Strategy
from tests.router.core.health.support import targets

pytestmark = pytest.mark.pure
NOW = 1_700_000_040.0
LAST = minutes.start_of(NOW)

counts = st.lists(st.integers(0, 1000), min_size=minutes.LENGTH, max_size=minutes.LENGTH).map(tuple)
starts = st.integers(0, 70).map(lambda age: LAST + 5 * 60 - age * 60)
hours = st.dictionaries(starts, counts, max_size=4)


@given(hours, hours, hours)
def test_minutes_add_up_in_any_order_and_grouping(
    one: dict[int, minutes.Counts], two: dict[int, minutes.Counts], three: dict[int, minutes.Counts]
) -> None:
    """Instances write when they can."""
    whole = minutes.merge([one, two, three], NOW)
    assert whole == minutes.merge([three, one, two], NOW)
    assert whole == minutes.merge([one, minutes.merge([two, three], NOW)], NOW)
    kept = [each[at] for each in (one, two, three) for at in each if LAST - 59 * 60 <= at <= LAST]
    assert sum(map(sum, whole.values())) == sum(map(sum, kept))


@given(hours)
@example({LAST: (3, *[0] * (minutes.LENGTH - 1))})
def test_a_document_is_read_as_it_was_written(one: dict[int, minutes.Counts]) -> None:
    """Zeros at the end of a histogram are left out and come back."""
    hour = minutes.merge([one], NOW)
    assert minutes.parse(minutes.dump(hour)) == hour


@given(counts, counts)
def test_what_was_counted_between_two_readings_makes_the_second(
    before: minutes.Counts, more: minutes.Counts
) -> None:
    """A reading is a sum since the start of the instance."""
    now = tuple(one + other for one, other in zip(before, more, strict=True))
    assert minutes.since(before, now) == more


def test_an_hour_has_sixty_minutes_and_no_future() -> None:
    """A clock that was set back leaves no minute for ever."""
    old, new, late = LAST - 60 * 60, LAST - 59 * 60, LAST + 60
    merged = minutes.merge([{old: minutes.NOTHING, new: minutes.NOTHING, late: minutes.NOTHING}], NOW)
    assert list(merged) == [new]


GOOD: dict[str, object] = {**dict.fromkeys(minutes.NAMES, 1), "at": LAST, "latency": [1]}
BAD: list[object] = [
    None,
    [],
    {},
    {"version": 2, "minutes": []},
    {"version": 1, "minutes": {}},
    {"version": 1, "minutes": [3]},
    {"version": 1, "minutes": [{**GOOD, "at": LAST + 1}]},
    {"version": 1, "minutes": [{**GOOD, "at": None}]},
    {"version": 1, "minutes": [{**GOOD, "requests": -1}]},
    {"version": 1, "minutes": [{**GOOD, "errors": True}]},
    {"version": 1, "minutes": [{**GOOD, "retries": 1.5}]},
    {"version": 1, "minutes": [{**GOOD, "hedges": 1 << 60}]},
    {"version": 1, "minutes": [{**GOOD, "latency": None}]},
    {"version": 1, "minutes": [{**GOOD, "latency": ["1"]}]},
    {"version": 1, "minutes": [{**GOOD, "latency": [0] * minutes.LENGTH}]},
]


@pytest.mark.parametrize("document", BAD)
def test_a_document_that_is_not_understood_is_not_read(document: object) -> None:
    """Neither in part: a wrong count would be added to right ones."""
    assert minutes.parse(document) is None
    assert minutes.parse({"version": 1, "minutes": [GOOD]}) is not None


def test_a_balancer_counts_hedges_ejections_and_the_time_of_each_request() -> None:
    """Since its start, in the order of a minute's counts."""
    now = [NOW]
    one = Balancer(targets(1.0, 1.0), Strategy.ROUND_ROBIN, DEFAULT, lambda: now[0], lambda: 0.5)
    assert one.counts() == minutes.NOTHING
    for ms in (0.5, 1.0, 1.1, 1e9):
        one.request_began()
        one.request_took(ms)
    paid = [one.afford("aws/r1", reason) for reason in (AttemptReason.HEDGE, AttemptReason.RETRY)]
    assert paid == [True, True]
    for _ in range(6):
        one.report("aws/r0", Outcome.FAILURE, "HTTP 503")
    named = dict(zip(minutes.NAMES, one.counts(), strict=False))
    assert named == {"requests": 4, "errors": 0, "retries": 0, "hedges": 1, "ejections": 1}
    latency = one.counts()[len(minutes.NAMES) :]
    assert (latency[:2], latency[-1], sum(latency)) == ((2, 1), 1, 4)


def test_the_bounds_grow_by_a_quarter_at_most() -> None:
    """So a percentile is at most 25 % too high, and two minutes have a bound."""
    pairs = list(zip(minutes.BOUNDS_MS, minutes.BOUNDS_MS[1:], strict=False))
    assert all(low < high <= low * 1.26 for low, high in pairs)
    assert (minutes.BOUNDS_MS[0], minutes.BOUNDS_MS[-1] > 120_000) == (1, True)
