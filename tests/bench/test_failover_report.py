"""Claims about the board's file, its goals and its document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.failover import goals, report, results
from bench.failover.rows import ROWS

pytestmark = pytest.mark.pure


def line(fault: str, router: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any figure
    figures: dict[str, Any] = dict.fromkeys(results.COLUMNS, 0) | {
        "sent": 700,
        "p50_ms": 60.0,
        "p99_ms": 150.0,
    }
    more = {"p99_normal_ms": 120.0, "lost_unrepeatable": 0, "version": "1", "at": "2026-01-01T00:00Z"}
    return {**figures, **more, "fault": fault, "router": router, **changes}


def verdict(lines: list[dict[str, Any]], fault: str, demand: str) -> bool | None:
    return next(v.met for v in goals.verdicts(lines) if (v.fault, v.demand) == (fault, demand))


@pytest.mark.parametrize(("theirs", "met"), [(0, False), (3, True), (4, True)])
def test_the_floor_is_that_no_peer_loses_fewer(theirs: int, met: bool) -> None:
    """Equal is not fewer."""
    assert (
        verdict([line("cut", "skyfleet", lost=3), line("cut", "nginx", lost=theirs)], "cut", "floor") is met
    )


def test_an_absent_peer_proves_no_floor() -> None:
    """Nothing was compared."""
    lines = [line("kill", "skyfleet"), results.absent("kill", "nginx", "no apt-get")]
    assert verdict(lines, "kill", "floor") is None


def test_losing_is_allowed_only_where_no_target_is_left() -> None:
    """And repeating wrongly nowhere."""
    lines = [line(fault, "skyfleet", lost=1, wrong_repeats=1) for fault in ("all-down", "kill")]
    assert verdict(lines, "all-down", "lost") is None
    assert verdict(lines, "kill", "lost") is False
    assert verdict(lines, "all-down", "repeats") is False


@pytest.mark.parametrize(("p99", "met"), [(239.0, True), (241.0, False)])
def test_p99_is_held_against_the_usual_one_of_all_rows(p99: float, met: bool) -> None:
    """One row's own second before the fault may be a lucky one."""
    lines = [
        line("slow", "skyfleet", p99_ms=p99, p99_normal_ms=90.0),
        line("kill", "skyfleet"),
        line("cut", "skyfleet"),
    ]
    assert verdict(lines, "slow", "p99") is met
    assert verdict(lines, "kill", "p99") is None


def test_extra_attempts_have_a_limit() -> None:
    """Below 5 %."""
    assert verdict([line("kill", "skyfleet", extra_share=0.05)], "kill", "extra") is False
    assert verdict([line("kill", "skyfleet", extra_share=0.049)], "kill", "extra") is True


def test_the_best_of_a_row_may_be_several() -> None:
    """Times within 10 ms or a tenth are equal, lost requests are not."""
    lines = [line("kill", "skyfleet", p99_ms=105.0, lost=1), line("kill", "nginx", p99_ms=100.0)]
    assert goals.best(lines, "p99_ms") == {"kill": ["skyfleet", "nginx"]}
    assert goals.best(lines, "lost") == {"kill": ["nginx"]}


def test_new_lines_replace_old_ones_and_the_rest_is_kept(tmp_path: Path) -> None:
    """In the board's order, this router first."""
    file = tmp_path / "failover.json"
    results.keep([line("slow", "nginx"), line("kill", "nginx", lost=9), line("kill", "skyfleet")], file)
    results.keep([line("kill", "nginx", lost=1)], file)
    kept = [(one["fault"], one["router"], one["lost"]) for one in results.read(file)]
    assert kept == [("kill", "skyfleet", 0), ("kill", "nginx", 1), ("slow", "nginx", 0)]


def test_every_line_begins_with_the_columns_that_were_agreed() -> None:
    """Others read them by name."""
    assert list(results.absent("kill", "nginx", "why"))[: len(results.COLUMNS)] == list(results.COLUMNS)


def test_the_document_says_what_was_not_met_and_who_was_absent() -> None:
    """Nothing is left out silently."""
    lines = [line(row.fault, "skyfleet", lost=2 if row.fault == "cut" else 0) for row in ROWS]
    lines += [line(row.fault, "nginx", detection_ms=None) for row in ROWS]
    lines += [results.absent(row.fault, "litellm", "litellm cannot be installed: no network") for row in ROWS]
    text = report.document(lines)
    assert "Not met: cut: floor: no peer loses fewer (2 lost; fewer: nginx 0); cut: 0 lost (2)." in text
    assert "Absent: litellm: litellm cannot be installed: no network; " in text
    assert "haproxy: not measured yet" in text
    assert "| nginx | 0 | 0 | 0 | 60 | 150 | never | 0 | 0.0 |" in text
    assert all(f"### {row.fault}\n" in text for row in ROWS)


def test_the_document_says_so_when_everything_is_met() -> None:
    """The same words for the good case."""
    lines = [line(row.fault, router) for row in ROWS for router in ("skyfleet", "nginx")]
    assert "Every floor and goal is met." in report.document(lines)
