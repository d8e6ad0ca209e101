"""Claims about the page of the soak."""

from __future__ import annotations

import pytest

from bench.soak import report
from bench.soak.judge import Bound
from bench.soak.run import Minute, Soak
from bench.soak.watch import Sample
from infra.setup.paths import ROOT

pytestmark = pytest.mark.pure

ABOUT = {
    "at": "2026-11-27T12:00Z",
    "seconds": 120,
    "note": "",
    "machine": "2 cores",
    "python": "3.11.7",
    "load_before": 0.1,
    "load_after": 1.2,
}


def soak() -> Soak:
    one = Soak(100.0, 0.0)
    one.samples = [Sample(at, 30.0, 20, 10, 5, 3, at / 10) for at in range(0, 120, 2)]
    one.minutes = [
        Minute("kill", "aws", 6_000, 0, 2, 50.0, 120.0, 1.0, {}),
        Minute("refuse", "azure", 6_000, 1, 0, 50.0, 130.0, 1.0, {"status 503": 1}),
    ]
    one.status = {"attempts": {"requests": 12_000, "retried": 40, "failed": 1}}
    return one


def test_a_run_is_told_with_its_bounds_and_faults() -> None:
    """A broken bound is seen at once."""
    found = report.entry(soak(), [Bound("lost", 1, 0), Bound("growth of memory, MB", 0.5, 2)], ABOUT)
    page = report.page({"120": found})
    assert "| lost | 1 | 0 | **broken** |" in page
    assert "| growth of memory, MB | 0.5 | 2 | holds |" in page
    assert "| refuse | 1 | 6,000 | 1 | 0 | 50 | 130 |" in page
    assert "- 100 requests a second, 12,000 in all." in page
    assert found["cpu_us"] == pytest.approx(983.3)
    assert len(found["parts"]) == 6


def test_the_page_is_that_of_the_stored_runs() -> None:
    """`make soak` wrote both."""
    assert (ROOT / "docs" / "benchmarks" / "soak.md").read_text() == report.page(report.read())
