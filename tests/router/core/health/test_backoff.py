"""Tests of backoffs of several targets: a limit that all of them name concerns one client."""

from __future__ import annotations

import pytest

from router.core.health import fleet as f
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT
from tests.router.core.health.support import targets

pytestmark = pytest.mark.pure

NOW = 1_000_000.0


@pytest.mark.parametrize("size", range(1, 6))
def test_targets_that_back_off_together_keep_their_shares(size: int) -> None:
    """An agent that limits its clients one by one answers one with 429 in every cloud. All other requests
    would go to the target that answered first. A standby is not among them, nor a target that backs off
    longer."""
    weights = [3.0, 2.0, 1.0, 4.0, 5.0][:size]
    fleet = f.start(targets(*weights, 0), NOW)
    for at, one in enumerate(fleet.targets):
        fleet = f.record(fleet, one.key, Outcome.RATE_LIMITED, NOW + at / 10, DEFAULT, retry_after_s=30.0)
    found = f.tier(fleet, (), NOW + 2, DEFAULT)
    assert found.in_backoff
    assert [one.weight for one in found.candidates] == weights
    assert [one.share for one in found.candidates] == [1.0] * size
    fleet = f.record(fleet, "aws/r0", Outcome.RATE_LIMITED, NOW + 2, DEFAULT, retry_after_s=30.0)
    rest = [one.weight for one in f.tier(fleet, (), NOW + 2, DEFAULT).candidates]
    assert rest == (weights[1:] or [0])


@pytest.mark.parametrize("size", range(2, 6))
def test_targets_that_reach_their_limit_together_return_together(size: int) -> None:
    """Each cloud asks the client for another time, and the client repeats. The requests of others keep their
    shares all the while. A target that is not limited stays the only one."""
    weights = [3.0, 2.0, 1.0, 4.0, 5.0][:size]
    fleet = f.start(targets(*weights), NOW)
    *most, last = fleet.targets

    def limited(at: float) -> None:
        nonlocal fleet
        for number, one in enumerate(fleet.targets):
            asked = NOW + 20 + 10 * (number % 3) - at
            fleet = f.record(fleet, one.key, Outcome.RATE_LIMITED, at, DEFAULT, retry_after_s=asked)

    for number, one in enumerate(most):
        asked = 20.0 + 10 * number
        fleet = f.record(fleet, one.key, Outcome.RATE_LIMITED, NOW, DEFAULT, retry_after_s=asked)
    assert [one.key for one in f.tier(fleet, (), NOW, DEFAULT).candidates] == [last.key]
    for after_s in (0.0, 1.5, 12.0):
        limited(NOW + after_s)
        found = f.tier(fleet, (), NOW + after_s, DEFAULT)
        assert (found.in_backoff, [one.weight for one in found.candidates]) == (True, weights)
    fleet = f.settle(fleet, NOW + 20, DEFAULT)
    found = f.tier(fleet, (), NOW + 20, DEFAULT)
    assert (found.in_backoff, [one.weight for one in found.candidates]) == (False, weights)
    for number, one in enumerate(fleet.targets):  # of which one says no time
        asked = None if number else 30.0
        fleet = f.record(fleet, one.key, Outcome.RATE_LIMITED, NOW + 20, DEFAULT, retry_after_s=asked)
    assert fleet.health["aws/r0"].backoff_until == NOW + 50
