"""All runs of a study, in several processes.

Rule: runs are independent, so neither the number of processes nor the order changes a figure.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

from bench.simulation.study import attribution
from bench.simulation.study.figures import Figures
from bench.simulation.study.grid import SEEDS, Sweep, cells, setup_of
from bench.simulation.study.run import Run, Setup
from bench.simulation.study.sweeps import SWEEPS

Row = dict[str, object]


@dataclass(frozen=True)
class Found:
    """The figures of a study.

    rows: one for each setup. curves: one for each scenario and figure of a sweep. attribution: see
    `bench.simulation.study.attribution`.
    """

    rows: Sequence[Row]
    curves: Sequence[Row]
    attribution: Sequence[Row] = ()


@dataclass(frozen=True)
class Point:
    """One value of a sweep in one of its scenarios."""

    sweep: Sweep
    scenario: str
    value: float


def study(*, quick: bool, jobs: int) -> Found:
    """Run all setups and sweeps. quick: few setups and no sweep. jobs: number of processes."""
    setups = cells(quick=quick)
    points = [] if quick else points_of(SWEEPS)
    with ProcessPoolExecutor(jobs) as pool:
        # The longest runs are first, so that none is left for the end.
        order = sorted(range(len(setups)), key=lambda number: -setups[number].topology.targets)
        found = dict(
            zip(order, pool.map(figures_of, [setups[number] for number in order], chunksize=1), strict=True)
        )
        swept = dict(zip(points, pool.map(means_of, points, chunksize=1), strict=True))
    rows = [row_of(setup, found[number]) for number, setup in enumerate(setups)]
    blame = [] if quick else attribution.study(jobs)
    return Found(sorted(rows, key=_order), curves_of(swept), blame)


def points_of(sweeps: Sequence[Sweep]) -> list[Point]:
    """All pairs of a value and a scenario of each sweep."""
    return [
        Point(sweep, scenario, value)
        for sweep in sweeps
        for scenario in dict.fromkeys(scenario for scenario, _ in sweep.scenarios)
        for value in sweep.values
    ]


def figures_of(setup: Setup) -> Figures:
    """Run one setup without the garbage collector, which would examine all live objects repeatedly."""
    gc.disable()
    try:
        return Run(setup).go()
    finally:
        gc.enable()
        gc.collect()


def means_of(point: Point) -> dict[str, float | None]:
    """Mean figures of one value over the seeds; None where a run has none."""
    sweep = point.sweep
    with sweep.parameter.set_to(point.value):
        runs = [
            asdict(
                figures_of(
                    setup_of(
                        sweep.topology, point.scenario, sweep.rule, sweep.parameter.policy(point.value), seed
                    )
                )
            )
            for seed in SEEDS
        ]
    return {name: _mean([run[name] for run in runs]) for name in runs[0]}


def row_of(setup: Setup, figures: Figures) -> Row:
    """The stored row of a run."""
    rule = setup.rule
    if rule.startswith("skyfleet") and setup.policy.hedge != "auto":
        rule += " hedged" if setup.policy.hedge == "on" else " unhedged"
    return {"topology": setup.topology.name, "scenario": setup.scenario, "rule": rule, **asdict(figures)}


def curves_of(swept: Mapping[Point, Mapping[str, float | None]]) -> list[Row]:
    """The stored curves of all sweeps."""
    curves: list[Row] = []
    for sweep in dict.fromkeys(point.sweep for point in swept):
        for scenario, figure in sweep.scenarios:
            ys = [swept[Point(sweep, scenario, value)][figure] for value in sweep.values]
            curves.append(
                {
                    "sweep": sweep.name,
                    "parameter": sweep.parameter.label,
                    "default": sweep.parameter.default(),
                    "topology": sweep.topology.name,
                    "rule": sweep.rule,
                    "scenario": scenario,
                    "figure": figure,
                    "x": list(sweep.values),
                    "y": ys,
                    "says": sweep.says,
                }
            )
    return curves


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 5) if len(known) == len(values) else None


def _order(row: Row) -> tuple[int, int, str, str]:
    targets, instances = str(row["topology"]).split("x")
    return int(targets), int(instances), str(row["scenario"]), str(row["rule"])
