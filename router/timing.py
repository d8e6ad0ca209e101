"""Deadlines of running requests: one sweep over those that run, no timer per request.

Rules: only running requests are in the set, so a finished one costs nothing; the sweep runs only while there
is one. A deadline is noticed up to one tick late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

# A fortieth of the shortest time that matters (stall_s, 2 s); a sweep over 400 requests takes 20 us.
TICK_S: Final = 0.05


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

    def add(self, one: Timed) -> None:
        self._running.add(one)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._sweep)

    def discard(self, one: Timed) -> None:
        self._running.discard(one)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer = None
        now = self._ticks()
        for one in [one for one in self._running if one.due <= now]:
            one.overdue(now)
        if self._running and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._sweep)
