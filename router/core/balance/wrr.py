"""Weights as a cycle of turns: whole numbers in the same ratio, each target's turns evenly spread.

Rules
- Where small whole numbers can say the ratio exactly, they do; else it is rounded, and everybody keeps a
  turn.
- Over a cycle the ratio is that of the counts, exactly. Within it each target's turns are equally far apart
  (to within the turns of the others that fall beside them), so nobody gets a burst.

Theory. A target with c turns sits at (k + u) / c of the cycle for k = 0 .. c - 1. Targets with the same c
take different offsets u = (j + 1/2) / m, so that together they are spread as evenly as one with m * c turns.
Equal weights become a plain round robin, 3/2/1 becomes a b a c b a as in smooth weighted round robin, and
the whole costs one sort, whereas picking the richest each time costs cycle times targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# Percentages with one decimal, thirds, and steps of an easing target in tenths are all exact within it.
_MOST_SCALE: Final = 1_000
# A cycle is sorted anew when a share changes: this many turns take about two milliseconds.
MOST_SLOTS: Final = 4_096
# Float noise of weight * share, far below any ratio that is meant.
_NOISE: Final = 1e-9


def exact(weights: Sequence[float], most: int = MOST_SLOTS) -> list[int] | None:
    """The smallest whole numbers in this ratio, if their sum is at most `most`. weights: all above 0."""
    least = min(weights)
    if sum(weights) / most > least:
        return None
    ratios = [weight / least for weight in weights]
    total = sum(ratios)
    for scale in range(1, min(_MOST_SCALE, int(most / total)) + 1):
        if all(abs(ratio * scale - round(ratio * scale)) <= _NOISE * ratio * scale for ratio in ratios):
            return [round(ratio * scale) for ratio in ratios]
    return None


def rounded(weights: Sequence[float], length: int) -> list[int]:
    """Whole numbers near this ratio, each at least 1, about `length` in sum. weights: all above 0."""
    total = sum(weights)
    return [max(1, round(weight / total * length)) for weight in weights]


def spread(counts: Sequence[int]) -> tuple[int, ...]:
    """One cycle: the index of whose turn it is, `counts[index]` times each."""
    alike: dict[int, list[int]] = {}
    for index, count in enumerate(counts):
        alike.setdefault(count, []).append(index)
    places = [
        ((slot + (nth + 0.5) / len(members)) / count, -count, index)
        for count, members in alike.items()
        for nth, index in enumerate(members)
        for slot in range(count)
    ]
    places.sort()
    return tuple(index for _, _, index in places)
