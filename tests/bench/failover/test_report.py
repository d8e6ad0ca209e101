"""Tests of the page of the scoreboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.failover import report, results
from bench.failover.scenarios import SCENARIOS
from tests.bench.failover.support import entry, scoreboard

pytestmark = pytest.mark.pure

ROOT = Path(__file__).parents[3]


def without_machine(page: str) -> list[str]:
    return [line for line in page.splitlines() if not line.startswith("- Measured on ")]


def test_the_page_shows_the_stored_entries() -> None:
    """docs/benchmarks/failover.md is up to date, except for the machine on which it was written."""
    page = (ROOT / report.DOCUMENT).read_text("utf-8")
    made = report.document(results.read())
    assert without_machine(page) == without_machine(made)


def test_the_document_lists_each_missed_goal_with_its_entry() -> None:
    """A entry without missed goals is listed too."""
    text = report.document(scoreboard(lost=2))
    missed = "cut: floor: no peer loses fewer (2 lost; fewer: nginx 0); cut: 0 lost (2)."
    assert f"- `skyfleet-defaults`, default policy: 2 of 69. {missed}" in text
    assert "- `skyfleet`, tuned for this scoreboard: none of 69." in text
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


def test_what_healthy_targets_kept_is_shown_where_it_was_measured() -> None:
    """And no recovery where no target has a fault of its own."""
    kept = entry("poison", "nginx", wrongly_out_s=2.5, least_share=0.41, recovery_ms=None)
    text = report.document([kept, entry("kill", "nginx")])
    assert "| detection, ms | extra, % | wrongly out, s | least share kept |" in text
    assert "| nginx | 0 | 0 | 0 | - | 60 | 150 | 0 | 0.0 | 2.5 | 0.41 |" in text
    assert "| recovery, ms | extra, % |\n" in text
