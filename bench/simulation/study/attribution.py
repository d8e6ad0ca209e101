"""Whose fault: what requests that fail everywhere do to the others, and what a bad build does.

Rules
- Requests that fail at each target are in no figure; judged are the others, during the fault.
- `failed`: how many of them got no good reply, the mean over the seeds. `requests`: of how many.
- `least`: the smallest share of first attempts that a target without a fault of its own had within five
  seconds, in parts of an equal share, the least of all seeds. What chance and learning do without any fault
  shows the scenario "normal".
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Final

from bench.simulation.driver import Result
from bench.simulation.fleet.topologies import Topology
from bench.simulation.study.figures import WINDOW_S
from bench.simulation.study.run import Run, Setup

SCENARIOS: Final = ("normal", "poison", "client-bug", "bad-build")
RULES: Final = ("p2c", "envoy", "envoy/gateway", "skyfleet/weighted", "skyfleet/adaptive")
TOPOLOGIES: Final = (Topology(3, 1), Topology(3, 10), Topology(5, 1))
SEEDS: Final = (1, 2, 3)

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Kept:
    """The figures of one run."""

    requests: float
    failed: float
    least: float


def study(jobs: int, topologies: Sequence[Topology] = TOPOLOGIES, seeds: Sequence[int] = SEEDS) -> list[Row]:
    """One row for each topology, scenario and rule. jobs: number of processes."""
    cells = [(one, scenario, rule) for one in topologies for scenario in SCENARIOS for rule in RULES]
    setups = [Setup(*cell, seed=seed) for cell in cells for seed in seeds]
    with ProcessPoolExecutor(jobs) as pool:
        found = list(pool.map(run, setups))
    return [
        row(*cell, found[number * len(seeds) : (number + 1) * len(seeds)])
        for number, cell in enumerate(cells)
    ]


def run(setup: Setup) -> Kept:
    """The figures of one run."""
    one = Run(setup)
    one.simulate()
    bad = one.topology.faulty if setup.scenario == "bad-build" else frozenset[int]()
    return kept(one.topology, one.results, frozenset(one.topology.fleet[number].key for number in bad))


def row(topology: Topology, scenario: str, rule: str, runs: Sequence[Kept]) -> Row:
    """The stored row of the runs of one cell."""
    requests, failed = sum(one.requests for one in runs), sum(one.failed for one in runs)
    means = Kept(round(requests / len(runs), 1), round(failed / len(runs), 1), min(one.least for one in runs))
    return {"topology": topology.name, "scenario": scenario, "rule": rule, **asdict(means)}


def kept(topology: Topology, results: Sequence[Result], bad: frozenset[str]) -> Kept:
    """Compute the figures. bad: keys of the targets with a fault of their own."""
    during = [one for one in results if topology.fault_s <= one.at < topology.heal_s and not one.doomed]
    well = [target.key for target in topology.fleet if target.key not in bad]
    windows: dict[int, list[Result]] = {}
    for one in during:
        windows.setdefault(int((one.at - topology.fault_s) / WINDOW_S), []).append(one)
    least = min(_share(window, key) for window in windows.values() for key in well)
    return Kept(len(during), sum(not one.good for one in during), round(least * topology.targets, 2))


def _share(window: Sequence[Result], key: str) -> float:
    return sum(one.first == key for one in window) / len(window)
