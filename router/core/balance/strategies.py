"""Pick one of the permitted targets: seven strategies, each a small pure function over a picker.

Rules
- While a target of the picker is not excluded, one is picked. An excluded target never is.
- Work over all targets is done when the picker is prepared (`router.core.balance.picker`). A pick reads one
  slot of a cycle, two targets, or at most five.
- The position in the cycle is one integer, which the caller increments after a first attempt. Alternatives
  read it and do not change it, so first attempts keep their exact ratio.
- A request with an affinity key (its Idempotency-Key) goes to the target of that key, so a repeat reaches the
  same target. Where that one is excluded, the key gives the next one, too. Load is ignored; only `latency`
  still prefers a target that is clearly faster.
- The share that health allows is in the cycle of every strategy. `adaptive` leaves out derating, because it
  learns the same from the same replies.

The strategies
- `weighted`: smooth weighted round robin, exact over each cycle. `round-robin`: the same with equal weights.
  `random`: a slot of the cycle of `round-robin` at random.
- `least-load`: fewest requests per weight, own active requests plus those that the agent reports. `latency`:
  expected latency times active requests, this one included (peak EWMA, as in Finagle). Up to five targets are
  all compared; of more, the slot's target with a random one (power of two choices). The slot's target is
  picked unless another is better (for a latency: by a fifth), so equal targets share by weight.
- `cost` and `adaptive` use a cycle of learned shares (`router.core.balance.quality`). `adaptive` picks the
  next other target when that one is clearly less busy for its share: active requests show a slow target
  before any latency is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from skyfleet.contract import Strategy
from skyfleet.values import frozen

# These use metrics of traffic, so their picker is prepared again at intervals.
LEARNING: Final = frozenset({Strategy.LEAST_LOAD, Strategy.LATENCY, Strategy.COST, Strategy.ADAPTIVE})
# With these a slot is only where a comparison begins; active requests decide.
COMPARING: Final = frozenset({Strategy.LEAST_LOAD, Strategy.LATENCY})
# Up to so many targets are all compared: the size of one deployment in a few clouds.
FEW: Final = 5
# The fraction of (affinity key's number x target's number x 2**26) is as random as a digest of both, at a
# tenth of the cost. With 26 bits for the multiple a double keeps 27 for its fraction.
_SEEDS: Final = 2.0**26
_SMALLEST: Final = 2.0**-48


@frozen
class Candidate:
    """A permitted target. weight: as configured. share: the fraction of it that health allows, above 0.
    derated: whether outlier detection lowered the share."""

    key: str
    weight: float
    share: float = 1.0
    derated: bool = False


# A target as `least-load` and `latency` compare it, (extra, factor): (active + extra) * factor, less is
# better. A plain tuple, since a comparison reads two of them within half a microsecond.
Entry = tuple[float, float]
Busy = Mapping[str, int]


@frozen
class Picker:
    """Everything a pick needs, prepared.

    slots: the cycle. steps: for each slot of `adaptive` (key, rival, ratio of their active requests beyond
    which the rival is picked). entries: by key, where targets are compared. near: another score must be below
    this fraction of the slot's own. ranked: the order for alternatives, where the cycle does not give it.
    qualities: as learned, for the next picker. counts: slots of each key. at: when it was prepared.
    """

    strategy: Strategy
    pick: Pick
    keys: tuple[str, ...]
    slots: tuple[str, ...]
    length: int
    counts: tuple[int, ...] = ()
    steps: tuple[tuple[str, str, float], ...] = ()
    entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    near: float = 1.0
    ranked: tuple[str, ...] = ()
    qualities: Mapping[str, float] = field(default_factory=dict[str, float])
    at: float = 0.0


Pick = Callable[[Picker, int, Busy, float], str]


def pick(picker: Picker, slot: int, busy: Busy, draw: float) -> str:
    """The target of a first attempt. busy: own active requests by key. draw: uniform in [0, 1)."""
    return picker.pick(picker, slot, busy, draw)


def pick_alternative(
    picker: Picker, slot: int, busy: Busy, draw: float, excluded: Collection[str]
) -> str | None:
    """The target of a further attempt; None when all are excluded."""
    start = int(draw * picker.length) if picker.strategy is Strategy.RANDOM else slot
    order = picker.ranked or (picker.slots[(start + step) % picker.length] for step in range(picker.length))
    best = next((key for key in order if key not in excluded), None)
    if best is None or not picker.entries or len(picker.keys) > FEW:
        return best
    scores = {
        key: (busy[key] + extra) * factor
        for key, (extra, factor) in picker.entries.items()
        if key not in excluded
    }
    return min(scores, key=scores.__getitem__)


def pick_by_key(picker: Picker, affinity_key: bytes, excluded: Collection[str] = ()) -> str | None:
    """The target of an affinity key, the same at instances with the same picker; None when all are excluded.

    Load is ignored for keyed requests: a target may be busy with the first attempt of the same key."""
    own = _rendezvous(picker, affinity_key, excluded)
    if own is None or picker.strategy is not Strategy.LATENCY:
        return own
    slot = picker.slots.index(own)
    key = pick(picker, slot, dict.fromkeys(picker.keys, 0), (slot + 0.5) / picker.length)
    return own if key in excluded else key


def _rendezvous(picker: Picker, affinity_key: bytes, excluded: Collection[str]) -> str | None:
    """Weighted rendezvous hashing (Thaler and Ravishankar, 1998): the least hash of key and target, per slot.

    When a target's share shrinks, or it is excluded, only its own keys move, each to its own next target."""
    seed = _SEEDS * _part(affinity_key)
    best, least = None, math.inf
    for key, count in zip(picker.keys, picker.counts, strict=True):
        if key not in excluded:
            value = -math.log(seed * _key_part(key) % 1.0 or _SMALLEST) / count
            if value < least:
                best, least = key, value
    return best


def _part(text: bytes) -> float:
    """Uniform in (0, 1)."""
    return (int.from_bytes(blake2b(text, digest_size=6).digest()) + 0.5) * _SMALLEST


@lru_cache(maxsize=4096)
def _key_part(key: str) -> float:
    return _part(key.encode())


def needs_random(picker: Picker) -> bool:
    """Whether a pick uses `draw`, which costs a call of the operating system."""
    return picker.pick is at_random or picker.pick is least_of_two


def in_order(picker: Picker, slot: int, busy: Busy, draw: float) -> str:
    """`weighted`, `round-robin` and `cost`."""
    return picker.slots[slot % picker.length]


def at_random(picker: Picker, slot: int, busy: Busy, draw: float) -> str:
    """`random`."""
    return picker.slots[int(draw * picker.length)]


def least_of_all(picker: Picker, slot: int, busy: Busy, draw: float) -> str:
    """`least-load` and `latency` with few targets."""
    best = picker.slots[slot % picker.length]
    entries = picker.entries
    extra, factor = entries[best]
    least = (busy[best] + extra) * factor * picker.near
    for key, (extra, factor) in entries.items():
        score = (busy[key] + extra) * factor
        if score < least:
            best, least = key, score
    return best


def least_of_two(picker: Picker, slot: int, busy: Busy, draw: float) -> str:
    """`least-load` and `latency` with many targets."""
    slots, length, entries = picker.slots, picker.length, picker.entries
    one = slots[slot % length]
    # Never the same slot twice; two slots of one target happen only where it has many.
    other = slots[(slot + 1 + int(draw * (length - 1))) % length]
    extra, factor = entries[one]
    own = (busy[one] + extra) * factor * picker.near
    extra, factor = entries[other]
    return other if (busy[other] + extra) * factor < own else one


def less_loaded(picker: Picker, slot: int, busy: Busy, draw: float) -> str:
    """`adaptive`."""
    key, rival, times = picker.steps[slot % picker.length]
    return rival if busy[key] > times * (busy[rival] + 1) else key
