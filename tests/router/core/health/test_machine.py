"""Claims about one target's health and about the fleet's rules for few targets."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.errors import IllegalEvent
from router.core.health import fleet as f
from router.core.health import machine as h
from router.core.health.machine import Event, Health, Status
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT, EJECTION_CAP_S, Policy
from tests.router.core.health.support import targets
from tools.health_diagram import refreshed

pytestmark = pytest.mark.pure

NOW = 1_000_000.0
BAD = (Outcome.FAILURE, Outcome.SILENCE, Outcome.UNRESPONSIVE)


def fail(health: Health, now: float, times: int = 3, *, may_eject: bool = True) -> Health:
    for _ in range(times):
        health = h.failed(health, now, DEFAULT, why="x", decisive=False, may_eject=may_eject, silent=True)
    return health


def seen(checker: str, *oks: bool, key: str = "aws/r0", at: float = NOW) -> Snapshot:
    looks = tuple(ProbeResult(at - len(oks) + n + 1, good) for n, good in enumerate(oks))
    return Snapshot(checker, at, {key: looks})


def test_the_table_answers_every_event_that_evidence_can_bring() -> None:
    """Probes, traffic and orders may come in any status; only time's events belong to one."""
    timed = {
        Event.ENDED: Status.EJECTED,
        Event.SLOW_START_OVER: Status.SLOW_START,
        Event.RESTORE: Status.DEGRADED,
        Event.RESUME: Status.DRAINING,
    }
    for status, event in product(Status, Event):
        expected = timed.get(event, status) is status
        assert ((status, event) in h.TABLE) is expected, (status, event)


def test_an_illegal_event_raises_and_changes_nothing() -> None:
    """A healthy target cannot end an ejection."""
    before = Health(Status.HEALTHY)
    with pytest.raises(IllegalEvent):
        h.step(before, Event.ENDED, NOW, "")
    assert before == Health(Status.HEALTHY)


def test_three_failures_in_a_row_eject_and_a_success_between_them_does_not() -> None:
    """Consecutive means consecutive."""
    assert fail(Health(), NOW, 2).status is Status.UNKNOWN
    assert fail(Health(), NOW, 3).status is Status.EJECTED
    healed = h.succeeded(fail(Health(), NOW, 2), NOW, cold=False)
    assert fail(healed, NOW, 2).status is Status.HEALTHY


def test_ejections_grow_are_capped_and_are_forgiven() -> None:
    """10, 20, 30 s, never above 300, and from the start after five quiet minutes."""
    health, now = Health(), NOW
    for number in range(1, 40):
        health = fail(health, now)
        assert health.ejected_until - now == min(10 * number, 300)
        assert h.settle(health, health.ejected_until - 0.001, DEFAULT).status is Status.EJECTED
        now = health.ejected_until
        health = h.settle(health, now, DEFAULT)
        assert (health.status, health.failures) == (Status.SLOW_START, 2)
    late = fail(h.settle(health, now + 301, DEFAULT), now + 301)
    assert late.ejected_until == now + 311


@given(st.lists(st.tuples(st.floats(0, 400), st.sampled_from(Outcome)), max_size=60))
def test_a_deadline_only_ever_moves_later(story: list[tuple[float, Outcome]]) -> None:
    """Whatever comes between, an earlier end never replaces a later one while it lasts."""
    fleet, now = f.start(targets(1, 1), NOW), NOW
    for passed, outcome in story:
        now += passed
        before = fleet.health["aws/r0"]
        fleet = f.record(f.settle(fleet, now, DEFAULT), "aws/r0", outcome, now, DEFAULT)
        after = fleet.health["aws/r0"]
        assert after.ejected_until >= before.ejected_until
        assert after.ejected_until <= now + EJECTION_CAP_S
        assert 0 <= after.failures <= h.FAILURES


def test_no_answer_to_the_free_question_ejects_at_once() -> None:
    """One decisive failure is enough."""
    gone = h.failed(Health(), NOW, DEFAULT, why="x", decisive=True, may_eject=True)
    assert gone.status is Status.EJECTED


def test_a_target_that_was_out_comes_back_in_ten_steps() -> None:
    """From a tenth of its weight to all of it over the slow start."""
    starting = h.settle(fail(Health(), NOW), NOW + 10, DEFAULT)
    shares = [h.share(starting, NOW + 10 + second, DEFAULT) for second in range(30)]
    assert shares[0] == 0.1
    assert shares == sorted(shares)
    assert sorted(set(shares)) == pytest.approx([n / 10 for n in range(1, 11)])
    assert h.settle(starting, NOW + 40, DEFAULT).status is Status.HEALTHY
    assert h.share(Health(), NOW, DEFAULT) == 1.0


def test_a_target_that_is_down_with_stale_probes_is_tried_again() -> None:
    """When no checker reports any more, it comes back in slow start, on trial: one failure and it is out."""
    fleet = f.fold(f.start(targets(1, 1), NOW), [seen("a/a", False, False, False)], NOW, DEFAULT)
    assert fleet.health["aws/r0"].status is Status.DOWN
    assert f.settle(fleet, NOW + 149, DEFAULT) is fleet
    back = f.settle(fleet, NOW + 151, DEFAULT)
    assert back.health["aws/r0"].status is Status.SLOW_START
    out = f.record(back, "aws/r0", Outcome.FAILURE, NOW + 152, DEFAULT).health["aws/r0"]
    assert (out.status, out.ejected_until) == (Status.EJECTED, NOW + 152 + DEFAULT.ejection_s)


def test_a_clock_that_was_set_back_does_not_eject_for_ever() -> None:
    """A deadline further away than the cap is over."""
    ejected = fail(Health(), NOW)
    assert h.settle(ejected, NOW - 10_000, DEFAULT).status is Status.SLOW_START


def test_probes_decide_down_by_majority_of_the_fresh() -> None:
    """One of two is not enough, two of three are, and stale ones have no say."""
    start = f.start(targets(1, 1), NOW)
    down, up = (False, False, False), (True, True)
    one_of_two = f.fold(start, [seen("a/a", *down), seen("b/b", *up)], NOW, DEFAULT)
    assert one_of_two.health["aws/r0"].status is Status.HEALTHY
    two_of_three = f.fold(one_of_two, [seen("c/c", *down)], NOW, DEFAULT)
    assert two_of_three.health["aws/r0"].status is Status.DOWN
    stale = f.fold(start, [seen("a/a", *down), seen("b/b", *down, at=NOW - 200)], NOW, DEFAULT)
    assert "1 of 1" in stale.health["aws/r0"].reason


def test_probe_results_that_are_sent_again_make_no_second_verdict() -> None:
    """Also under a later date, or beside news of another target: what has come back since stays, until there
    are as many new failures as make a verdict."""
    looks = seen("a/a", False, False, False)
    fleet = f.fold(f.start(targets(1, 1), NOW), [looks], NOW, DEFAULT)
    fleet = f.back(fleet, "aws/r0", NOW + 1)
    for later in (replace(looks, at=NOW + 2), seen("a/a", True, True, key="aws/r1", at=NOW + 3)):
        fleet = f.fold(fleet, [later], NOW + 4, DEFAULT)
        assert fleet.health["aws/r0"].status is Status.SLOW_START
    fleet = f.fold(fleet, [seen("a/a", False, at=NOW + 5)], NOW + 5, DEFAULT)
    assert fleet.health["aws/r0"].status is Status.SLOW_START
    fleet = f.fold(fleet, [seen("a/a", False, False, at=NOW + 7)], NOW + 7, DEFAULT)
    assert fleet.health["aws/r0"].status is Status.DOWN


@pytest.mark.parametrize("up", [True, False, None])
def test_the_time_of_the_newest_look_never_goes_back(up: bool | None) -> None:
    """A late document does not make probes stale; one from a future that is none any more does."""
    late = h.probed(Health(Status.DOWN, probed_at=NOW), up, NOW - 100, NOW, "x")
    assert late.probed_at == NOW
    newer = h.probed(Health(Status.DOWN, probed_at=NOW - 100), up, NOW, NOW, "x")
    assert newer.probed_at == NOW
    after = h.probed(Health(Status.DOWN, probed_at=NOW + 3_600), up, NOW, NOW, "x")
    assert after.probed_at == NOW


def test_failures_do_not_eject_a_draining_target() -> None:
    """It gets no new requests; those that it still has may fail."""
    draining = Health(Status.DRAINING, since=NOW)
    assert fail(draining, NOW).status is Status.DRAINING
    assert fail(draining, NOW).ejections == 0


def test_draining_is_ended_only_by_its_order() -> None:
    """No evidence brings a drained target back."""
    fleet = f.drain(f.start(targets(1, 1), NOW), ["aws/r0"], NOW)
    fleet = f.record(fleet, "aws/r0", Outcome.SUCCESS, NOW, DEFAULT)
    assert fleet.health["aws/r0"].status is Status.DRAINING
    assert [one.key for one in f.tier(fleet, (), NOW, DEFAULT).candidates] == ["aws/r1"]
    fleet = f.drain(fleet, [], NOW)
    assert fleet.health["aws/r0"].status is Status.UNKNOWN


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(Outcome), st.floats(0, 60)), max_size=80),
)
def test_traffic_never_ejects_the_last_serving_target(
    count: int, story: list[tuple[int, Outcome, float]]
) -> None:
    """At least one is kept, with one target or five."""
    fleet, now = f.start(targets(*[1.0] * count), NOW), NOW
    for number, outcome, passed in story:
        now += passed
        fleet = f.settle(fleet, now, DEFAULT)
        fleet = f.record(fleet, f"aws/r{number % count}", outcome, now, DEFAULT)
        assert any(one.status in h.SERVING for one in fleet.health.values())


def test_a_good_reply_of_a_healthy_target_changes_nothing_at_all() -> None:
    """The hot path makes no new values."""
    fleet = f.record(f.start(targets(1), NOW), "aws/r0", Outcome.SUCCESS, NOW, DEFAULT)
    assert f.record(fleet, "aws/r0", Outcome.SUCCESS, NOW + 4.9, DEFAULT) is fleet
    assert f.settle(fleet, NOW + 1, DEFAULT) is fleet


def test_standbys_serve_only_when_no_target_with_a_weight_can() -> None:
    """Weight 0 is the second tier, panic the third, ejected before down."""
    fleet = f.start(targets(2, 0, 1), NOW)

    def tier(*tried: str) -> tuple[list[str], bool]:
        found = f.tier(fleet, tried, NOW, DEFAULT)
        return [one.key for one in found.candidates], found.panic

    assert tier() == (["aws/r0", "aws/r2"], False)
    assert tier("aws/r0", "aws/r2") == (["aws/r1"], False)
    assert tier("aws/r0", "aws/r1", "aws/r2") == ([], True)
    out = {
        "aws/r0": Health(Status.DOWN),
        "aws/r1": Health(Status.EJECTED, ejected_until=NOW + 9),
        "aws/r2": Health(Status.EJECTED, ejected_until=NOW + 5),
    }
    fleet = replace(fleet, health=out)
    assert tier() == (["aws/r2"], True)
    assert tier("aws/r2") == (["aws/r1"], True)
    assert tier("aws/r2", "aws/r1") == (["aws/r0"], True)
    assert f.retry_after_s(fleet, NOW, DEFAULT) == 5


def test_a_rate_limited_target_backs_off_and_is_offered_when_no_other_is_left() -> None:
    """Before a standby it comes last, the one that rests shortest first, and it is no panic."""
    fleet = f.start(targets(1, 1, 0), NOW)

    def tier(*tried: str) -> tuple[list[str], bool]:
        found = f.tier(fleet, tried, NOW + 0.5, DEFAULT)
        assert not found.panic
        return [one.key for one in found.candidates], found.in_backoff

    for key, ago, until in (("aws/r0", 9.0, 9.0), ("aws/r1", 6.0, 5.0), ("aws/r0", 3.0, 2.0)):
        at, asked = NOW - ago, until + ago
        fleet = f.record(fleet, key, Outcome.RATE_LIMITED, at, DEFAULT, retry_after_s=asked)
    assert tier() == (["aws/r2"], False)
    fleet = f.record(fleet, "aws/r2", Outcome.RATE_LIMITED, NOW, DEFAULT, retry_after_s=1.0)
    assert tier() == (["aws/r2"], True)
    assert tier("aws/r2") == (["aws/r1"], True)
    assert tier("aws/r2", "aws/r1") == (["aws/r0"], True)
    assert f.changes_at(fleet, NOW + 0.5, DEFAULT) == NOW + 1
    assert f.retry_after_s(fleet, NOW + 1.5, DEFAULT) == 4
    assert all(one.status is Status.UNKNOWN for one in fleet.health.values())
    assert [f.effective_weight(fleet, one, NOW + 6, DEFAULT) for one in fleet.targets] == [0, 1, 0]


def test_a_flapping_target_has_a_longer_slow_start_and_is_forgiven() -> None:
    """One, two, at most three slow starts; after five quiet minutes one again."""
    health, now, lasted = Health(), NOW, list[float]()
    for _ in range(4):
        health = fail(health, now)
        now = health.ejected_until
        health = h.settle(health, now, DEFAULT)
        began = now
        while h.settle(health, now, DEFAULT).status is Status.SLOW_START:
            now = h.changes_at(health, now, DEFAULT)
        health = h.settle(health, now, DEFAULT)
        lasted.append(now - began)
    assert lasted == pytest.approx([10, 20, 30, 30])
    again = fail(health, now + 301)
    assert (again.flap_count, again.ejections) == (1, 1)


def test_probes_that_flap_are_damped_like_traffic() -> None:
    """A target that checkers see down, up, down eases in longer the second time."""
    fleet, now = f.start(targets(1, 1), NOW), NOW
    for _ in range(2):
        for looks in ((False, False, False), (True, True)):
            now += 10
            fleet = f.fold(fleet, [seen("a/a", *looks, at=now)], now, DEFAULT)
    health = fleet.health["aws/r0"]
    assert (health.status, h.slow_start_length_s(health, DEFAULT)) == (Status.SLOW_START, 20)


def test_after_an_ejection_one_failure_is_enough_until_the_first_good_reply() -> None:
    """It is on trial: three more lost requests would teach nothing new."""
    back = h.settle(fail(Health(), NOW), NOW + 10, DEFAULT)
    assert fail(back, NOW + 11, 1).status is Status.EJECTED
    proved = h.succeeded(back, NOW + 11, cold=False)
    assert fail(proved, NOW + 12, 2).status is Status.SLOW_START


def test_a_target_that_returns_is_not_failing_until_it_fails_again() -> None:
    """The failures before its absence are over, and one more ejects it: however the absence has ended."""
    ejected = fail(Health(), NOW)
    down = h.probed(ejected, False, NOW + 1, NOW + 1, "")
    assert (down.status, down.failures) == (Status.DOWN, h.FAILURES)
    ends = (
        h.probed(down, True, NOW + 2, NOW + 2, ""),
        h.back(down, NOW + 2),
        h.back(ejected, NOW + 2),
        h.settle(down, NOW + 1 + DEFAULT.fresh_s, DEFAULT),
        h.settle(ejected, ejected.ejected_until, DEFAULT),
    )
    for back in ends:
        assert back.status is Status.SLOW_START
        assert back.failures < h.FAILURES
    assert fail(ends[0], NOW + 3, 1).status is Status.EJECTED


@given(
    st.lists(st.sampled_from(sorted(Status)), min_size=1, max_size=5),
    st.sets(st.integers(0, 4)),
    st.lists(st.floats(0, 9), min_size=5, max_size=5),
)
def test_never_an_empty_choice_while_a_target_is_untried(
    statuses: list[Status], tried: set[int], weights: list[float]
) -> None:
    """And never one that was tried."""
    fleet = f.start(targets(*weights[: len(statuses)]), NOW)
    health = {f"aws/r{n}": Health(status, since=NOW) for n, status in enumerate(statuses)}
    keys = {f"aws/r{n}" for n in tried}
    tier = f.tier(replace(fleet, health=health), keys, NOW, DEFAULT)
    assert bool(tier.candidates) is bool(set(health) - keys)
    assert not keys & {one.key for one in tier.candidates}
    assert all(one.share > 0 for one in tier.candidates)


def test_slow_start_is_seen_in_the_effective_weight() -> None:
    """What `status` shows is what selection counts with."""
    policy = Policy(slow_start_s=10)
    fleet = f.start(targets(3), NOW)
    starting = replace(fleet, health={"aws/r0": Health(Status.SLOW_START, since=NOW)})
    assert f.effective_weight(starting, fleet.targets[0], NOW + 4.5, policy) == pytest.approx(1.5)
    down = replace(fleet, health={"aws/r0": Health(Status.DOWN)})
    assert f.effective_weight(down, fleet.targets[0], NOW, policy) == 0


def test_the_figure_in_the_docs_is_that_of_the_table() -> None:
    """`python -m tools.health_diagram docs/explanation/target-health.md` has nothing to change."""
    text = (Path(__file__).parents[4] / "docs" / "explanation" / "target-health.md").read_text("utf-8")
    assert refreshed(text) == text


@pytest.mark.pure
def test_a_slow_start_ends_without_traffic() -> None:
    """The slow start begins with the end of the ejection, not with the next look at the fleet."""
    out = h.failed(
        Health(status=Status.HEALTHY), 0.0, DEFAULT, why="no answer", decisive=True, may_eject=True
    )
    assert out.status is Status.EJECTED
    back_at = out.ejected_until
    assert h.settle(out, back_at + 1, DEFAULT).status is Status.SLOW_START
    assert h.settle(out, back_at + 1, DEFAULT).since == back_at
    over = back_at + h.slow_start_length_s(h.settle(out, back_at + 1, DEFAULT), DEFAULT)
    assert h.settle(out, over + 1, DEFAULT).status is Status.HEALTHY
