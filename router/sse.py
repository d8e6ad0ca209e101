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
_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class EventStream:
    """The held-back rest of one stream."""

    __slots__ = ("_held", "_torn")

    def __init__(self) -> None:
        self._held: bytes = b""
        self._torn = False

    @property
    def repairable(self) -> bool:
        """Whether what went out so far ends with a whole event."""
        return not self._torn

    def feed(self, data: bytes) -> bytes:
        """What may go out now."""
        data = self._held + data
        end = max(_after_last(data, mark) for mark in _ENDS)
        if end:
            self._torn = False
        self._held = data[end:]
        if self._torn or len(self._held) > LONGEST_EVENT:
            self._held, self._torn = b"", True
            return data
        return data[:end]

    def finish(self) -> bytes:
        """The rest, at a clean end."""
        rest, self._held = self._held, b""
        return rest


def _after_last(data: bytes, mark: bytes) -> int:
    at = data.rfind(mark)
    return at + len(mark) if at >= 0 else 0


def error_event(code: str, message: str) -> bytes:
    """The last event of a stream that did not come to its end."""
    body = json.dumps({"error": {"code": code, "message": message}})
    return b"event: error\ndata: " + body.encode() + b"\n\n"


def is_event_stream(content_type: bytes | None) -> bool:
    """Whether a reply is one."""
    return content_type is not None and content_type.split(b";", 1)[0].strip().lower() == b"text/event-stream"
