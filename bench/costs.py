"""Write the tables of docs/costs.md: `python -m bench.costs` (`--check` only compares them).

The stack is that of Pulumi.example.yaml. Prices and formulas are in infra/costs.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import yaml

from infra.config.model import Settings
from infra.config.parse import parse_settings
from infra.costs import RATES, READ, Price, detection_s, idle, run_s, total
from skyfleet.contract import Checks

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "costs.md"
BEGIN, END = "<!-- written by python -m bench.costs -->", "<!-- end -->"
COMPARED = (Checks(), Checks(6, 10), Checks(3, 1), Checks(2, 20), Checks(1, 10))


def example(root: Path = ROOT) -> Settings:
    """The settings of Pulumi.example.yaml. root: the checkout."""
    parsed = cast("dict[str, Any]", yaml.safe_load((root / "Pulumi.example.yaml").read_text()))
    return parse_settings(parsed["config"], "prod")


def tables(settings: Settings) -> str:
    """All tables in Markdown."""
    return "\n\n".join(["\n".join(part(settings)) for part in (_bill, _compared, _prices)])


def written(document: str, text: str) -> str:
    """The document with `text` between the marks."""
    before, _, rest = document.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}"


def _bill(settings: Settings) -> Iterator[str]:
    costs = idle(settings)
    yield "| cloud | what | how much | USD a month |"
    yield "| --- | --- | --- | ---: |"
    for cost in costs:
        yield f"| {cost.cloud} | {cost.what} | {cost.amount} | {cost.usd:.2f} |"
    for cloud in settings.clouds:
        yield f"| {cloud} | **all** | | **{total(costs, cloud):.2f}** |"
    yield f"| **all** | | | **{total(costs):.2f}** |"


def _compared(settings: Settings) -> Iterator[str]:
    yield "| `skyfleet:checks` | a run | an idle target that died is down within | USD a month |"
    yield "| --- | ---: | ---: | ---: |"
    for checks in COMPARED:
        cost = total(idle(replace(settings, checks=checks)))
        text = f"`{{probes: {checks.probes}, apartS: {checks.apart_s:g}}}`"
        default = " (default)" if checks == Checks() else ""
        yield f"| {text}{default} | {run_s(checks):g} s | {detection_s(checks):g} s | {cost:.2f} |"


def _prices(settings: Settings) -> Iterator[str]:
    yield f"| cloud | price (USD), read {READ} | source | free each month, not counted above |"
    yield "| --- | --- | --- | --- |"
    for cloud, rates in RATES.items():
        given: list[Price | None] = [
            *(rates.cpu, rates.gb, rates.million, rates.secret, rates.alarm, rates.schedule)
        ]
        for number, price in enumerate(price for price in given if price):
            free = rates.free if number == 0 else ""
            yield f"| {cloud} | {_shown(price.usd)} for each {price.unit} | {price.source} | {free} |"


def _shown(usd: float) -> str:
    return f"{usd:.10f}".rstrip("0") if usd < 0.01 else f"{usd:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.costs", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="only compare; exit status 1 if the document is out of date"
    )
    check: bool = parser.parse_args().check
    old = DOCUMENT.read_text()
    new = written(old, tables(example()))
    if not check:
        DOCUMENT.write_text(new)
    return int(check and old != new)


if __name__ == "__main__":
    sys.exit(main())
