"""Claims about the end of a slowness by health checks, and about what is no news after it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.balance.metrics import NOTHING
from router.core.health import slowness
from router.core.health.slowness import Slowness
from router.core.outcomes import Outcome
from skyfleet.contract import Strategy
from tests.router.core.balance.support import Harness

pytestmark = pytest.mark.pure

A, B = "aws/r0", "aws/r1"
USUAL_MS, SLOW_MS = 50.0, 500.0


def after_checks(*took_ms: float) -> bool:
    """Whether the last of these checks shows that the slowness is over."""
    one, over = Slowness(0.0), False
    for took in took_ms:
        one, over = slowness.checked(one, took)
    return over


@pytest.mark.parametrize(
    ("took_ms", "over"),
    [
        ((500.0, 510.0, 490.0, 2.0), True),
        ((500.0, 510.0, 490.0, 170.0), False),  # more than a third
        ((2.0, 3.0, 2.0, 2.0), False),  # only requests are slow
        ((60.0, 2.0, 60.0, 0.5), False),  # one was as fast before
        ((500.0, 510.0, 2.0), False),  # too few to compare with
        ((40.0, 40.0, 40.0, 1.0), False),  # no difference that a client notices
    ],
)
def test_a_check_much_faster_than_all_before_ends_a_slowness(took_ms: tuple[float, ...], over: bool) -> None:
    """The checks of one slowness are compared with each other, so no usual time of /health is needed."""
    assert after_checks(*took_ms) is over


@given(st.lists(st.floats(100, 299), min_size=1, max_size=40))
def test_checks_that_differ_by_less_than_a_third_show_nothing(took_ms: list[float]) -> None:
    """However many there are."""
    assert not after_checks(*took_ms)


def test_a_target_is_slow_by_comparison_with_itself() -> None:
    """A distant one is not, nor one of which nothing is known."""
    seen = replace(NOTHING, samples=20, usual_ms=USUAL_MS, latency_ms=SLOW_MS, timed_at=100.0)
    assert slowness.is_slowed(seen, 100.0)
    assert not slowness.is_slowed(replace(seen, usual_ms=400.0), 100.0)
    assert not slowness.is_slowed(replace(seen, usual_ms=1.0, latency_ms=40.0), 100.0)
    assert not slowness.is_slowed(NOTHING, 100.0)


def slowed() -> Harness:
    """Two targets, of which one has become slow and is being checked."""
    harness = Harness([1, 1], Strategy.ADAPTIVE)
    for key, ms in ((A, USUAL_MS), (B, USUAL_MS), (A, SLOW_MS)):
        for _ in range(20):
            harness.now += 0.05
            harness.reply(key, ms)
            harness.choose()
    assert list(harness.balancer.slow) == [A]
    assert harness.balancer.shares()[A] < 0.02
    return harness


def check(harness: Harness, took_ms: float) -> None:
    harness.now += 0.1
    harness.balancer.slow_target_checked(A, took_ms)


def recovered() -> Harness:
    """The same after checks that show its recovery."""
    harness = slowed()
    for took_ms in (500.0, 500.0, 500.0, 2.0):
        check(harness, took_ms)
    harness.choose()
    return harness


def test_a_slow_target_is_due_for_checks_at_pauses() -> None:
    """As one that is out."""
    harness = slowed()
    assert harness.balancer.checks_due({}) == ([A], 0.1)
    harness.balancer.report(A, Outcome.UNRESPONSIVE)
    assert harness.balancer.checks_due({}) == ([A], 0.1)
    harness.choose()
    assert not harness.balancer.slow


def test_a_check_gives_most_of_the_share_back_at_once() -> None:
    """Checks end, and the next fast reply ends the slowness."""
    harness = recovered()
    assert not harness.balancer.slow
    assert harness.balancer.checks_due({})[1] == math.inf
    assert harness.balancer.shares()[A] == pytest.approx(0.6 / 1.6, abs=0.01)
    harness.reply(A, USUAL_MS)
    harness.now += 1
    harness.choose()
    assert harness.balancer.shares()[A] == pytest.approx(0.5, abs=0.01)


def test_a_slow_reply_after_such_a_check_takes_the_share_back() -> None:
    """/health may be fine before requests are; the checks begin again."""
    harness = recovered()
    harness.now += 1
    harness.reply(A, SLOW_MS)
    harness.choose()
    assert harness.balancer.shares()[A] < 0.05
    assert list(harness.balancer.slow) == [A]


def test_attempts_from_before_such_a_check_are_no_news() -> None:
    """Neither their late replies, nor that a hedge overtook them or that they are still active."""
    harness = recovered()
    harness.now += 0.2
    before = harness.balancer.traffic[A]
    harness.reply(A, SLOW_MS)
    assert harness.balancer.traffic[A].latency_ms == before.latency_ms
    assert not harness.balancer.lost_to_hedge(A, 10 * SLOW_MS, cold=False)
    harness.now -= 0.15
    harness.balancer.attempt_is_slow(A)
    assert harness.balancer.traffic[A].slow_streak == 0
    harness.now += 4
    assert harness.balancer.lost_to_hedge(A, SLOW_MS, cold=False)
    harness.balancer.attempt_is_slow(A)
    assert harness.balancer.traffic[A].slow_streak == 1


def test_an_attempt_from_before_such_a_check_keeps_no_request_away() -> None:
    """A stalled attempt shows a stall only where nothing has shown a recovery since."""
    harness = slowed()
    with harness.active(A):
        for took_ms in (500.0, 500.0, 500.0):
            check(harness, took_ms)
        harness.now += 3
        assert harness.balancer.avoid(harness.now) == [A]
        check(harness, 2.0)
        assert harness.balancer.avoid(harness.now) == []


def test_the_answer_of_a_check_that_comes_too_late_changes_nothing() -> None:
    """The target is not slow any more."""
    harness = recovered()
    before = harness.balancer.traffic[A]
    check(harness, 0.1)
    assert harness.balancer.traffic[A] is before
