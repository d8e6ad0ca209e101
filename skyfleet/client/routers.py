"""Which router a client uses next: a pure decision over what it has seen of each.

Rules
- Routers are used in the order of their list. One that failed rests: 1 s, then twice as long at each further
  failure, 30 s at most. A reply ends that.
- After its rest a router is half-open: one request asks its `/health` first. For the others it rests
  meanwhile, as after a further failure.
- Resting routers come last, the one whose rest ends first before the others: none is left out for good. The
  last one that a request can use is used without a question.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

REST_S: Final = 1.0
MOST_REST_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Failed:
    """failures: in a row. until: when its rest ends, in seconds of a clock that never goes back."""

    failures: int
    until: float


@dataclass(frozen=True, slots=True)
class Choice:
    """index: of the router. ask: its `/health` first. last: the request can use no other one after it."""

    index: int
    ask: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Routers:
    """What a client knows of `count` routers. failed: by index; the others are in use."""

    count: int
    failed: Mapping[int, Failed] = field(default_factory=dict[int, Failed])

    def choose(self, tried: Collection[int], now: float) -> tuple[Routers, Choice | None]:
        """The next router for a request, and what is known then; None: it has tried all of them."""
        left = [index for index in range(self.count) if index not in tried]
        if not left:
            return self, None
        index = min(left, key=lambda one: self._rank(one, now))
        last, mark = len(left) == 1, self.failed.get(index)
        if mark is None or last or now < mark.until:
            return self, Choice(index, ask=False, last=last)
        return self._rests(index, mark.failures + 1, now), Choice(index, ask=True, last=False)

    def lost(self, index: int, now: float) -> Routers:
        """A router failed. What fails while it rests already is the same failure."""
        mark = self.failed.get(index)
        if mark is not None and now < mark.until:
            return self
        return self._rests(index, 1 if mark is None else mark.failures + 1, now)

    def replied(self, index: int) -> Routers:
        """A router replied."""
        if index not in self.failed:
            return self
        return replace(self, failed={one: mark for one, mark in self.failed.items() if one != index})

    def _rank(self, index: int, now: float) -> tuple[bool, float, int]:
        mark = self.failed.get(index)
        resting = mark is not None and now < mark.until
        return resting, mark.until if mark is not None and resting else 0.0, index

    def _rests(self, index: int, failures: int, now: float) -> Routers:
        rest_s = min(REST_S * 2.0 ** min(failures - 1, 10), MOST_REST_S)
        return replace(self, failed={**self.failed, index: Failed(failures, now + rest_s)})
