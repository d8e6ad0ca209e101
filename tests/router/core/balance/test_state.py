"""Tests of what a router instance knows of its targets and how events change it."""

from __future__ import annotations

import math

import pytest

from router.core.balance.picker import Basis, prepare
from router.core.balance.quality import Known
from router.core.health.machine import Status
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT, Policy
from router.core.request.budget import AttemptReason
from skyfleet.contract import Strategy
from tests.router.core.balance.support import Harness

pytestmark = pytest.mark.pure

A, B = "aws/r0", "aws/r1"


def down(checker: str, key: str, at: float) -> Snapshot:
    return Snapshot(checker, at, {key: tuple(ProbeResult(at - ago, False) for ago in (2.0, 1.0, 0.0))})


def test_requests_and_failures_are_counted() -> None:
    """Each by its own report."""
    balancer = Harness([1, 1]).balancer
    balancer.request_began()
    balancer.request_began()
    balancer.request_failed()
    assert (balancer.requests, balancer.failed) == (2, 1)


def test_an_attempt_that_the_budget_cannot_pay_is_refused() -> None:
    """A second hedge, when the bucket holds one."""
    balancer = Harness([1, 1], policy=Policy(hedge_burst=1.0)).balancer
    assert balancer.afford(A, AttemptReason.HEDGE)
    assert not balancer.afford(A, AttemptReason.HEDGE)
    assert balancer.afford(A, AttemptReason.RETRY)


@pytest.mark.parametrize("replied", [True, False])
def test_a_failed_probe_ejects_only_a_target_without_a_reply_since(replied: bool) -> None:
    """Its first answer afterwards ends such an ejection."""
    harness = Harness([1, 1])
    balancer = harness.balancer
    balancer.probe_started(A)
    harness.now += 1
    if replied:
        balancer.responded(A)
    balancer.probe_ended(A, alive=False)
    assert balancer.out() == ([] if replied else [A])
    assert 1 <= balancer.retry_after_s() <= DEFAULT.ejection_s
    balancer.probe_ended(A, alive=True)
    assert not balancer.out()


def test_a_failed_probe_without_a_start_or_of_a_target_that_is_out_changes_nothing() -> None:
    """There is no period in which the target was silent, or it is ejected already."""
    harness = Harness([1, 1])
    balancer = harness.balancer
    balancer.probe_ended(A, alive=False)
    assert not balancer.out()
    for _ in range(2):
        balancer.probe_started(A)
        balancer.probe_ended(A, alive=False)
    assert balancer.fleet.health[A].ejections == 1


def test_requests_of_an_earlier_absence_do_not_eject_a_target_that_returned() -> None:
    """Fifty requests were active when a black hole began. They fail one after another, after its end."""
    harness = Harness([1, 1])
    balancer = harness.balancer
    balancer.report(A, Outcome.UNRESPONSIVE)
    harness.now += 6
    balancer.probe_ended(A, alive=True)
    assert balancer.fleet.health[A].status is Status.SLOW_START
    for _ in range(50):
        harness.now += 0.1
        balancer.attempt_failed(A, Outcome.UNRESPONSIVE, "x", harness.now - 1_000_000.0)
    assert (balancer.fleet.health[A].status, balancer.fleet.health[A].ejections) == (Status.SLOW_START, 1)
    balancer.attempt_failed(A, Outcome.SILENCE, "x", 0.5)
    assert (balancer.fleet.health[A].status, balancer.fleet.health[A].ejections) == (Status.EJECTED, 2)


def test_a_probe_that_began_in_an_absence_says_nothing_of_the_time_after() -> None:
    """Another one succeeded meanwhile."""
    harness = Harness([1, 1])
    balancer = harness.balancer
    balancer.report(A, Outcome.UNRESPONSIVE)
    balancer.probe_started(A)
    harness.now += 1
    balancer.back(A)
    balancer.probe_ended(A, alive=False)
    assert balancer.fleet.health[A].status is Status.SLOW_START


def test_checks_of_targets_that_are_out_are_due_at_pauses() -> None:
    """At once, then a tenth of a second after the last; with none out, never. A clock that was set back
    does not keep a check away."""
    harness = Harness([1, 1])
    balancer = harness.balancer
    assert balancer.checks_due({}) == ([], math.inf)
    balancer.report(A, Outcome.UNRESPONSIVE)
    assert balancer.checks_due({}) == ([A], 0.1)
    assert balancer.checks_due({A: harness.now - 0.0625})[1] == pytest.approx(0.0375)
    assert balancer.checks_due({A: harness.now - 0.125}) == ([A], 0.1)
    assert balancer.checks_due({A: harness.now + 3_600}) == ([A], 0.1)


def test_a_snapshot_may_name_targets_that_this_router_does_not_have() -> None:
    """After an upgrade the fleets of checker and router may differ."""
    harness = Harness([1, 1])
    alive = (ProbeResult(harness.now, True),)
    harness.balancer.fold([Snapshot("c", harness.now, {A: alive, "gcp/gone": alive})])
    assert harness.balancer.last_seen[A].checker == harness.now
    assert set(harness.balancer.last_seen) == {A, B}


def test_the_report_of_a_single_checker_is_unconfirmed_unless_there_is_own_evidence() -> None:
    """Own evidence is a good reply within the last seconds."""
    harness = Harness([1, 1])
    news = [down("c", A, harness.now)]
    assert harness.balancer.unconfirmed_down(news) == (A,)
    harness.reply(A)
    assert harness.balancer.unconfirmed_down(news) == ()
    good = Snapshot("c", harness.now, {A: (ProbeResult(harness.now, True),)})
    assert harness.balancer.unconfirmed_down([good]) == ()


def test_own_evidence_ends_what_a_single_checker_put_out() -> None:
    """A newer report of the same checker does not put the target out again."""
    harness = Harness([1, 1])
    balancer = harness.balancer
    balancer.fold([down("c", A, harness.now)])
    assert balancer.out() == [A]
    balancer.responded(A)
    harness.now += 5
    balancer.fold([down("c", A, harness.now)])
    assert balancer.fleet.health[A].status is Status.SLOW_START
    harness.now += 5
    balancer.responded(A)
    balancer.fold([down("c", A, harness.now)])
    assert not balancer.out()


@pytest.mark.parametrize(
    ("hedge", "strategy", "expected"),
    [
        ("off", Strategy.ADAPTIVE, math.inf),
        ("auto", Strategy.WEIGHTED, math.inf),
        ("auto", Strategy.ADAPTIVE, DEFAULT.probe_after_s),
        ("on", Strategy.WEIGHTED, DEFAULT.probe_after_s),
    ],
)
def test_hedging_follows_the_policy_and_the_strategy(hedge: str, strategy: Strategy, expected: float) -> None:
    """Before anything is learned, a hedge waits as long as a probe."""
    assert Harness([1, 1], policy=Policy(hedge=hedge)).balancer.hedge_after_s(strategy) == expected


def test_a_hedge_waits_for_the_learned_delay() -> None:
    """Once with a full budget, and longer with less."""
    harness = Harness([1, 1])
    for _ in range(40):
        harness.reply(A, 100.0)
        harness.now += 1
    full = harness.balancer.hedge_after_s(Strategy.ADAPTIVE)
    assert 0 < full < DEFAULT.probe_after_s
    for _ in range(5):
        assert harness.balancer.afford(A, AttemptReason.HEDGE)
    assert harness.balancer.hedge_after_s(Strategy.ADAPTIVE) > full


def test_a_retry_prefers_targets_without_a_pending_probe() -> None:
    """A target whose probe is pending is taken only where no other is left."""
    harness = Harness([1, 1, 1])
    with harness.avoiding([B]):
        assert {harness.choose(A).key for _ in range(6)} == {"aws/r2"}
        assert harness.choose(A, "aws/r2").key == B
    with harness.avoiding([B, "aws/r2"]):
        assert harness.choose(A).key in {B, "aws/r2"}


def test_no_picker_is_prepared_without_candidates() -> None:
    """The caller asks only when at least one target may be picked."""
    with pytest.raises(ValueError, match="no candidate"):
        prepare(Strategy.WEIGHTED, (), Basis(Known({}, {}), 0.0, DEFAULT))
