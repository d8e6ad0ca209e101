"""Minutes of several routers become one hour of the fleet."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.manager.fleet.minutes import RouterMinute, last_hour, parse, percentile

NOW = 1_700_000_000.0
START = int(NOW // 60) * 60


def minute(at: int, requests: int = 0, latency: dict[float, int] | None = None) -> RouterMinute:
    return RouterMinute(at, requests, 1, 2, 3, 4, latency or {})


def test_the_last_hour_has_sixty_minutes_without_gaps() -> None:
    """Oldest first; what is older or in the future is left out."""
    found = last_hour(
        [[minute(START - 7200), minute(START - 120, 5), minute(START, 7), minute(START + 60, 9)]], NOW
    )
    assert [one.at for one in found] == list(range(START - 59 * 60, START + 1, 60))
    assert {one.at: one.requests for one in found if one.requests} == {START - 120: 5, START: 7}


def test_the_same_minute_of_two_routers_is_summed() -> None:
    """Percentiles are of all requests together, not a mean of two."""
    slow, quick = minute(START, 1, {1000.0: 1}), minute(START, 99, {10.0: 99})
    found = last_hour([[slow], [quick]], NOW)[-1]
    assert (found.requests, found.errors, found.retries, found.hedges, found.ejections) == (100, 2, 4, 6, 8)
    assert (found.p50_ms, found.p99_ms) == (10.0, 10.0)


def test_without_any_minute_there_is_no_chart() -> None:
    """An hour of zeros would claim that the fleet got no request."""
    assert last_hour([[], []], NOW) == ()


@given(st.dictionaries(st.floats(1, 1e5), st.integers(1, 50), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_the_first_bound_that_holds_its_part(latency: dict[float, int], part: float) -> None:
    """Fewer requests than that part are below the bound before it."""
    found = percentile(latency, part)
    assert found is not None
    total = sum(latency.values())
    below = sum(count for bound, count in latency.items() if bound < found)
    assert below < part * total <= below + latency[found] + 1e-9 * total


def test_a_percentile_beyond_the_last_bound_is_unknown() -> None:
    """It has no upper bound to show."""
    assert percentile({10.0: 1, math.inf: 9}, 0.5) is None
    assert percentile({}, 0.5) is None


@pytest.mark.parametrize("document", [None, [], {"minutes": 3}, {"minutes": [1, "a"]}, {"bounds_ms": "x"}])
def test_a_document_of_another_form_has_no_minutes(document: object) -> None:
    """A router of another release does not break the page."""
    assert parse(document) == ()


def test_a_document_is_read_with_its_own_bounds() -> None:
    """The last count is of what is beyond the last bound."""
    document = {"bounds_ms": [1, 2], "minutes": [{"at": 60, "requests": 6, "latency": [1, 2, 3]}]}
    (found,) = parse(document)
    assert found == RouterMinute(60, 6, 0, 0, 0, 0, {1: 1, 2: 2, math.inf: 3})
