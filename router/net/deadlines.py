"""Deadlines of running requests: one sweep over those that run, no timer per request.

Rules
- Only running requests are in the set, so a finished one costs nothing. One timer stands at the earliest time
  that was due when it was set; who is due earlier brings it forward, who finishes leaves it alone.
- Sweeps are at least `TICK_S` apart: a time is noticed at most so much late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

# A hedge after 20 ms that comes 10 ms late is still one; a sweep over 400 requests takes 20 us.
TICK_S: Final = 0.01


class Timed(Protocol):
    """Something with a deadline. due: on the clock of the watch."""

    due: float

    def overdue(self, now: float) -> None: ...


class Watch:
    """The running requests."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._running: set[Timed] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def add(self, one: Timed) -> None:
        """Watch it from now on; again whenever it is due earlier than before."""
        self._running.add(one)
        if self._timer is None or one.due < self._at - TICK_S:
            self._set(one.due)

    def discard(self, one: Timed) -> None:
        self._running.discard(one)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now = self._ticks()
        # A day stands for never: loops refuse timers that are too far away.
        wait = min(max(due - now, TICK_S), 86_400.0)
        self._at = now + wait
        self._timer = asyncio.get_running_loop().call_later(wait, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self._ticks()
        try:
            for one in [one for one in self._running if one.due <= now]:
                one.overdue(now)
        finally:
            if self._running:
                self._set(min(one.due for one in self._running))
