"""Weights as a cycle of slots: whole numbers in the same ratio, each target's slots evenly spread.

Rules
- Where small whole numbers give the ratio exactly, they are used; else it is rounded, and each target keeps
  at least one slot.
- Over a cycle the ratio is that of the counts, exactly. Within it each target's slots are equally far apart
  (to within the slots of others between them), so no target gets a burst.

Theory. A target with c slots has its k-th at (k + u) / c of the cycle for k = 0 .. c - 1. Targets with the
same c take different offsets u = (j + 1/2) / m, so together they are spread as evenly as one with m * c
slots. Equal weights become a plain round robin, and 3/2/1 becomes a b a c b a as in smooth weighted round
robin. The cycle costs one sort; smooth weighted round robin costs slots times targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# Percentages with one decimal, thirds, and the tenths of slow start are all exact within it.
_MOST_SCALE: Final = 1_000
# A cycle is sorted again when a share changes: this many slots take about two milliseconds.
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
    """One cycle of indexes, each `counts[index]` times."""
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
