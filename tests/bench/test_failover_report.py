"""Tests of the failover scoreboard: its file of results, its goals and its document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.failover import goals, report, results
from bench.failover.scenarios import SCENARIOS

pytestmark = pytest.mark.pure


def entry(scenario: str, router: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any figure
    figures: dict[str, Any] = dict.fromkeys(results.COLUMNS, 0) | {
        "sent": 700,
        "p50_ms": 60.0,
        "p99_ms": 150.0,
    }
    more = {"p99_normal_ms": 120.0, "lost_unrepeatable": 0, "version": "1", "at": "2026-01-01T00:00Z"}
    return {**figures, **more, "scenario": scenario, "router": router, **changes}


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


def test_new_entries_replace_old_entries_and_the_rest_is_kept(tmp_path: Path) -> None:
    """The file is in the order of the scoreboard, with the two entries of this router first."""
    file = tmp_path / "failover.json"
    own = [entry("kill", "skyfleet-defaults"), entry("kill", "skyfleet")]
    results.keep([entry("slow", "nginx"), entry("kill", "nginx", lost=9), *own], file)
    results.keep([entry("kill", "nginx", lost=1)], file)
    kept = [(one["scenario"], one["router"], one["lost"]) for one in results.read(file)]
    assert kept == [
        ("kill", "skyfleet", 0),
        ("kill", "skyfleet-defaults", 0),
        ("kill", "nginx", 1),
        ("slow", "nginx", 0),
    ]


def test_every_entry_begins_with_the_documented_columns() -> None:
    """Programs that read the file find the columns by name."""
    assert list(results.absent("kill", "nginx", "why"))[: len(results.COLUMNS)] == list(results.COLUMNS)


def scoreboard(**changes: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any figure
    """All scenarios of both own entries and a peer; `changes` are those of the default entry in `cut`."""
    routers = ("skyfleet", "skyfleet-defaults", "nginx")
    entries = [entry(scenario.name, router) for scenario in SCENARIOS for router in routers]
    own = next(one for one in entries if (one["scenario"], one["router"]) == ("cut", "skyfleet-defaults"))
    own.update(changes)
    return entries


def test_the_document_lists_each_missed_goal_with_its_entry() -> None:
    """A entry without missed goals is listed too."""
    text = report.document(scoreboard(lost=2))
    missed = "cut: floor: no peer loses fewer (2 lost; fewer: nginx 0); cut: 0 lost (2)."
    assert f"- `skyfleet-defaults`, default policy: 2 of 57. {missed}" in text
    assert "- `skyfleet`, tuned for this scoreboard: none of 57." in text
    assert all(f"### {scenario.name}\n" in text for scenario in SCENARIOS)


def test_the_document_begins_with_the_difference_of_the_two_entries() -> None:
    """The first section explains the tuned policy and what a tie is."""
    text = report.document(scoreboard())
    begins = text[: text.index("## How it is measured")]
    assert "`hedge: on`, `ejectionS: 3`, `slowStartS: 5`" in begins
    assert "once in each cloud" in begins
    assert "ejected for 10 s at" in begins
    assert "within 10 % or 10 ms of the lowest is a tie" in begins


def test_the_document_names_absent_and_unmeasured_routers() -> None:
    """Each router without figures is named with the reason."""
    entries = [entry("kill", "skyfleet"), results.absent("kill", "litellm", "litellm: no network")]
    text = report.document(entries)
    assert "Absent: litellm: litellm: no network; " in text
    assert "haproxy: not measured yet" in text
    assert "`skyfleet-defaults`: not measured yet (`make bench-failover ROUTERS=skyfleet-defaults`)" in text


def test_an_undetected_fault_and_a_missing_figure_are_shown_differently() -> None:
    """A entry without `keyed_repeats` shows a dash; a fault without a detection time shows `never`."""
    text = report.document([entry("kill", "nginx", detection_ms=None)])
    assert "| nginx | 0 | 0 | 0 | - | 60 | 150 | never | 0 | 0.0 |" in text
    text = report.document([entry("kill", "nginx", keyed_repeats=7)])
    assert "| nginx | 0 | 0 | 0 | 7 | 60 | 150 | 0 | 0 | 0.0 |" in text


def test_the_document_shows_the_duration_of_a_run_if_it_was_recorded() -> None:
    """The duration of the start is shown in parentheses."""
    timed = [
        entry("kill", "nginx", took_s=24.4, ready_s=1.2),
        entry("slow", "nginx", took_s=24.4, ready_s=1.2),
    ]
    assert "all runs took 1 min." in report.document(timed)
    assert "nginx 24 s (1 s)" in report.document(timed)
    assert "- Duration:" not in report.document([entry("kill", "nginx")])
