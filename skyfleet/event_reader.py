"""Reading a stream of server-sent events (html.spec.whatwg.org, "Interpreting an event stream"). Pure.

A line ends with \\n, \\r or \\r\\n and with no other character: U+2028 and U+0085, at which `str.splitlines`
and httpx's `aiter_lines` split, may be in a JSON text (github.com/florimondmanca/httpx-sse issue 34). A line
and its end may come in two parts. An event without data, such as a comment, is dropped. One larger than
`MOST_BYTES` is an error, since it would be held as a whole.
"""

from __future__ import annotations

import re
from typing import Final

from skyfleet.values import frozen

MOST_BYTES: Final = 1024 * 1024
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class EventTooLarge(Exception):
    """An event has more than `MOST_BYTES`."""


@frozen
class Event:
    """kind: its type; empty: a plain message."""

    kind: str
    data: bytes
    id: str


class EventReader:
    """Reads one stream."""

    def __init__(self) -> None:
        self._rest = b""
        self._kind, self._id = "", ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now. Raises EventTooLarge."""
        lines = _LINE_END.split(self._rest + data)
        self._rest = lines.pop()
        if not self._rest and data.endswith(b"\r"):  # perhaps the first half of a line end
            self._rest = lines.pop() + b"\r" if lines else b"\r"
        events = [event for line in lines if (event := self._line(line)) is not None]
        if self._size + len(self._rest) > MOST_BYTES:
            raise EventTooLarge
        return events

    def finish(self) -> list[Event]:
        """The event that the end of the stream completes, if its last byte is half a line end."""
        rest, self._rest = self._rest, b""
        event = self._line(rest[:-1]) if rest.endswith(b"\r") else None
        return [] if event is None else [event]

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._kind = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> Event | None:
        kind, data = self._kind, self._data
        self._kind, self._data, self._size = "", [], 0
        return Event(kind, b"\n".join(data), self._id) if data else None
