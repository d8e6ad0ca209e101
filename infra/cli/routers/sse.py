"""Read server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as we
send them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `name` is `message` when the stream did not say."""

    name: str
    data: str


def events(lines: Iterable[str]) -> Iterator[Event]:
    """Events out of decoded lines; one that the stream's end cut off is dropped, as the standard says."""
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
