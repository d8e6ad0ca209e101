"""Parse server-sent events: the fields `event` and `data`.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event. name: `message` if the stream has none."""

    name: str
    data: str


def events(lines: Iterable[str]) -> Iterator[Event]:
    """The events in decoded lines; an incomplete event at the end is dropped, as the standard says."""
    name, data = "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield Event(name, "\n".join(data))
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
