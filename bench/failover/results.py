"""The file bench/results/failover.json: the newest entry of each scenario and router.

Rule: the file is read, changed and written as a whole, and replaced when the new one is complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.failover.goals import SKYFLEET
from bench.failover.scenarios import SCENARIOS, Scenario

FILE: Final = Path(__file__).resolve().parents[1] / "results" / "failover.json"
COLUMNS: Final = (
    "scenario",
    "router",
    "sent",
    "lost",
    "wrong_repeats",
    "p50_ms",
    "p99_ms",
    "detection_ms",
    "recovery_ms",
    "extra_share",
)
Entry = dict[str, Any]
# Time of a run beside its scenario: start, warm-up, end.
_AROUND_S: Final = 6.0


def absent(scenario: str, router: str, reason: str) -> Entry:
    """The entry of a router that could not be measured."""
    return {**dict.fromkeys(COLUMNS), "scenario": scenario, "router": router, "reason": reason}


def read(file: Path = FILE) -> list[Entry]:
    """All entries, in the order of the scoreboard."""
    if not file.is_file():
        return []
    entries: list[Entry] = json.loads(file.read_text())["entries"]
    return entries


def merged(old: Iterable[Entry], new: Iterable[Entry]) -> list[Entry]:
    """`old` with the entries of the same scenario and router replaced by `new`, in order."""
    known = {(entry["scenario"], entry["router"]): entry for entry in (*old, *new)}
    order = {scenario.name: number for number, scenario in enumerate(SCENARIOS)}
    return sorted(
        (entry for entry in known.values() if entry["scenario"] in order),
        key=lambda entry: (order[entry["scenario"]], entry["router"] not in SKYFLEET, entry["router"]),
    )


def announcement(old: Sequence[Entry], scenarios: Sequence[Scenario], routers: Sequence[str]) -> str:
    """How many entries a run will measure, its duration by the recorded times, and how many entries stay."""
    known = {(entry["scenario"], entry["router"]): entry for entry in old}
    runs = {
        (scenario.name, router): scenario.end_s + _AROUND_S for scenario in scenarios for router in routers
    }
    seconds = sum(known.get(run, {}).get("took_s") or usual for run, usual in runs.items())
    kept = len(known.keys() - runs.keys())
    return (
        f"Entries to measure: {len(runs)}, in about {seconds / 60:.0f} min. Other entries that stay: {kept}."
    )


def keep(entries: Sequence[Entry], file: Path = FILE) -> None:
    """Write these entries to the file, in place of older ones of the same scenario and router."""
    if not entries:
        return
    file.parent.mkdir(exist_ok=True)
    fresh = file.with_suffix(".new")
    body = ",\n".join(f" {json.dumps(entry)}" for entry in merged(read(file), entries))
    fresh.write_text(f'{{"entries": [\n{body}\n]}}\n')
    fresh.replace(file)


def as_text(entry: Entry) -> str:
    """The entry as one line for a terminal."""
    return "  ".join(
        f"{name}={entry[name]}" for name in (*COLUMNS, "keyed_repeats", "reason", "failures") if name in entry
    )
