"""Claims about the quantile of all figures."""

from __future__ import annotations

import math

import pytest

from bench.quantiles import quantile

pytestmark = pytest.mark.pure


def test_the_quantile_is_the_nearest_rank() -> None:
    """No interpolation between what nobody has seen."""
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.99) == 4.0


def test_nothing_has_no_quantile() -> None:
    """Not zero, which would be the best of all."""
    assert math.isnan(quantile([], 0.5))
