"""Draws the plots of a study: `python plots.py FIGURES.json FOLDER`, where matplotlib is installed.

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
from typing import Any, Final

# Colours that differ for red-green colour-blind readers.
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999")
_TOPOLOGIES: Final = ("3x1", "3x100", "3x10000", "30x100", "300x1")
_RULES: Final = (
    "weighted",
    "p2c",
    "prequal",
    "envoy",
    "skyfleet/weighted",
    "skyfleet/latency",
    "skyfleet/adaptive",
)
_UNITS: Final = {
    "p50_ms": "p50, ms",
    "p95_ms": "p95, ms",
    "p99_ms": "p99, ms",
    "p999_ms": "p99.9, ms",
    "after_ms": "p99 after heal, ms",
    "errors": "failed, %",
    "extra": "extra attempts, %",
    "usd": "USD per million",
    "oscillation": "oscillation",
    "settled_s": "settled after, s",
    "recovered_s": "recovered after, s",
}
_PERCENT: Final = ("errors", "extra")
# Characters of the usual size that fit along the axis of one panel.
_FITTING: Final = 30

Rows = Sequence[Mapping[str, Any]]


def main(figures: Path, folder: Path) -> None:
    """Draw all plots. figures: the file of figures; folder: where the plots go."""
    pyplot = importlib.import_module("matplotlib.pyplot")
    pyplot.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "simulation",
            "font.size": 8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
        }
    )
    stored = json.loads(figures.read_text())
    draw_rules(pyplot, stored["rows"], "p99_ms", folder / "p99.svg")
    draw_rules(pyplot, stored["rows"], "oscillation", folder / "oscillation.svg")
    for name in dict.fromkeys(curve["sweep"] for curve in stored["curves"]):
        curves = [curve for curve in stored["curves"] if curve["sweep"] == name]
        draw_sweep(pyplot, curves, folder / f"{name}.svg")


def draw_rules(pyplot: Any, rows: Rows, figure: str, path: Path) -> None:  # noqa: ANN401 - a library without types here
    """Draw one figure of each rule in each scenario, with a panel for each topology."""
    ticker = importlib.import_module("matplotlib.ticker")
    scenarios = sorted({row["scenario"] for row in rows}, key=lambda one: (one != "normal", one))
    shown = [topology for topology in _TOPOLOGIES if any(row["topology"] == topology for row in rows)]
    canvas, panels = pyplot.subplots(1, len(shown), figsize=(2.2 * len(shown), 2.8), sharey=True)
    for panel, topology in zip(panels, shown, strict=True):
        by = {(row["scenario"], row["rule"]): row[figure] for row in rows if row["topology"] == topology}
        for rule, colour in zip(_RULES, COLOURS, strict=False):
            line = "-" if rule.startswith("skyfleet") else ":"
            values = [by.get((scenario, rule)) for scenario in scenarios]
            panel.plot(
                values, scenarios, line, marker="o", markersize=3, linewidth=0.8, color=colour, label=rule
            )
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(ticker.NullFormatter())
        panel.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        panel.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        panel.set_title(topology.replace("x", " targets x "), fontsize=8)
        panel.set_xlabel(_UNITS[figure])
    panels[0].invert_yaxis()
    canvas.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncol=len(_RULES), frameon=False)
    canvas.tight_layout(rect=(0, 0.08, 1, 1))
    _save(canvas, path)
    pyplot.close(canvas)


def draw_sweep(pyplot: Any, curves: Rows, path: Path) -> None:  # noqa: ANN401 - a library without types here
    """Draw the curves of a sweep, with a panel for each figure and a mark at the default."""
    figures = list(dict.fromkeys(curve["figure"] for curve in curves))
    scenarios = list(dict.fromkeys(curve["scenario"] for curve in curves))
    canvas, panels = pyplot.subplots(1, len(figures), figsize=(2.9 * len(figures), 2.1), squeeze=False)
    for panel, figure in zip(panels[0], figures, strict=True):
        for curve in [one for one in curves if one["figure"] == figure]:
            factor = 100 if figure in _PERCENT else 1
            values = [None if y is None else factor * y for y in curve["y"]]
            places = range(len(curve["x"]))
            colour = COLOURS[scenarios.index(curve["scenario"])]
            panel.plot(places, values, marker="o", markersize=3, color=colour, label=curve["scenario"])
        first = curves[0]
        ticks = [tick(x) for x in first["x"]]
        panel.set_xticks(range(len(ticks)), ticks, fontsize=8 if len("".join(ticks)) < _FITTING else 6)
        if first["default"] in first["x"]:
            panel.axvline(first["x"].index(first["default"]), color="#999999", linestyle="--", linewidth=1)
        panel.set_xlabel(first["parameter"])
        panel.set_ylabel(_UNITS[figure])
        panel.set_ylim(bottom=0)
        panel.legend(frameon=False, fontsize=7)
    canvas.tight_layout()
    _save(canvas, path)
    pyplot.close(canvas)


def tick(x: float) -> str:
    """A value of a parameter as a short label; small powers of two are fractions."""
    plain = f"{x:.4g}"
    return plain if len(plain) <= 5 or x >= 1 else f"1/{1 / x:.4g}"


def _save(canvas: Any, path: Path) -> None:  # noqa: ANN401 - a library without types here
    canvas.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
