"""Draw the scoreboard: `python plots.py FAILOVER.json FOLDER`, where matplotlib is installed.

Rules
- It reads the file of figures and imports nothing of the project, so it runs in its own environment.
- The same figures give the same bytes: no dates, no random identifiers, text as text.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

# Colours that differ for red-green colour-blind readers, and shapes for prints without colour.
STYLES: Final = {
    "skyfleet": ("#000000", "D"),
    "skyfleet-defaults": ("#888888", "P"),
    "caddy": ("#0072b2", "o"),
    "haproxy": ("#d55e00", "s"),
    "litellm": ("#009e73", "^"),
    "nginx": ("#cc79a7", "v"),
}
# Column, file, title, what a hollow mark at the edge means, where the axis stops being linear.
PLOTS: Final = (
    ("lost", "failover-lost.svg", "requests lost that may be repeated (fewer is better)", "", 1.0),
    ("p99_ms", "failover-p99.svg", "p99 while the fault lasts, ms (less is better)", "no good reply", 50.0),
    ("detection_ms", "failover-detection.svg", "until callers have no more trouble, ms", "never", 100.0),
    ("recovery_ms", "failover-recovery.svg", "until the healed has half of its share, ms", "never", 100.0),
)

Rows = Sequence[Mapping[str, Any]]


def main(figures: Path, folder: Path) -> None:
    """Write every plot."""
    pyplot = importlib.import_module("matplotlib.pyplot")
    pyplot.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "failover",
            "font.size": 8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
        }
    )
    rows: Rows = json.loads(figures.read_text())["rows"]
    folder.mkdir(exist_ok=True)
    for column, name, title, hollow, linear in PLOTS:
        text = f"{title}; hollow: {hollow} within the row" if hollow else title
        draw(pyplot, rows, (column, text, linear), folder / name)


def draw(pyplot: ModuleType, rows: Rows, what: tuple[str, str, float], path: Path) -> None:
    """One plot: a line for each fault, a mark for each router; what never came is at the right edge."""
    column, title, linear = what
    faults = list(dict.fromkeys(row["fault"] for row in rows))
    routers = [name for name in STYLES if any(row["router"] == name and row["sent"] for row in rows)]
    known = [row[column] for row in rows if row["sent"] and row[column] is not None]
    edge = 2.0 * max([*known, linear])
    figure, axes = pyplot.subplots(figsize=(7.0, 0.9 + 0.36 * len(faults)), layout="constrained")
    for number, router in enumerate(routers):
        colour, marker = STYLES[router]
        offset = 0.13 * (number - (len(routers) - 1) / 2)
        own = [row for row in rows if row["router"] == router and row["sent"]]
        there = [row for row in own if row[column] is not None]
        never = [row for row in own if row[column] is None]
        style = {"color": colour, "marker": marker, "linestyle": "none", "markersize": 5}
        at = [faults.index(row["fault"]) + offset for row in there]
        axes.plot([row[column] for row in there], at, label=router, **style)
        at = [faults.index(row["fault"]) + offset for row in never]
        axes.plot([edge] * len(never), at, fillstyle="none", **style)
    axes.set_xscale("symlog", linthresh=linear)
    axes.set_xlim(-0.05 * linear, 1.2 * edge)
    axes.set_yticks(range(len(faults)), faults)
    axes.invert_yaxis()
    axes.set_title(title)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=len(STYLES), frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
