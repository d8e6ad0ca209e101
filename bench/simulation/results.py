"""The results of a study: the file of figures, the plots and the page.

Rules
- `simulation.json` has one row per line in a fixed order, so a changed figure is a changed line.
- matplotlib draws the plots in an environment of its own (locks/bench.txt).
- The part of docs/benchmarks/simulation.md between the marks is made from the file of figures alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import environments
from bench.simulation.study.batch import Found, Row
from infra.setup.paths import cache_folder
from infra.setup.progress import Console

ROOT: Final = Path(__file__).resolve().parents[2]
FILE: Final = ROOT / "bench" / "results" / "simulation.json"
PLOTS: Final = ROOT / "docs" / "benchmarks" / "plots"
DOCS: Final = ROOT / "docs" / "benchmarks" / "simulation.md"
BEGIN: Final = "<!-- simulation: made by make bench-simulate -->"
END: Final = "<!-- end of simulation -->"
_LOCK: Final = ROOT / "locks" / "bench.txt"

Stored = dict[str, Any]


def write(found: Found) -> None:
    """Write the file of figures."""
    _write({"rows": found.rows, "curves": found.curves, "attribution": found.attribution})


def write_attribution(rows: Sequence[Row]) -> None:
    """Write the rows of this study, and leave all others as they are."""
    _write({**read(), "attribution": rows})


def _write(lists: Mapping[str, Sequence[Row]]) -> None:
    parts = [
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]"
        for name, rows in lists.items()
    ]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def read() -> Stored:
    """Read the stored figures."""
    stored: Stored = json.loads(FILE.read_text())
    return stored


def draw() -> None:
    """Draw all plots from the file of figures."""
    PLOTS.mkdir(exist_ok=True)
    script = Path(__file__).with_name("plots.py")
    folder = cache_folder(os.environ) / "bench" / "plots"
    python = environments.ensure(folder, _LOCK, os.environ, Console(sys.stderr))
    subprocess.run([python, script, FILE, PLOTS], check=True)


def document() -> None:
    """Replace the generated part of the page."""
    text = DOCS.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.write_text(f"{before}{BEGIN}\n{section(read())}\n{END}{after}", "utf-8")


def section(stored: Stored) -> str:
    """The generated part: tables and plots in Markdown."""
    parts = [f"![{name}](plots/{name}.svg)\n" for name in ("p99", "oscillation")]
    for topology, title in _SHOWN.items():
        rows = [row for row in stored["rows"] if row["topology"] == topology]
        parts += [f"**{title}**", "", _matrix(rows), ""]
    parts += [*_attribution(stored.get("attribution", ())), ""]
    for name in dict.fromkeys(curve["sweep"] for curve in stored["curves"]):
        curve = next(curve for curve in stored["curves"] if curve["sweep"] == name)
        parts += [f"![{name}](plots/{name}.svg)", "", f"`{curve['parameter']}`: {curve['says']}", ""]
    return "\n".join(parts).rstrip()


def _attribution(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table of each topology: failed requests that were judged, and the least share of a healthy target."""
    parts: list[str] = []
    for topology in dict.fromkeys(row["topology"] for row in rows):
        own = [row for row in rows if row["topology"] == topology]
        targets, instances = topology.split("x")
        scenarios, rules = (list(dict.fromkeys(row[name] for row in own)) for name in ("scenario", "rule"))
        cells = {(row["scenario"], row["rule"]): f"{row['failed']:g} / {row['least']:g}" for row in own}
        parts += [
            f"**Whose fault, {targets} targets, {instances} instances: failed requests / least share kept**",
            "",
            "| rule | " + " | ".join(scenarios) + " |",
            "| --- |" + " ---: |" * len(scenarios),
            *(f"| {rule} | " + " | ".join(cells[one, rule] for one in scenarios) + " |" for rule in rules),
            "",
        ]
    return parts


_SHOWN: Final[Mapping[str, str]] = {
    "3x1": "3 targets, one router instance: p99 in ms and, if any, failed requests",
    "3x100": "3 targets, 100 instances",
    "30x100": "30 targets, 100 instances",
    "300x1": "300 targets, one instance",
    "300x10000": "300 targets, 10,000 instances",
}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """All figures as a table for a terminal."""
    names = [name for name in rows[0] if name not in ("topology", "scenario", "rule")]
    lines = [f"{'':40}" + "".join(f"{name:>13}" for name in names)]
    for row in rows:
        title = f"{row['topology']} {row['scenario']} {row['rule']}"
        cells = "".join(f"{'-' if row[name] is None else row[name]:>13}" for name in names)
        lines.append(f"{title:40}{cells}")
    return "\n".join(lines)


def _matrix(rows: Sequence[Mapping[str, Any]]) -> str:
    scenarios = list(dict.fromkeys(row["scenario"] for row in rows))
    scenarios.sort(key=lambda scenario: (scenario != "normal", scenario))
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    by = {(row["scenario"], row["rule"]): row for row in rows}
    lines = ["| rule | " + " | ".join(scenarios) + " |", "| --- |" + " ---: |" * len(scenarios)]
    for rule in sorted(rules, key=lambda rule: (rule.startswith("skyfleet"), rule)):
        lines.append(f"| {rule} | " + " | ".join(_cell(by[scenario, rule]) for scenario in scenarios) + " |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any]) -> str:
    errors = row["errors"]
    return f"{row['p99_ms']:,.0f}" + (f" ({100 * errors:.2g} %)" if errors else "")
