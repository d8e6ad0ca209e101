"""The lower median: of two the better one.

`statistics` has it too, but brings fractions, decimals and random numbers along: 5 ms of a cold start.
"""

from __future__ import annotations

from collections.abc import Iterable


def lower_median(values: Iterable[float]) -> float:
    """The middle of at least one value; of an even number the smaller of the two in the middle."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]
