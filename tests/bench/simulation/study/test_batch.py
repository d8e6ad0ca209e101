"""Tests of the rows of a study."""

from __future__ import annotations

import pytest

from bench.simulation.fleet.topologies import Topology
from bench.simulation.study import batch
from bench.simulation.study.grid import setup_of
from bench.simulation.study.run import Run

pytestmark = pytest.mark.pure

# A topology that takes a tenth of a second.
TINY = Topology(3, 2, rate=10.0, fault_s=30.0, heal_s=50.0, end_s=80.0)


def test_the_hedge_of_a_rule_is_part_of_its_name() -> None:
    """Rows with and without hedges have different names."""
    setup = setup_of(TINY, "normal", "skyfleet/adaptive unhedged")
    assert setup.policy.hedge == "off"
    assert batch.row_of(setup, Run(setup).go())["rule"] == "skyfleet/adaptive unhedged"
