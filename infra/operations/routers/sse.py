"""Events of a router's or a manager's stream, as its commands read them.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skyfleet.event_reader import EventReader


@dataclass(frozen=True, slots=True)
class Event:
    """One event. name: `message` if the stream has none."""

    name: str
    data: str


def events(parts: Iterable[bytes]) -> Iterator[Event]:
    """The events in the parts of a body; an incomplete event at the end is dropped, as the standard says.

    Raises EventTooLarge."""
    reader = EventReader()
    for part in parts:
        for event in reader.feed(part):
            yield Event(event.kind or "message", event.data.decode(errors="replace"))
    for event in reader.finish():
        yield Event(event.kind or "message", event.data.decode(errors="replace"))
