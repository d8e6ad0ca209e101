"""The quantile that all figures of the benches are made with.

Rule: nearest rank, so a quantile is always something that was seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(ordered: Sequence[float], part: float) -> float:
    """The smallest of values in order that at least `part` of them do not exceed; NaN of none."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]
