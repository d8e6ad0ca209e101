"""The event loop: simulated time, and what happens when.

Rules
- Time stands still while an event runs and jumps to the next one after it; nothing reads a real clock.
- Two events of one time happen in the order in which they were asked for, so a seed decides everything.
- An event that was cancelled stays in the heap and does nothing: removing it would cost more.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush


class Event:
    """Something that will happen once, unless it is cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """It will not happen; cancelling twice or afterwards changes nothing."""
        self.action = None


class Loop:
    """Simulated time in seconds and the events to come."""

    def __init__(self, began: float = 0.0) -> None:
        self.now = began
        self._order = 0
        self._heap: list[tuple[float, int, Event]] = []

    def clock(self) -> float:
        """The time as a function, which is what the core takes."""
        return self.now

    def at(self, when: float, action: Callable[[], None]) -> Event:
        """Let it happen at this time (seconds); what is late happens next."""
        event = Event(action)
        self._order += 1
        heappush(self._heap, (when if when > self.now else self.now, self._order, event))
        return event

    def after(self, delay_s: float, action: Callable[[], None]) -> Event:
        """Let it happen so much later."""
        return self.at(self.now + delay_s, action)

    def run(self, until: float) -> None:
        """All events up to and at that time; the time is `until` afterwards."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, event = heappop(self._heap)
            if event.action is not None:
                event.action()
                event.action = None
        self.now = max(self.now, until)
