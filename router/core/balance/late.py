"""Which targets are late right now: the quickest sign of slowness, long before an average has moved.

Rules
- An attempt is late when the learned delay has passed without its first event; the hedge that is sent then
  tells of it. `LATE_ROW` late ones in a row, with none in time between them, make a target late: a reply in
  twenty is later than that delay at any time, three in a row are so once in 8,000.
- A late target is avoided by new requests, where another can take them, for `LATE_S` after the newest late
  one. Then requests try it again: one in time and it is no longer late, one more late and it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# See docs/benchmarks/plots/late-row.svg.
LATE_ROW: Final = 3
# Longer than the quarter of a second in which averages are learned, shorter than anybody waits for recovery
# (docs/benchmarks/plots/late-s.svg).
LATE_S: Final = 2.0

# By target: how many in a row, and when the newest was noticed (unix s).
Row = tuple[int, float]


def noticed(rows: Mapping[str, Row], key: str, now: float) -> dict[str, Row]:
    """After one more late attempt."""
    return {**rows, key: (rows.get(key, (0, now))[0] + 1, now)}


def late(rows: Mapping[str, Row], now: float) -> list[str]:
    """The targets to avoid now. If the clock was set back, nobody."""
    return [key for key, (times, at) in rows.items() if times >= LATE_ROW and 0 <= now - at < LATE_S]
