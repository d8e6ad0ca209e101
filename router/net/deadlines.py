"""Deadlines of active requests: one timer for all of them instead of one per request.

Rules
- Only active requests are in the set, so a finished one costs nothing. The timer is set to the earliest
  deadline known when it was set. An earlier deadline moves it forward; a removed one leaves it as it is.
- Sweeps are at least `TICK_S` apart, so a deadline is noticed at most so much late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

# A hedge after 20 ms may come 10 ms late; a sweep over 400 requests takes 20 us.
TICK_S: Final = 0.01


class Timed(Protocol):
    """An object with a deadline. due: seconds on the clock of its `Deadlines`."""

    due: float

    def overdue(self, now: float) -> None: ...


class Deadlines:
    """The deadlines of one event loop."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        """ticks: seconds of a clock that never goes back."""
        self._ticks = ticks
        self._active: set[Timed] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def add(self, one: Timed) -> None:
        """Watch its deadline. Call again when the deadline becomes earlier; a later one needs no call."""
        self._active.add(one)
        if self._timer is None or one.due < self._at - TICK_S:
            self._set(one.due)

    def discard(self, one: Timed) -> None:
        """Stop watching it."""
        self._active.discard(one)

    def active(self) -> list[Timed]:
        """All that are watched."""
        return list(self._active)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now = self._ticks()
        # At most a day: event loops refuse timers that are too far away.
        wait = min(max(due - now, TICK_S), 86_400.0)
        self._at = now + wait
        self._timer = asyncio.get_running_loop().call_later(wait, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self._ticks()
        try:
            for one in [one for one in self._active if one.due <= now]:
                one.overdue(now)
        finally:
            if self._active:
                self._set(min(one.due for one in self._active))
