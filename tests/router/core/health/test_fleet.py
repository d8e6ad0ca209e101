"""Tests of the fleet's rare branches: cold probes, targets that are not out, bad checkers, bad snapshots."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.core.errors import SnapshotRejected
from router.core.health import fleet as f
from router.core.health import machine as h
from router.core.health import snapshots
from router.core.health.fleet import Outcome
from router.core.health.machine import Health, Status
from router.core.health.outlier import Conclusion
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.policy import DEFAULT, SKEW_S
from tests.router.core.health.support import targets

pytestmark = pytest.mark.pure

NOW = 1_000_000.0
KEY = "aws/r0"


def test_a_cold_probe_makes_a_serving_target_cold() -> None:
    """A cold start is a sign of life."""
    fleet = f.start(targets(1, 1), NOW)
    results = tuple(ProbeResult(NOW - ago, True, cold=True) for ago in (2.0, 1.0, 0.0))
    after = f.fold(fleet, [Snapshot("c", NOW, {KEY: results})], NOW, DEFAULT)
    assert after.health[KEY].status is Status.COLD


@pytest.mark.parametrize("outcome", [Outcome.NEUTRAL, Outcome.CLIENT_GAVE_UP])
def test_an_outcome_that_says_nothing_returns_the_same_fleet(outcome: Outcome) -> None:
    """The very same object, so nothing is prepared again."""
    fleet = f.start(targets(1, 1), NOW)
    assert f.record(fleet, KEY, outcome, NOW, DEFAULT) is fleet


def test_a_target_that_serves_is_not_brought_back() -> None:
    """Only an ejected or a down target returns."""
    health = Health(Status.HEALTHY)
    assert h.back(health, NOW) is health
    fleet = f.start(targets(1, 1), NOW)
    assert f.back(fleet, KEY, NOW) is fleet


def test_only_a_bad_verdict_begins_a_derating() -> None:
    """The test of a healthy target may end well."""
    health = Health(Status.HEALTHY)
    assert h.derated(health, Conclusion.GOOD, NOW, DEFAULT, "x") is health


def test_a_down_target_changes_when_its_probes_are_stale() -> None:
    """Then traffic tries it."""
    health = Health(Status.DOWN, since=NOW, probed_at=NOW + 5)
    assert h.changes_at(health, NOW + 5, DEFAULT) == NOW + 5 + DEFAULT.fresh_s
    assert h.changes_at(replace(health, status=Status.HEALTHY), NOW, DEFAULT) == float("inf")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 0}, "Its version is 0"),
        ({"version": True}, "Its version is True"),
        ({"checker": "other"}, "Its checker"),
        ({"checker": 1}, "Its checker"),
        ({"at": NOW + SKEW_S + 1}, "in the future"),
        ({"at": -1}, "expected a number from 0"),
    ],
)
def test_a_bad_snapshot_is_rejected_with_its_reason(changes: dict[str, object], reason: str) -> None:
    """The last valid one of its checker stays."""
    document: dict[str, object] = {"version": snapshots.VERSION, "checker": "c", "at": NOW, "results": []}
    with pytest.raises(SnapshotRejected, match=reason):
        snapshots.parse({**document, **changes}, {"c"}, NOW)
