"""Tests of the study that asks whose fault an error is."""

from __future__ import annotations

import pytest

from bench.simulation.driver import Result
from bench.simulation.fleet.topologies import Topology
from bench.simulation.study import attribution
from bench.simulation.study.attribution import Kept
from bench.simulation.study.run import Setup

pytestmark = pytest.mark.pure

# A topology that takes a tenth of a second.
TINY = Topology(3, 1, rate=10.0, fault_s=30.0, heal_s=50.0, end_s=60.0)
AWS, AZURE, GCP = (target.key for target in TINY.fleet)


def result(at: float, first: str, *, good: bool = True, doomed: bool = False) -> Result:
    return Result(at, 0.1, good, 1, first, doomed)


def test_doomed_requests_and_those_outside_of_the_fault_are_in_no_figure() -> None:
    """One of six judged requests failed, and a target had 1 of 3 in one window and 2 of 3 in the other."""
    others = [
        result(at, key) for at, key in ((31.0, AWS), (32.0, AZURE), (33.0, GCP), (36.0, AWS), (37.0, AWS))
    ]
    ignored = [result(34.0, AWS, good=False, doomed=True), result(10.0, AWS, good=False), result(51.0, AWS)]
    found = attribution.kept(TINY, [*others, *ignored, result(38.0, GCP, good=False)], frozenset({AZURE}))
    assert found == Kept(requests=6, failed=1, least=1.0)
    assert attribution.kept(TINY, others, frozenset()).least == 0.0


def test_a_row_has_the_mean_of_requests_and_the_least_of_shares() -> None:
    """Over the runs of one cell, which differ by their seeds."""
    row = attribution.row(TINY, "poison", "p2c", [Kept(100, 3, 0.8), Kept(110, 0, 0.7)])
    assert row == {
        "topology": "3x1",
        "scenario": "poison",
        "rule": "p2c",
        "requests": 105.0,
        "failed": 1.5,
        "least": 0.7,
    }


def test_poison_takes_no_target_from_the_others_here_and_one_by_any_5xx_in_a_row() -> None:
    """Envoy's default counts each 5xx; with gateway failures alone a bad build is never found."""
    found = {
        (scenario, rule): attribution.run(Setup(TINY, scenario, rule))
        for scenario in ("poison", "bad-build")
        for rule in ("envoy", "envoy/gateway", "skyfleet/weighted")
    }
    assert found["poison", "skyfleet/weighted"].failed == 0
    assert found["poison", "skyfleet/weighted"].least > 0.5
    assert found["bad-build", "skyfleet/weighted"].failed <= 7
    assert found["bad-build", "envoy/gateway"].failed > 7
    assert found["bad-build", "envoy"].failed <= 7


@pytest.mark.long
def test_a_study_has_a_row_for_each_cell() -> None:
    """In the order of topologies, scenarios and rules, whatever the number of processes."""
    rows = attribution.study(2, (TINY,), (1,))
    cells = [(row["scenario"], row["rule"]) for row in rows]
    assert cells == [(scenario, rule) for scenario in attribution.SCENARIOS for rule in attribution.RULES]
