"""The quantile of all benches.

Rule: nearest rank, so a quantile is always a measured value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that at least the share `part` of the values do not exceed; NaN of no values.

    ordered: the values in ascending order. part: from 0 to 1.
    """
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]
