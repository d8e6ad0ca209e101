"""Claims about the bounds of a soak and its faults."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.failover.scenarios import TARGETS
from bench.soak.faults import FAULT_S, FAULTS, HEAL_S, MINUTE_S, QUIET_S, fault_of, steps_of
from bench.soak.judge import Bound, alarms, bounds, growth_mb
from bench.soak.watch import Sample

pytestmark = pytest.mark.pure

IDLE = Sample(0.0, 30.0, 12, 6, 2, 0, 1.0)
NOTHING = {"lost": 0, "wrong_repeats": 0, "alarms": 0, "restarts": 0}
MINUTES = 10


def load(mb_per_minute: float = 0.0) -> list[Sample]:
    """Samples of a run whose memory grows, and is higher still during each fault."""
    return [
        replace(IDLE, at_s=at, rss_mb=30 + mb_per_minute * (at // 60) + (20 if at % 60 < QUIET_S else 0))
        for at in range(0, MINUTES * 60, 2)
    ]


def broken(found: list[Bound]) -> list[str]:
    return [one.name for one in found if not one.holds]


def test_a_flat_run_keeps_all_bounds() -> None:
    """What a fault takes for its time is no growth."""
    assert broken(bounds(load(), MINUTES, ([IDLE], [IDLE]), NOTHING)) == []


@pytest.mark.parametrize(("mb_per_minute", "holds"), [(0.3, True), (0.5, False), (-0.5, True)])
def test_memory_that_grows_breaks_its_bound(mb_per_minute: float, holds: bool) -> None:
    """By more than 2 MB between the first and the last third."""
    found = bounds(load(mb_per_minute), MINUTES, ([IDLE], [IDLE]), NOTHING)
    assert broken(found) == ([] if holds else ["growth of memory, MB"])


def test_the_first_minutes_do_not_count() -> None:
    """Caches and pools fill."""
    samples = [replace(one, rss_mb=1.0) if one.at_s < 120 else one for one in load()]
    assert growth_mb(samples, MINUTES) == (30.0, 0.0)


@pytest.mark.parametrize(
    ("name", "more", "bound"),
    [
        ("descriptors", 5, "idle descriptors"),
        ("sockets", 5, "idle sockets"),
        ("tasks", 2, "idle asyncio tasks"),
        ("inflight", 1, "idle active requests in the status"),
    ],
)
def test_what_is_left_after_the_load_breaks_its_bound(name: str, more: int, bound: str) -> None:
    """The least of the idle time counts: a checker that comes by is no leak."""
    left = replace(IDLE, **{name: getattr(IDLE, name) + more})
    assert broken(bounds(load(), MINUTES, ([IDLE], [left, left]), NOTHING)) == [bound]
    assert broken(bounds(load(), MINUTES, ([IDLE], [left, IDLE]), NOTHING)) == []


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_may_be_lost(name: str) -> None:
    """One is too many."""
    assert len(broken(bounds(load(), MINUTES, ([IDLE], [IDLE]), {**NOTHING, name: 1}))) == 1


def test_what_was_not_measured_breaks_its_bound() -> None:
    """A run without samples proves nothing."""
    found = bounds([], MINUTES, ([], []), NOTHING)
    assert sum(math.isnan(one.found) for one in found) == 5
    assert len(broken(found)) == 5


def test_alarming_lines_are_counted() -> None:
    """What an operator would be woken for; a reply that a target broke off is none of it."""
    log = "WARNING id-1 The client sees it truncated.\nTask exception was never retrieved\nTraceback (most\n"
    assert alarms(log) == 2


def test_each_minute_has_one_fault_that_ends() -> None:
    """In half an hour each target has each kind once; a killed target is started before it is healed."""
    minutes = range(len(FAULTS) * len(TARGETS))
    assert len({fault_of(minute) for minute in minutes}) == len(minutes)
    for minute in minutes:
        begin, *_, end = steps = steps_of(minute)
        assert (begin.at_s, end.at_s, end.action) == (FAULT_S, HEAL_S, "heal")
        assert {step.numbers for step in steps} == {(fault_of(minute)[1],)}
        assert ("start" in [step.action for step in steps]) == (begin.action == "kill")
        assert sorted(step.at_s for step in steps) == [step.at_s for step in steps]
    assert HEAL_S < QUIET_S < MINUTE_S
