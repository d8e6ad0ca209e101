"""bench/results/failover.json: one line for every row and router, the newest of each.

Rule: the file is read, changed and written whole, and replaced only by a finished one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.failover.goals import OURS
from bench.failover.rows import ROWS, Row

FILE: Final = Path(__file__).resolve().parents[1] / "results" / "failover.json"
COLUMNS: Final = (
    "fault",
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
Line = dict[str, Any]
# Beside the row itself: to start everything, to warm up, to end.
_AROUND_S: Final = 6.0


def absent(fault: str, router: str, reason: str) -> Line:
    """The line of a router that could not be measured."""
    return {**dict.fromkeys(COLUMNS), "fault": fault, "router": router, "reason": reason}


def read(file: Path = FILE) -> list[Line]:
    """All lines, in the order of the scoreboard."""
    if not file.is_file():
        return []
    lines: list[Line] = json.loads(file.read_text())["rows"]
    return lines


def merged(old: Iterable[Line], new: Iterable[Line]) -> list[Line]:
    """`old` with lines of the same row and router replaced by `new`, in the order of the scoreboard."""
    known = {(line["fault"], line["router"]): line for line in (*old, *new)}
    order = {row.fault: number for number, row in enumerate(ROWS)}
    return sorted(
        (line for line in known.values() if line["fault"] in order),
        key=lambda line: (order[line["fault"]], line["router"] not in OURS, line["router"]),
    )


def ahead(old: Sequence[Line], rows: Sequence[Row], routers: Sequence[str]) -> str:
    """What a run will do, how long it takes by the last one, and what becomes of the other lines."""
    known = {(line["fault"], line["router"]): line for line in old}
    runs = {(row.fault, router): row.end_s + _AROUND_S for row in rows for router in routers}
    seconds = sum(known.get(run, {}).get("took_s") or usual for run, usual in runs.items())
    kept = len(known.keys() - runs.keys())
    says = f"Lines to measure: {len(runs)}, in about {seconds / 60:.0f} min."
    return f"{says} Others, kept as they were measured before: {kept}."


def keep(lines: Sequence[Line], file: Path = FILE) -> None:
    """Put these lines into the file."""
    if not lines:
        return
    file.parent.mkdir(exist_ok=True)
    fresh = file.with_suffix(".new")
    body = ",\n".join(f" {json.dumps(line)}" for line in merged(read(file), lines))
    fresh.write_text(f'{{"rows": [\n{body}\n]}}\n')
    fresh.replace(file)


def shown(line: Line) -> str:
    """One line for a terminal."""
    return "  ".join(
        f"{name}={line[name]}" for name in (*COLUMNS, "keyed_repeats", "reason", "troubles") if name in line
    )
