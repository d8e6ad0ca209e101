"""Claims about the end of an absence by a successful health check."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.health import fleet as f
from router.core.health import machine as h
from router.core.health import recovery
from router.core.health.machine import Health, Status
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT, EJECTION_CAP_S
from tests.router.core.health.support import targets

pytestmark = pytest.mark.pure

NOW = 1_000_000.0
KEY = "aws/r0"


def ejected(*, errors: bool, now: float = NOW, before: Health | None = None) -> Health:
    """A target that three failures ejected."""
    health = before or Health(Status.HEALTHY)
    for _ in range(3):
        health = h.failed(health, now, DEFAULT, why="x", decisive=False, may_eject=True, silent=not errors)
    assert health.status is Status.EJECTED
    return health


def seen(checker: str, *oks: bool, at: float, cold: bool = False) -> Snapshot:
    results = tuple(ProbeResult(at - len(oks) + n + 1, good, cold and good) for n, good in enumerate(oks))
    return Snapshot(checker, at, {KEY: results})


def test_after_silence_the_next_successful_check_ends_the_ejection() -> None:
    """It serves again from six tenths of its share, in slow start, and the rest of the ejection is void."""
    back = recovery.answered(ejected(errors=False), NOW + 0.2, NOW + 0.2, DEFAULT)
    assert (back.status, back.ejected_until, back.back_at) == (Status.SLOW_START, NOW + 0.2, NOW + 0.2)
    assert h.share(back, NOW + 0.2, DEFAULT) == 0.6
    assert h.share(back, NOW + 0.2 + 0.75 * DEFAULT.slow_start_s, DEFAULT) == 0.8


def test_a_check_that_met_a_cold_start_ends_it_with_the_smallest_share() -> None:
    """The target's sandboxes are gone, so it cannot take most of its share at once."""
    back = recovery.answered(ejected(errors=False), NOW + 9, NOW + 9, DEFAULT, cold=True)
    assert (back.status, h.share(back, NOW + 9, DEFAULT)) == (Status.SLOW_START, 0.1)


def test_after_errors_a_check_counts_from_half_of_the_ejection_on_and_begins_a_trial() -> None:
    """Health checks may be fine while requests fail. Until four good replies in a row its share is the
    smallest; then it has what the time since its return gives it."""
    out = ejected(errors=True)
    early = NOW + DEFAULT.ejection_s / 2 - 0.1
    assert recovery.answered(out, early, early, DEFAULT) is out
    now = NOW + DEFAULT.ejection_s / 2
    one = recovery.answered(out, now, now, DEFAULT)
    assert (one.status, one.trial) == (Status.SLOW_START, h.TRIAL)
    later = now + DEFAULT.slow_start_s / 2
    for left in (3, 2, 1):
        assert h.share(one, later, DEFAULT) == 0.1
        one = h.succeeded(one, later, cold=False)
        assert (one.trial, one.failures) == (left, h.FAILURES - 1)
    assert h.share(one, later, DEFAULT) == 0.6
    assert h.succeeded(one, later, cold=False).failures == 0


@pytest.mark.parametrize("errors", [True, False])
def test_one_more_failure_ejects_again_for_the_grown_time(errors: bool) -> None:
    """On trial as well as after silence."""
    back = recovery.answered(ejected(errors=errors), NOW + 6, NOW + 6, DEFAULT)
    again = h.failed(back, NOW + 7, DEFAULT, why="x", decisive=False, may_eject=True, silent=not errors)
    assert (again.status, again.ejections) == (Status.EJECTED, 2)
    assert again.ejected_until == NOW + 7 + 2 * DEFAULT.ejection_s


def test_the_end_of_an_ejection_for_errors_begins_a_trial_too() -> None:
    """Time is less evidence than a check."""
    back = h.settle(ejected(errors=True), NOW + DEFAULT.ejection_s, DEFAULT)
    assert (back.status, back.trial) == (Status.SLOW_START, h.TRIAL)


def test_a_failed_check_turns_errors_into_silence() -> None:
    """Its /health failed together with its requests, so the answer of /health is news."""
    out = recovery.unanswered(ejected(errors=True), NOW + 1)
    assert recovery.answered(out, NOW + 0.9, NOW + 1.1, DEFAULT) is out
    back = recovery.answered(out, NOW + 1.2, NOW + 1.2, DEFAULT)
    assert (back.status, h.share(back, NOW + 1.2, DEFAULT)) == (Status.SLOW_START, 0.6)


@pytest.mark.parametrize("status", [one for one in Status if one not in h.OUT])
def test_a_check_changes_no_target_that_is_not_out(status: Status) -> None:
    """A drained one stays drained, and a serving one serves."""
    health = Health(status)
    assert recovery.answered(health, NOW, NOW, DEFAULT) is health
    assert recovery.unanswered(health, NOW) is health


def test_an_own_check_ends_down_as_well() -> None:
    """It is newer than what the checkers saw, and this router's own path is the one that counts."""
    down = h.probed(Health(Status.HEALTHY), up=False, at=NOW, now=NOW, reason="x")
    back = recovery.answered(down, NOW + 1, NOW + 1, DEFAULT)
    assert (back.status, back.failures) == (Status.SLOW_START, h.FAILURES - 1)


def test_three_checkers_that_see_it_up_end_the_ejection_after_a_black_hole() -> None:
    """Their results from before the ejection do not; neither does one that the others contradict, nor one
    that is older than this router's last failed check."""
    start = f.fold(f.start(targets(1, 1), NOW - 9), [seen("a/a", True, True, at=NOW - 1)], NOW - 1, DEFAULT)
    out = f.record(start, KEY, Outcome.UNRESPONSIVE, NOW, DEFAULT)
    old = f.fold(out, [seen(one, True, True, at=NOW - 0.5) for one in ("b/b", "c/c")], NOW + 1, DEFAULT)
    assert old.health[KEY].status is Status.EJECTED
    split = [seen("b/b", False, False, False, at=NOW + 8), seen("c/c", False, False, False, at=NOW + 7)]
    contradicted = f.fold(
        f.fold(out, split, NOW + 8, DEFAULT), [seen("a/a", True, at=NOW + 9)], NOW + 9, DEFAULT
    )
    assert contradicted.health[KEY].status is Status.DOWN
    up = [seen(one, True, True, at=NOW + 7) for one in ("a/a", "b/b", "c/c")]
    assert f.fold(out, up, NOW + 8, DEFAULT).health[KEY].status is Status.SLOW_START
    failed = f.unanswered(out, KEY, NOW + 7.5)
    assert f.fold(failed, up, NOW + 8, DEFAULT).health[KEY].status is Status.EJECTED


@given(st.integers(1, 40), st.booleans())
def test_flapping_is_bounded(times: int, errors: bool) -> None:
    """A target that fails right after each return is out for longer each time, up to a limit, though each of
    its checks succeeds."""
    health, now, absences = Health(Status.HEALTHY), NOW, list[float]()
    for _ in range(times):
        health = ejected(errors=errors, now=now, before=health)
        began = now
        while health.status is Status.EJECTED:
            now += recovery.pause_s(health.out_at, now)
            health = recovery.answered(h.settle(health, now, DEFAULT), now, now, DEFAULT)
        absences.append(now - began)
        health = replace(health, failures=h.FAILURES - 1)
    assert all(after >= before - recovery.PAUSE_MOST_S for before, after in pairwise(absences))
    assert absences[-1] <= EJECTION_CAP_S + recovery.PAUSE_MOST_S
    ejection_s = min(DEFAULT.ejection_s * times, EJECTION_CAP_S)
    assert (
        absences[-1] >= (ejection_s / 2 if errors else min(2.0 ** min(times - 1, 9) - 1, ejection_s)) - 1e-6
    )


def test_failures_of_one_absence_are_one_ejection() -> None:
    """Requests that were active when a target went out extend nothing."""
    out = ejected(errors=False)
    for moment in (1.0, 4.0, 9.0):
        assert h.failed(out, NOW + moment, DEFAULT, why="x", decisive=True, may_eject=True) is out


def test_this_routers_checks_begin_soon_and_become_rarer() -> None:
    """Ten a second at first, then each 32nd of the absence, and never rarer than each five seconds."""
    out = ejected(errors=False)
    pauses = {0: 0.1, 3: 0.1, 8: 0.25, 16: 0.5, 32: 1, 160: 5, 3600: 5}
    assert {after: recovery.pause_s(out.out_at, NOW + after) for after in pauses} == pauses


def test_after_errors_checks_are_rarer_where_health_is_fine() -> None:
    """Until a check counts they show little: a failed one, that it is silence after all."""
    out = ejected(errors=True)
    counts = DEFAULT.ejection_s / 2
    pauses = {0.0: 0.1, 1.0: 1.0, counts - 0.5: 0.5, counts: 5 / 32}
    for after, pause in pauses.items():
        answered = NOW - 1 if not after else NOW
        assert recovery.absence_pause_s(out, answered, NOW + after, DEFAULT) == pytest.approx(pause)
    assert recovery.absence_pause_s(ejected(errors=False), NOW, NOW + 1, DEFAULT) == 0.1


def test_reports_from_before_a_return_do_not_put_the_target_out_again() -> None:
    """Checkers report one after another. When the first reports that the target is up, the older reports of
    the others still say "down", which is the absence that a check of this router has ended."""
    start = f.start(targets(1, 1), NOW - 9)
    out = f.record(start, KEY, Outcome.UNRESPONSIVE, NOW, DEFAULT)
    downs = [seen(one, False, False, False, at=NOW + 4) for one in ("a/a", "b/b", "c/c")]
    back = f.answered(f.fold(out, downs, NOW + 4, DEFAULT), KEY, NOW + 5, DEFAULT)
    assert back.health[KEY].status is Status.SLOW_START
    first = f.fold(back, [seen("a/a", True, True, at=NOW + 7)], NOW + 7, DEFAULT)
    assert first.health[KEY].status is Status.SLOW_START
    assert first.health[KEY].flap_count == 1
    late = [seen(one, False, False, False, at=NOW + 8) for one in ("b/b", "c/c")]
    assert f.fold(first, late, NOW + 8, DEFAULT).health[KEY].status is Status.DOWN
    assert f.unconfirmed_down(back, [replace(downs[0], at=NOW + 8)], NOW + 8, DEFAULT) == ()
