"""Tests of the quantile that all figures use."""

from __future__ import annotations

import math

import pytest

from bench.quantiles import quantile

pytestmark = pytest.mark.pure


def test_the_quantile_is_the_nearest_rank() -> None:
    """The quantile is a measured value and never interpolated."""
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.99) == 4.0


def test_an_empty_list_has_no_quantile() -> None:
    """The result is NaN, since 0 would be the best latency."""
    assert math.isnan(quantile([], 0.5))
