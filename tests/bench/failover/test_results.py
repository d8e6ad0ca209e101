"""Tests of the file of entries."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.failover import results
from bench.failover.scenarios import SCENARIOS
from tests.bench.failover.support import entry

pytestmark = pytest.mark.pure


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


def test_a_run_begins_with_its_duration_and_the_number_of_kept_entries() -> None:
    """The duration is estimated from the recorded times of the same scenarios."""
    old = [
        {"scenario": "kill", "router": "nginx", "took_s": 96.0},
        {"scenario": "slow", "router": "nginx"},
    ]
    assert (
        results.announcement(old, SCENARIOS[:1], ["nginx", "caddy"])
        == "Entries to measure: 2, in about 2 min. Other entries that stay: 1."
    )
