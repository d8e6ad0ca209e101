"""Draw the scoreboard: `python plots.py FAILOVER.json FOLDER`, where matplotlib is installed.

Rules
- It reads the file of figures and imports nothing of the project, so it runs in an environment of its own.
- Equal figures give equal bytes: no dates, no random identifiers, text as text.
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
    "skyfleet-repeatable": ("#56b4e9", "X"),
    "caddy": ("#0072b2", "o"),
    "haproxy": ("#d55e00", "s"),
    "litellm": ("#009e73", "^"),
    "nginx": ("#cc79a7", "v"),
}
# Column, file, title, meaning of a hollow mark at the edge, end of the linear part of the axis.
PLOTS: Final = (
    ("lost", "failover-lost.svg", "requests lost that may be repeated (fewer is better)", "", 1.0),
    ("p99_ms", "failover-p99.svg", "p99 while the fault lasts, ms (less is better)", "no good reply", 50.0),
    ("detection_ms", "failover-detection.svg", "until no more requests fail or are slow, ms", "never", 100.0),
    (
        "recovery_ms",
        "failover-recovery.svg",
        "until the healed target has half of its share, ms",
        "never",
        100.0,
    ),
)

Entries = Sequence[Mapping[str, Any]]


def main(figures: Path, folder: Path) -> None:
    """Draw all plots. figures: the file of figures; folder: where the plots go."""
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
    entries: Entries = json.loads(figures.read_text())["entries"]
    folder.mkdir(exist_ok=True)
    for column, name, title, hollow, linear in PLOTS:
        text = f"{title}; hollow: {hollow} within the scenario" if hollow else title
        draw(pyplot, entries, (column, text, linear), folder / name)


def draw(pyplot: ModuleType, entries: Entries, what: tuple[str, str, float], path: Path) -> None:
    """Draw one plot: a line for each scenario, a mark for each router, missing times at the right edge."""
    column, title, linear = what
    # Where no router has the figure, there is nothing to measure.
    measured = {entry["scenario"] for entry in entries if entry["sent"] and entry[column] is not None}
    entries = [entry for entry in entries if entry["scenario"] in measured]
    names = list(dict.fromkeys(entry["scenario"] for entry in entries))
    routers = [name for name in STYLES if any(entry["router"] == name and entry["sent"] for entry in entries)]
    known = [entry[column] for entry in entries if entry["sent"] and entry[column] is not None]
    edge = 2.0 * max([*known, linear])
    figure, axes = pyplot.subplots(figsize=(7.0, 0.9 + 0.36 * len(names)), layout="constrained")
    for number, router in enumerate(routers):
        colour, marker = STYLES[router]
        offset = 0.13 * (number - (len(routers) - 1) / 2)
        own = [entry for entry in entries if entry["router"] == router and entry["sent"]]
        there = [entry for entry in own if entry[column] is not None]
        never = [entry for entry in own if entry[column] is None]
        style = {"color": colour, "marker": marker, "linestyle": "none", "markersize": 5}
        at = [names.index(entry["scenario"]) + offset for entry in there]
        axes.plot([entry[column] for entry in there], at, label=router, **style)
        at = [names.index(entry["scenario"]) + offset for entry in never]
        axes.plot([edge] * len(never), at, fillstyle="none", **style)
    axes.set_xscale("symlog", linthresh=linear)
    axes.set_xlim(-0.05 * linear, 1.2 * edge)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_title(title)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=len(STYLES), frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
