"""The floor and the goals for this router, computed from its two lines of the scoreboard.

Rules
- Pure: lines in, verdicts out.
- This router has two lines: its defaults and a policy tuned for the scoreboard. Each is compared with the
  peers only, never with the other one.
- Floor: in no row does a peer lose fewer of the requests that may be repeated.
- Goals: nothing lost where a good target is left all the time; nothing repeated that must not be; p99 under
  twice the normal one while a target is slow; fewer than 5 % extra attempts.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.failover.rows import ROWS, Row

TUNED: Final = "skyfleet"
DEFAULTS: Final = "skyfleet-defaults"
OURS: Final = (TUNED, DEFAULTS)
SLOW_ROWS: Final = frozenset({"slow", "gray"})
P99_FACTOR: Final = 2.0
MOST_EXTRA: Final = 0.05
# A run is a run: so close to the lowest time, a time is as good.
TIE_SHARE: Final = 0.1
TIE_MS: Final = 10.0

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One demand on one row. met: None when it does not apply or was not measured."""

    fault: str
    demand: str
    met: bool | None
    says: str


def verdicts(lines: Sequence[Line], router: str) -> list[Verdict]:
    """Floor and goals of every row that was measured for one of ours."""
    normal = normal_p99(lines, router)
    found: list[Verdict] = []
    for row in ROWS:
        of_row = [line for line in lines if line["fault"] == row.fault]
        ours = next((line for line in of_row if line["router"] == router and line["sent"]), None)
        if ours is not None:
            found += [floor(ours, of_row), *_goals(row, ours, normal)]
    return found


def floor(ours: Line, of_row: Sequence[Line]) -> Verdict:
    """Whether no peer loses fewer."""
    peers = [line for line in of_row if line["router"] not in OURS and line["sent"]]
    better = [line for line in peers if line["lost"] < ours["lost"]]
    told = ", ".join(f"{line['router']} {line['lost']}" for line in better)
    says = f"{ours['lost']} lost; fewer: {told}" if better else f"{ours['lost']} lost, no peer fewer"
    return Verdict(ours["fault"], "floor", None if not peers else not better, says)


def normal_p99(lines: Sequence[Line], router: str) -> float | None:
    """The router's p99 without a fault: the median of what its rows saw before theirs."""
    seen = [line["p99_normal_ms"] for line in lines if line["router"] == router and line.get("p99_normal_ms")]
    return statistics.median(seen) if seen else None


def _goals(row: Row, ours: Line, normal: float | None) -> list[Verdict]:
    p99: float | None = ours["p99_ms"]
    limit = P99_FACTOR * (normal or 0.0)
    within = p99 < limit if row.fault in SLOW_ROWS and p99 is not None and normal is not None else None
    told = "only slow and gray" if within is None else f"{p99:.0f} of {limit:.0f} ms"
    lost = ours["lost"] == 0 if row.goods else None
    return [
        Verdict(row.fault, "lost", lost, str(ours["lost"]) if row.goods else "no good target is left"),
        Verdict(row.fault, "repeats", ours["wrong_repeats"] == 0, str(ours["wrong_repeats"])),
        Verdict(row.fault, "p99", within, told),
        Verdict(row.fault, "extra", ours["extra_share"] < MOST_EXTRA, f"{100 * ours['extra_share']:.1f} %"),
    ]


def best(lines: Sequence[Line], column: str, router: str) -> dict[str, list[str]]:
    """For each row of one of ours and a peer: those with the lowest figure and its ties; None counts last."""
    other = {one for one in OURS if one != router}
    there = [line for line in lines if line["sent"] and line["router"] not in other]
    found: dict[str, list[str]] = {}
    for row in ROWS:
        of_row = {line["router"]: line[column] for line in there if line["fault"] == row.fault}
        known = {name: float(figure) for name, figure in of_row.items() if figure is not None}
        if known and router in of_row and len(of_row) > 1:
            least = min(known.values())
            slack = 0.0 if column == "lost" else max(TIE_MS, TIE_SHARE * least)
            found[row.fault] = [name for name, figure in known.items() if figure <= least + slack]
    return found
