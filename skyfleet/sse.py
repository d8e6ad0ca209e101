"""Event streams that end truthfully: whole events only, and an explicit error event when the source breaks
off.

Rules
- Only whole events are passed on. The begun one is held back until its empty line comes, so when the source
  breaks off, the error event stands alone instead of completing half a message.
- An event larger than `LONGEST_EVENT` is passed on as it comes; breaking off inside it cannot be repaired,
  and the reply must be cut.
- At a clean end everything is passed on.
"""

from __future__ import annotations

import json
from typing import Final

# Far above any delta or step of an agent; it bounds the memory of one stream.
LONGEST_EVENT: Final = 65_536
# Of the last event the type stands at the beginning, and a stream of OpenAI's API ends with a few bytes more.
_BEGINNING: Final = 2_048
_END: Final = 64
# An empty line, whichever way it and the line before it end: \r\n\r\n and \r\n\n end in one of these too.
_ENDS: Final = (b"\n\n", b"\n\r\n", b"\r\r")
# What was searched holds no whole end, at most the beginning of the longest one.
_OVERLAP: Final = 2
_LONGEST_END: Final = 3


class EventStream:
    """The held-back rest of one stream."""

    __slots__ = ("_held", "_torn")

    def __init__(self) -> None:
        self._held = bytearray()
        self._torn = False

    @property
    def repairable(self) -> bool:
        """Whether what went out so far ends with a whole event."""
        return not self._torn

    def feed(self, data: bytes) -> bytes:
        """What may go out now."""
        held = self._held
        start = max(0, len(held) - _OVERLAP)
        held += data
        end = max(_after_last(held, mark, start) for mark in _ENDS)
        if end:
            self._torn = False
        if self._torn or len(held) - end > LONGEST_EVENT:
            self._torn = True
            end = len(held)
        ready = bytes(held[:end])
        del held[:end]
        return ready

    def finish(self) -> bytes:
        """The rest, at a clean end."""
        rest = bytes(self._held)
        self._held.clear()
        return rest


class FirstEvent:
    """Watches for the first whole event: one with data, since comments and settings tell nothing."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> bool:
        """Whether it is here now. Also when so much came without one that it is no such stream."""
        begun = self._begun
        start = max(0, len(begun) - _OVERLAP)
        begun += data
        end = max(_after_last(begun, mark, start) for mark in _ENDS)
        if end:
            if any(line.partition(b":")[0] == b"data" for line in bytes(begun[:end]).splitlines()):
                return True
            del begun[:end]
        return len(begun) > LONGEST_EVENT


class LastEvent:
    """Remembers a stream's last event, to tell whether it ended well: its beginning and its end, since the
    event that ends a reply may hold all of it."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = bytearray()

    def feed(self, data: bytes) -> None:
        event = self._event
        start = max(0, len(event) - _LONGEST_END)
        event += data
        # The empty line after an event ends it, but nothing has come after it yet.
        begins = len(event)
        while True:
            said = len(event[:begins].rstrip(b"\r\n"))
            begins = max(_after_last(event, mark, start, said) for mark in _ENDS)
            if not begins or not event.startswith(b":", begins):
                break  # else a comment, which is no event
        del event[:begins]
        del event[_BEGINNING : max(_BEGINNING, len(event) - _END)]

    def is_of(self, kind: bytes) -> bool:
        """Whether the last event has this type."""
        return (b"event", kind) in self._fields()

    def is_error(self) -> bool:
        """An event of the type `error`, or one whose data is an object that begins with an `error`, as
        OpenAI's API ends a stream that went wrong."""
        data = b"".join(value for name, value in self._fields() if name == b"data")
        return self.is_of(b"error") or data.startswith(b'{"error"')

    def is_done(self) -> bool:
        """Whether the last event is the one that ends every stream of OpenAI's chat completions."""
        return self._event.rstrip().endswith(b"[DONE]") or (b"data", b"[DONE]") in self._fields()

    def _fields(self) -> list[tuple[bytes, bytes]]:
        lines = bytes(self._event).splitlines()
        return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]


def _after_last(data: bytearray, mark: bytes, start: int, end: int | None = None) -> int:
    at = data.rfind(mark, start, end)
    return at + len(mark) if at >= 0 else 0


def error_event(code: str, message: str) -> bytes:
    """The last event of a stream that did not come to its end."""
    body = json.dumps({"error": {"code": code, "message": message}})
    return b"event: error\ndata: " + body.encode() + b"\n\n"


def is_event_stream(content_type: bytes | None) -> bool:
    """Whether a reply is one."""
    return content_type is not None and content_type.split(b";", 1)[0].strip().lower() == b"text/event-stream"
