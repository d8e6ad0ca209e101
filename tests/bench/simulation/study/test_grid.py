"""Tests of the runs and sweeps of a study."""

from __future__ import annotations

import sys

import pytest

from bench.simulation import results
from bench.simulation.study.grid import Parameter, cells
from bench.simulation.study.sweeps import SWEEPS

pytestmark = pytest.mark.pure


def test_a_quick_study_is_a_small_part() -> None:
    """It has three targets and less than a quarter of the cells."""
    quick = cells(quick=True)
    assert {setup.topology.targets for setup in quick} == {3}
    assert len(quick) * 4 < len(cells(quick=False))


def test_a_parameter_changes_a_constant_temporarily() -> None:
    """Every parameter of the sweeps names an existing number, which is restored at the end."""
    for sweep in SWEEPS:
        before = sweep.parameter.default()
        with sweep.parameter.set_to(before * 2):
            changed = sweep.parameter.default()
        assert sweep.parameter.default() == before
        assert (changed == before) is (sweep.parameter.where == "policy")
    assert Parameter("policy", "attempts").policy(4.0).attempts == 4


def test_a_swept_constant_has_one_home() -> None:
    """A module that imported its value would keep the default during a sweep."""
    for sweep in SWEEPS:
        where, name = sweep.parameter.where, sweep.parameter.name
        if where != "policy":
            routers = [one for one in list(sys.modules) if one.startswith("router.")]
            holders = [one for one in routers if hasattr(sys.modules[one], name)]
            assert holders == [f"router.core.{where}"], name


def test_the_default_of_each_sweep_is_one_of_its_values() -> None:
    """The plot marks the default among the values."""
    for sweep in SWEEPS:
        assert sweep.parameter.default() in sweep.values, sweep.name


def test_each_swept_default_names_its_plot() -> None:
    """The comment at the default has the path of the plot."""
    shared = (results.ROOT / "skyfleet" / "contract.py").read_text("utf-8")
    for sweep in SWEEPS:
        module = sweep.parameter.where.replace(".", "/")
        text = (results.ROOT / "router" / "core" / f"{module}.py").read_text("utf-8")
        text += shared if module == "policy" else ""
        assert f"docs/benchmarks/plots/{sweep.name}.svg" in text, sweep.name
        assert len(sweep.says) > 20, sweep.name
