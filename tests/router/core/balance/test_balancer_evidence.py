"""Tests of the evidence of a balancer: replayed snapshots, faulty checkers, clocks that jump, Retry-After."""

from __future__ import annotations

import pytest

from router.core.health.last_seen import PROOF_S
from router.core.health.machine import BACKOFF_CAP_S, BACKOFF_S, Status
from router.core.outcomes import Outcome
from router.core.policy import EJECTION_CAP_S
from router.sync.snapshots import SnapshotStore
from skyfleet.contract import Strategy
from tests.router.core.balance.support import Harness
from tests.router.sync.support import (
    DOWN,
    NOW,
    YEAR,
    Clock,
    balancer,
    document,
    served,
    state,
    status_of,
)

pytestmark = pytest.mark.pure


def test_a_replayed_document_has_no_effect() -> None:
    """Older and repeated probe results change no status."""
    clock = Clock()
    one = balancer(clock)
    one.fold([document(*DOWN, at=NOW - 20), document(True, True, at=NOW - 10)])
    assert state(one) is Status.HEALTHY
    before = one.fleet.health
    one.fold([document(*DOWN, at=NOW - 40)])
    one.fold([document(*DOWN, at=NOW - 20), document(True, True, at=NOW - 10)])
    assert dict(one.fleet.health) == dict(before)


def test_a_single_faulty_checker_does_not_override_successful_traffic() -> None:
    """While requests succeed, its result is shown in the status and changes no state."""
    clock = Clock()
    one = balancer(clock)
    keeper = SnapshotStore(None, one, clock)
    for _ in range(20):
        clock.now += 1
        assert served(one) == {"aws/r0", "aws/r1", "aws/r2"}
        one.fold([document(*DOWN, at=clock.now, key=f"aws/r{number}") for number in range(3)])
    assert {each["state"] for each in status_of(one, keeper)["targets"]} == {"healthy"}
    assert [each["checkers_down"] for each in status_of(one, keeper)["targets"]] == [1, 1, 1]


def test_a_single_checker_decides_without_recent_traffic() -> None:
    """Without recent successes its result is the only evidence."""
    clock = Clock()
    quiet = balancer(clock)
    quiet.fold([document(*DOWN)])
    assert state(quiet) is Status.DOWN
    stopped = balancer(clock)
    served(stopped)
    clock.now += PROOF_S + 1
    stopped.fold([document(*DOWN, at=clock.now)])
    assert state(stopped) is Status.DOWN


def test_a_majority_of_checkers_decides() -> None:
    """Two checkers override traffic, and one of two does not decide."""
    clock = Clock()
    one = balancer(clock)
    one.fold([document(*DOWN), document(True, True, checker="aws/r1")])
    assert state(one) is Status.HEALTHY
    served(one)
    clock.now += 10
    one.fold([document(*DOWN, at=clock.now), document(*DOWN, checker="aws/r1", at=clock.now)])
    assert state(one) is Status.DOWN


@pytest.mark.parametrize("at_once", [True, False])
def test_one_success_of_another_checker_prevents_down(at_once: bool) -> None:
    """A faulty checker does not decide against a checker with a single probe, in any order."""
    clock = Clock()
    one = balancer(clock)
    honest, faulty = document(True, checker="aws/r1"), document(*DOWN)
    for news in [[faulty, honest]] if at_once else [[honest], [faulty]]:
        one.fold(news)
    assert state(one) is Status.UNKNOWN
    assert "aws/r0" in served(one)


@pytest.mark.parametrize("jump", [-YEAR, -3_600.0, -90.0, -1.0, 3_600.0, YEAR])
def test_a_clock_jump_excludes_no_target_for_longer_than_the_cap(jump: float) -> None:
    """Ejected, rate-limited and down targets serve again after any jump."""
    clock = Clock()
    one = balancer(clock, 4)
    served(one)
    one.report("aws/r0", Outcome.UNRESPONSIVE)
    one.report("aws/r1", Outcome.RATE_LIMITED, retry_after_s=YEAR)
    clock.now += PROOF_S + 1
    one.fold([document(*DOWN, at=clock.now, key="aws/r2")])
    assert served(one) <= {"aws/r0", "aws/r3"}
    clock.now += jump
    served(one)
    clock.now += EJECTION_CAP_S
    assert served(one, 100) == {f"aws/r{number}" for number in range(4)}


def test_new_snapshots_are_accepted_after_the_clock_was_set_back() -> None:
    """Earlier snapshots with later times do not hide them."""
    clock = Clock(NOW + YEAR)
    one = balancer(clock)
    one.fold([document(True, True, at=clock.now)])
    clock.now = NOW
    one.fold([document(*DOWN, at=NOW)])
    assert state(one) is Status.DOWN
    assert one.fleet.snapshots["aws/r0"].at == NOW


@pytest.mark.parametrize("asked", [YEAR, float("inf"), float("nan"), -5.0, 0.0, None])
def test_a_long_retry_after_is_limited_to_a_minute(asked: float | None) -> None:
    """An invalid Retry-After counts as a second."""
    clock = Clock()
    one = balancer(clock)
    one.report("aws/r0", Outcome.RATE_LIMITED, retry_after_s=asked)
    assert served(one) == {"aws/r1", "aws/r2"}
    assert state(one) is Status.UNKNOWN
    clock.now += BACKOFF_CAP_S if asked and asked > 0 else BACKOFF_S
    assert "aws/r0" in served(one)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_an_outage_of_all_is_no_fault_of_the_target_that_was_never_ejected(size: int) -> None:
    """The last serving target takes all failures of the outage. The others return without their own."""
    harness = Harness((*(4,) * (size - 1), 1), Strategy.WEIGHTED)
    keys = list(harness.balancer.targets)
    for _ in range(10):
        for key in keys:
            harness.reply(key)
        harness.now += 0.1
    for key in keys:
        for _ in range(20 if key == keys[-1] else 3):
            harness.balancer.report(key, Outcome.FAILURE, "status 502, not from its agent")
            harness.now += 0.01
    assert harness.balancer.traffic[keys[-1]].failures == pytest.approx(20, rel=0.1)
    for key in keys[:-1]:
        harness.balancer.back(key)
        harness.choose()
        harness.reply(key)
    harness.now += 1.0
    for _ in range(400):
        harness.reply(harness.choose().key)
        harness.now += 0.3
        assert harness.balancer.fleet.health[keys[-1]].status is not Status.DEGRADED
    for _ in range(30 * size):
        key = harness.choose().key
        if key == keys[-1]:
            harness.balancer.report(key, Outcome.CLIENT_GAVE_UP)
        else:
            harness.reply(key)
        harness.now += 0.05
    assert harness.balancer.fleet.health[keys[-1]].status is Status.DEGRADED
