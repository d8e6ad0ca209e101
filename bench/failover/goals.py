"""The floor and the goals of this router, computed from its entries of the scoreboard.

Rules
- Pure: entries in, verdicts out.
- This router has three entries: with a policy tuned for the scoreboard, with default settings, and with
  these and agents that are declared repeatable. Each is compared with the peers, never with the others.
- Floor: in no scenario does a peer lose fewer of the requests that may be repeated.
- Goals: no lost request where a healthy target is left all the time; no repeat of a request that must not be
  repeated; p99 under twice the normal one while a target is slow; fewer than 5 % extra attempts; no target
  without traffic that has no fault of its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.failover.scenarios import SCENARIOS, Scenario

TUNED: Final = "skyfleet"
DEFAULTS: Final = "skyfleet-defaults"
# The default policy with agents that are declared repeatable, as the README advises.
REPEATABLE: Final = "skyfleet-repeatable"
SKYFLEET: Final = (TUNED, DEFAULTS, REPEATABLE)
SLOW_SCENARIOS: Final = frozenset({"slow", "gray"})
P99_FACTOR: Final = 2.0
MOST_EXTRA: Final = 0.05
# Noise of a measurement: times that are so close to the lowest one tie with it.
TIE_SHARE: Final = 0.1
TIE_MS: Final = 10.0

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One demand in one scenario. met: None when it does not apply or was not measured."""

    scenario: str
    demand: str
    met: bool | None
    explanation: str


def verdicts(entries: Sequence[Entry], router: str) -> list[Verdict]:
    """Floor and goals in every scenario in which `router` was measured."""
    normal = normal_p99(entries, router)
    found: list[Verdict] = []
    for scenario in SCENARIOS:
        of_scenario = [entry for entry in entries if entry["scenario"] == scenario.name]
        own = next((entry for entry in of_scenario if entry["router"] == router and entry["sent"]), None)
        if own is not None:
            found += [floor(own, of_scenario), *_goals(scenario, own, normal)]
    return found


def floor(own: Entry, of_scenario: Sequence[Entry]) -> Verdict:
    """Whether no peer lost fewer requests in the scenario than `own`."""
    peers = [entry for entry in of_scenario if entry["router"] not in SKYFLEET and entry["sent"]]
    better = [entry for entry in peers if entry["lost"] < own["lost"]]
    fewer = ", ".join(f"{entry['router']} {entry['lost']}" for entry in better)
    explanation = f"{own['lost']} lost; fewer: {fewer}" if better else f"{own['lost']} lost, no peer fewer"
    return Verdict(own["scenario"], "floor", None if not peers else not better, explanation)


def normal_p99(entries: Sequence[Entry], router: str) -> float | None:
    """The router's p99 (ms) without a fault: the median over its scenarios, before their faults."""
    seen = [
        entry["p99_normal_ms"]
        for entry in entries
        if entry["router"] == router and entry.get("p99_normal_ms")
    ]
    return statistics.median(seen) if seen else None


def _goals(scenario: Scenario, own: Entry, normal: float | None) -> list[Verdict]:
    name, healthy_left = scenario.name, scenario.healthy_left
    p99: float | None = own["p99_ms"]
    limit = P99_FACTOR * (normal or 0.0)
    within = p99 < limit if name in SLOW_SCENARIOS and p99 is not None and normal is not None else None
    compared = "only slow and gray" if within is None else f"{p99:.0f} of {limit:.0f} ms"
    lost = own["lost"] == 0 if healthy_left else None
    out: float | None = own.get("wrongly_out_s")
    return [
        Verdict(name, "lost", lost, str(own["lost"]) if healthy_left else "no healthy target is left"),
        Verdict(name, "repeats", own["wrong_repeats"] == 0, str(own["wrong_repeats"])),
        Verdict(name, "p99", within, compared),
        Verdict(name, "out", None if out is None else out == 0, f"{out or 0:.1f} s"),
        Verdict(name, "extra", own["extra_share"] < MOST_EXTRA, f"{100 * own['extra_share']:.1f} %"),
    ]


def best(entries: Sequence[Entry], column: str, router: str) -> dict[str, list[str]]:
    """The routers with the lowest figure, or a tie with it, in each scenario of `router` and a peer.

    column: the figure; None in it counts last. The other entries of this project's router are left out.
    """
    other = {one for one in SKYFLEET if one != router}
    there = [entry for entry in entries if entry["sent"] and entry["router"] not in other]
    found: dict[str, list[str]] = {}
    for scenario in SCENARIOS:
        figures = {entry["router"]: entry[column] for entry in there if entry["scenario"] == scenario.name}
        known = {name: float(figure) for name, figure in figures.items() if figure is not None}
        if known and router in figures and len(figures) > 1:
            least = min(known.values())
            slack = 0.0 if column == "lost" else max(TIE_MS, TIE_SHARE * least)
            found[scenario.name] = [name for name, figure in known.items() if figure <= least + slack]
    return found
