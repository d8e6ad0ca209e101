"""Tests of the plots and the page of a study."""

from __future__ import annotations

import pytest

from bench.simulation import results
from bench.simulation.plots import tick
from bench.simulation.study.sweeps import SWEEPS

pytestmark = pytest.mark.pure


def test_the_values_of_each_parameter_fit_on_the_axis() -> None:
    """Labels of at most six characters do not overlap."""
    for sweep in SWEEPS:
        assert all(len(tick(value)) <= 6 for value in sweep.values), sweep.name
    assert [tick(0.0009765625), tick(0.0625), tick(0.25), tick(0.03), tick(1000.0)] == [
        "1/1024",
        "1/16",
        "0.25",
        "0.03",
        "1000",
    ]


def test_the_docs_show_the_figures_of_the_results_file() -> None:
    """The generated part of docs/benchmarks/simulation.md is up to date."""
    text = results.DOCS.read_text("utf-8")
    part = text.partition(results.BEGIN)[2].partition(results.END)[0].strip()
    assert part == results.section(results.read()).strip()
