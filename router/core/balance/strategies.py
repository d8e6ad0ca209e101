"""Which of the permitted targets is next: seven strategies, each a small pure function over a roster.

Rules
- Never an empty choice: while a target of the roster is untried, one of them is chosen; a tried one never is.
- What takes a look at every target is done when the roster is prepared (`router.core.balance.picker`), not
  for each pick: a pick looks at one turn of a cycle, at two targets, or at the five there are.
- The state of the turns is one whole number, which the caller counts up after a first attempt. A repeat
  (`tried` is not empty) reads it and does not change it, so first attempts keep their exact ratio.
- A request with a name (an Idempotency-Key) goes where its name says, so a repeat meets the target that knows
  it; where that was tried or is to be avoided, the name says who is next, too. What is in flight does not
  count; only `latency` still prefers who is clearly faster.
- The share that health allows is in the cycle of every strategy; only what own traffic has taken of it
  (`gray`) is not in that of `adaptive`, which learns the same from the same replies.

The strategies
- `weighted`: smooth weighted round robin, exact over each cycle. `round-robin`: the same with equal weights.
  `random`: a turn of that cycle by lot.
- `least-load`: fewest requests per weight, our own in flight and those that the agent reports. `latency`:
  expected latency times requests in flight, ours and this one (peak-EWMA, as in Finagle). Up to five targets
  are all compared; of more, the one in turn with one by lot (power of two choices). Who is in turn keeps it
  unless another is better (for a latency: by a fifth), so equals share by weight.
- `cost` and `adaptive` spend the cycle as was learned (`router.core.balance.quality`). `adaptive` passes a
  turn on to the next other target when that is clearly less busy for its share: what is slow right now shows
  in flight before any latency is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from skyfleet.values import frozen


class Strategy(StrEnum):
    """How to choose."""

    WEIGHTED = "weighted"
    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    LEAST_LOAD = "least-load"
    LATENCY = "latency"
    COST = "cost"
    ADAPTIVE = "adaptive"


# These look at what traffic shows, so their roster is prepared anew now and then.
LEARNING: Final = frozenset({Strategy.LEAST_LOAD, Strategy.LATENCY, Strategy.COST, Strategy.ADAPTIVE})
# Of these the turns only say where a comparison begins; what is in flight decides who gets a request.
COMPARING: Final = frozenset({Strategy.LEAST_LOAD, Strategy.LATENCY})
# So many are all compared: the sizes that one deployment in a few clouds has.
FEW: Final = 5
# The fraction of a large multiple of a key's own part is a lot as good as a digest of name and key, and costs
# a tenth of one. With 26 bits for the multiple a double keeps 27 for its fraction.
_SEEDS: Final = 2.0**26
_SMALLEST: Final = 2.0**-48


@frozen
class Candidate:
    """A permitted target. weight: as configured. share: the part of it that its health allows, above 0.
    doubted: that part is what own traffic has left of it (`gray`)."""

    key: str
    weight: float
    share: float = 1.0
    derated: bool = False


# A target as `least-load` and `latency` compare it, (extra, factor): (in flight + extra) * factor, less is
# better. A plain tuple, since a comparison reads two of them within half a microsecond.
Entry = tuple[float, float]
Busy = Mapping[str, int]


@frozen
class Picker:
    """Everything a pick needs, prepared.

    turns: the cycle. steps: for each turn of `adaptive` (key, rival, how many times busier than the rival
    it may be). entries: by key, where targets are compared. near: only better than this part of the turn's
    own is better. ranked: in which order repeats go through them, where the cycle does not say it.
    qualities: what was learned, for the next roster. counts: turns of each key. at: when it was prepared.
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
    """The target of a first attempt. busy: own requests in flight by key. draw: uniform in [0, 1)."""
    return picker.pick(picker, slot, busy, draw)


def pick_alternative(
    picker: Picker, slot: int, busy: Busy, draw: float, excluded: Collection[str]
) -> str | None:
    """The target of a repeat; None when all were tried."""
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


def pick_by_key(picker: Picker, name: bytes, passed: Collection[str] = ()) -> str | None:
    """The target of a request of this name, the same at every instance that knows the same; None when all are
    passed over. passed: those that are not to be taken.

    Never who has the least to do just now: that a target is busy may be by the first try of the same name,
    which would run a second time elsewhere."""
    own = _drawn(picker, name, passed)
    if own is None or picker.strategy is not Strategy.LATENCY:
        return own
    slot = picker.slots.index(own)
    key = pick(picker, slot, dict.fromkeys(picker.keys, 0), (slot + 0.5) / picker.length)
    return own if key in passed else key


def _drawn(picker: Picker, name: bytes, passed: Collection[str]) -> str | None:
    """Targets draw lots from the name, weighted by their turns (rendezvous hashing, Thaler and Ravishankar,
    1998): when one's part shrinks, or it is passed over, only its own names move, each to its own next."""
    seed = _SEEDS * _part(name)
    best, least = None, math.inf
    for key, count in zip(picker.keys, picker.counts, strict=True):
        if key not in passed:
            lot = -math.log(seed * _key_part(key) % 1.0 or _SMALLEST) / count
            if lot < least:
                best, least = key, lot
    return best


def _part(text: bytes) -> float:
    """Uniform in (0, 1)."""
    return (int.from_bytes(blake2b(text, digest_size=6).digest()) + 0.5) * _SMALLEST


@lru_cache(maxsize=4096)
def _key_part(key: str) -> float:
    return _part(key.encode())


def needs_random(picker: Picker) -> bool:
    """Whether a pick looks at the draw at all: it is a call of the operating system."""
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
    # Never the same turn twice; two turns of one target only happen where it has many.
    other = slots[(slot + 1 + int(draw * (length - 1))) % length]
    extra, factor = entries[one]
    own = (busy[one] + extra) * factor * picker.near
    extra, factor = entries[other]
    return other if (busy[other] + extra) * factor < own else one


def less_loaded(picker: Picker, slot: int, busy: Busy, draw: float) -> str:
    """`adaptive`."""
    key, rival, times = picker.steps[slot % picker.length]
    return rival if busy[key] > times * (busy[rival] + 1) else key
