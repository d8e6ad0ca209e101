"""Tests of single runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.simulation.fleet.topologies import Topology
from bench.simulation.study.grid import FEW, setup_of
from bench.simulation.study.run import Run

pytestmark = pytest.mark.pure

# A topology that takes a tenth of a second.
TINY = Topology(3, 2, rate=10.0, fault_s=30.0, heal_s=50.0, end_s=80.0)


@pytest.mark.parametrize(
    "rule",
    [
        "envoy",
        *(
            pytest.param(rule, marks=pytest.mark.long)
            for rule in (*FEW, "skyfleet/cost", "least-request")
            if rule != "envoy"
        ),
    ],
)
def test_the_same_seed_gives_the_same_figures(rule: str) -> None:
    """This holds for any rule in a scenario with a fault; another seed gives other figures."""
    setup = setup_of(TINY, "gray", rule)
    assert Run(setup).go() == Run(setup).go()
    assert Run(replace(setup, seed=2)).go() != Run(setup).go()


@pytest.mark.long
def test_without_a_fault_no_request_fails() -> None:
    """This holds for each rule."""
    for rule in FEW:
        assert Run(setup_of(TINY, "normal", rule)).go().errors == 0.0, rule
