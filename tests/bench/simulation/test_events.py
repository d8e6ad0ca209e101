"""Tests of the event loop of the simulation."""

from __future__ import annotations

import pytest

from bench.simulation.events import Loop

pytestmark = pytest.mark.pure


def test_events_run_in_order_of_time_and_then_of_scheduling() -> None:
    """The order depends on the seed alone."""
    loop, seen = Loop(), list[str]()
    loop.at(2.0, lambda: seen.append("later"))
    loop.at(1.0, lambda: seen.append("first"))
    loop.at(1.0, lambda: seen.append("second"))
    loop.run(until=3.0)
    assert seen == ["first", "second", "later"]
    assert loop.now == 3.0


def test_a_cancelled_event_does_not_run_and_an_overdue_event_runs_now() -> None:
    """The clock of the simulation never goes backwards."""
    loop, seen = Loop(5.0), list[float]()
    loop.at(6.0, lambda: seen.append(-1.0)).cancel()
    loop.at(1.0, lambda: seen.append(loop.now))
    loop.run(until=9.0)
    assert seen == [5.0]
