"""The event loop of the simulation and its clock.

Rules
- Time does not pass during an event. It jumps to the time of the next event. Nothing reads a real clock.
- Events of the same time run in the order in which they were scheduled, so the seed decides everything.
- A cancelled event stays in the heap without an action, since its removal would cost more.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush


class Event:
    """A scheduled action."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Drop the action; without effect after the event and when called again."""
        self.action = None


class Loop:
    """Simulated time in seconds, and the scheduled events."""

    def __init__(self, began: float = 0.0) -> None:
        self.now = began
        self._order = 0
        self._heap: list[tuple[float, int, Event]] = []

    def clock(self) -> float:
        """Return the time; the core takes this function as its clock."""
        return self.now

    def at(self, when: float, action: Callable[[], None]) -> Event:
        """Schedule `action` at the time `when` (s); at once if that is in the past."""
        event = Event(action)
        self._order += 1
        heappush(self._heap, (when if when > self.now else self.now, self._order, event))
        return event

    def after(self, delay_s: float, action: Callable[[], None]) -> Event:
        """Schedule `action` in `delay_s` seconds."""
        return self.at(self.now + delay_s, action)

    def run(self, until: float) -> None:
        """Run all events up to the time `until` (s), and set the time to it."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, event = heappop(self._heap)
            if event.action is not None:
                event.action()
                event.action = None
        self.now = max(self.now, until)
