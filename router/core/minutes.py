"""Counts of each minute of the last hour, which the manager's page shows; they add up in any order.

Pure. Rules
- The counts of a minute are a tuple: requests, failed requests, retries, hedges, ejections, and a histogram
  of the time from a request to the head of its reply.
- The bounds of the histogram grow by a quarter, so a percentile read from it is at most 25 % too high.
- A document with another version, or with what is no count, is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

VERSION: Final = 1
MINUTE_S: Final = 60
KEPT: Final = 60
# From 1 ms to two minutes; a request waits no longer for its reply.
BOUNDS_MS: Final = tuple(round(1.25**step, 2) for step in range(54))
NAMES: Final = ("requests", "errors", "retries", "hedges", "ejections")
LENGTH: Final = len(NAMES) + len(BOUNDS_MS) + 1
NOTHING: Final = (0,) * LENGTH
# It keeps sums of thousands of instances exact in JSON numbers.
_MOST: Final = 1 << 48

Counts = tuple[int, ...]
Minutes = Mapping[int, Counts]


def start_of(at: float) -> int:
    """The start of a minute, Unix seconds."""
    return int(at // MINUTE_S) * MINUTE_S


def since(before: Counts, now: Counts) -> Counts:
    """What was counted between two readings."""
    return tuple(after - earlier for earlier, after in zip(before, now, strict=True))


def merge(parts: Iterable[Minutes], now: float) -> dict[int, Counts]:
    """The sum of several minutes, those of the last hour alone."""
    first, last = start_of(now) - (KEPT - 1) * MINUTE_S, start_of(now)
    merged: dict[int, Counts] = {}
    for minutes in parts:
        for at, counts in minutes.items():
            if first <= at <= last:
                known = merged.get(at, NOTHING)
                merged[at] = tuple(one + other for one, other in zip(known, counts, strict=True))
    return dict(sorted(merged.items()))


def dump(minutes: Minutes) -> dict[str, object]:
    """The document: bounds in ms, and each minute with its names; `latency` ends with its last count."""
    return {
        "version": VERSION,
        "bounds_ms": list(BOUNDS_MS),
        "minutes": [
            {
                "at": at,
                **dict(zip(NAMES, counts, strict=False)),
                "latency": _without_zeros(counts[len(NAMES) :]),
            }
            for at, counts in minutes.items()
        ],
    }


def parse(value: object) -> dict[int, Counts] | None:
    """The minutes of a document; None for one that this release does not understand."""
    fields = _mapping(value)
    if fields.get("version") != VERSION or not isinstance(fields.get("minutes"), list):
        return None
    found: dict[int, Counts] = {}
    for one in _items(fields.get("minutes")):
        entry = _mapping(one)
        counts = [_count(entry.get(name)) for name in NAMES]
        counts += [_count(each) for each in _items(entry.get("latency"))]
        at = _count(entry.get("at"))
        if at < 0 or at % MINUTE_S or min(counts) < 0 or not len(NAMES) < len(counts) <= LENGTH:
            return None
        found[at] = (*counts, *NOTHING[len(counts) :])
    return found


def _count(number: object) -> int:
    """A count; -1 for any other value."""
    if not isinstance(number, int) or isinstance(number, bool) or number >= _MOST:
        return -1
    return number


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _without_zeros(counts: Sequence[int]) -> list[int]:
    """The first count, and the others up to the last that is not zero."""
    end = len(counts)
    while end > 1 and not counts[end - 1]:
        end -= 1
    return list(counts[:end])
