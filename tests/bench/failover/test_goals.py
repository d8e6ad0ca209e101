"""Tests of the floor and the goals."""

from __future__ import annotations

from typing import Any

import pytest

from bench.failover import goals, results
from tests.bench.failover.support import entry

pytestmark = pytest.mark.pure


def verdict(entries: list[dict[str, Any]], fault: str, demand: str, router: str = goals.TUNED) -> bool | None:
    return next(v.met for v in goals.verdicts(entries, router) if (v.scenario, v.demand) == (fault, demand))


@pytest.mark.parametrize(("theirs", "met"), [(0, False), (3, True), (4, True)])
def test_the_floor_is_that_no_peer_loses_fewer(theirs: int, met: bool) -> None:
    """A peer that loses equally many requests does not break the floor."""
    assert (
        verdict([entry("cut", "skyfleet", lost=3), entry("cut", "nginx", lost=theirs)], "cut", "floor") is met
    )


def test_both_entries_of_this_router_are_compared_only_with_peers() -> None:
    """The tuned and the default entry are never compared with each other."""
    entries = [
        entry("cut", "skyfleet"),
        entry("cut", "skyfleet-defaults", lost=1),
        entry("cut", "nginx", lost=2),
    ]
    assert verdict(entries, "cut", "floor") is True
    assert verdict(entries, "cut", "floor", goals.DEFAULTS) is True
    assert verdict(entries, "cut", "lost", goals.DEFAULTS) is False


def test_p99_is_compared_with_the_normal_p99_of_the_same_entry() -> None:
    """The normal p99 of the tuned entry does not raise the limit of the default entry."""
    entries = [
        entry("slow", "skyfleet", p99_ms=300.0, p99_normal_ms=160.0),
        entry("slow", "skyfleet-defaults", p99_ms=300.0, p99_normal_ms=140.0),
    ]
    assert verdict(entries, "slow", "p99") is True
    assert verdict(entries, "slow", "p99", goals.DEFAULTS) is False


def test_without_a_measured_peer_the_floor_has_no_verdict() -> None:
    """An absent peer gives no figure to compare with."""
    entries = [entry("kill", "skyfleet"), results.absent("kill", "nginx", "no apt-get")]
    assert verdict(entries, "kill", "floor") is None


def test_lost_requests_are_allowed_only_where_no_target_is_left() -> None:
    """A wrong repeat is allowed in no scenario."""
    entries = [entry(fault, "skyfleet", lost=1, wrong_repeats=1) for fault in ("all-down", "kill")]
    assert verdict(entries, "all-down", "lost") is None
    assert verdict(entries, "kill", "lost") is False
    assert verdict(entries, "all-down", "repeats") is False


@pytest.mark.parametrize(("p99", "met"), [(239.0, True), (241.0, False)])
def test_p99_is_compared_with_the_median_normal_p99_of_all_scenarios(p99: float, met: bool) -> None:
    """The time before the fault of a single scenario is too short for a reliable p99."""
    entries = [
        entry("slow", "skyfleet", p99_ms=p99, p99_normal_ms=90.0),
        entry("kill", "skyfleet"),
        entry("cut", "skyfleet"),
    ]
    assert verdict(entries, "slow", "p99") is met
    assert verdict(entries, "kill", "p99") is None


def test_extra_attempts_have_a_limit() -> None:
    """The share of extra attempts must be below 5 %."""
    assert verdict([entry("kill", "skyfleet", extra_share=0.05)], "kill", "extra") is False
    assert verdict([entry("kill", "skyfleet", extra_share=0.049)], "kill", "extra") is True


def test_several_routers_can_tie_for_the_best_of_a_scenario() -> None:
    """Times within 10 ms or 10 % tie; different numbers of lost requests do not."""
    entries = [entry("kill", "skyfleet", p99_ms=105.0, lost=1), entry("kill", "nginx", p99_ms=100.0)]
    assert goals.best(entries, "p99_ms", goals.TUNED) == {"kill": ["skyfleet", "nginx"]}
    assert goals.best(entries, "lost", goals.TUNED) == {"kill": ["nginx"]}


def test_the_best_of_a_scenario_is_among_one_own_entry_and_the_peers() -> None:
    """The other entry of this router is left out of the comparison."""
    entries = [
        entry("kill", "skyfleet", lost=0),
        entry("kill", "skyfleet-defaults", lost=1),
        entry("kill", "nginx"),
    ]
    entries[-1]["lost"] = 2
    assert goals.best(entries, "lost", goals.DEFAULTS) == {"kill": ["skyfleet-defaults"]}
    assert goals.best(entries[:2], "lost", goals.DEFAULTS) == {}


def test_no_target_without_a_fault_of_its_own_may_be_out() -> None:
    """There is no verdict for entries that did not measure it."""
    assert verdict([entry("poison", "skyfleet", wrongly_out_s=0.0)], "poison", "out") is True
    assert verdict([entry("poison", "skyfleet", wrongly_out_s=1.2)], "poison", "out") is False
    assert verdict([entry("kill", "skyfleet")], "kill", "out") is None
