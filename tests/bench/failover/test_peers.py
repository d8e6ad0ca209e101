"""Tests of how the failover bench configures its routers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.failover.goals import SKYFLEET
from bench.failover.peers import ROUTERS, skyfleet
from bench.failover.peers.base import Ground, Plan

pytestmark = pytest.mark.pure

GROUND = Ground(Path("/nowhere"), (1, 2), (3, 4, 5), (6, 7, 8))


def without_policy(plan: Plan) -> Plan:
    """The same plan without the variables of the policy."""
    return replace(
        plan,
        instances=tuple(
            replace(one, environ={name: value for name, value in one.environ.items() if "POLICY" not in name})
            for one in plan.instances
        ),
    )


def test_all_entries_of_this_router_are_compared_with_its_peers() -> None:
    """The table has the tuned and the two default entries and four peers."""
    assert tuple(router.name for router in ROUTERS[:3]) == SKYFLEET
    assert len(ROUTERS) == 7


def test_the_two_entries_differ_only_in_the_policy() -> None:
    """The default entry sets no policy, like a deployment with default settings."""
    tuned = skyfleet.plan("/root", skyfleet.POLICY, GROUND)
    untouched = skyfleet.plan("/root", {}, GROUND)
    assert without_policy(untouched) == untouched
    assert tuned != untouched
    assert without_policy(tuned) == untouched
