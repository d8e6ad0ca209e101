"""Server-sent events: writing them, and forwarding a stream event by event.

https://html.spec.whatwg.org/multipage/server-sent-events.html

Rules
- `data` of an event that is written here is one line of JSON, without raw U+0085, U+2028 and U+2029: clients
  that split at all line ends of Unicode, such as httpx's `iter_lines`, would take them for the end of a line.
- Only whole events are forwarded. The last, incomplete one is held until its empty line arrives, so an error
  event after a truncated stream never completes half a message.
- An event larger than `LONGEST_EVENT` is forwarded in parts. A stream that is truncated inside of it cannot
  be repaired, and the response must be truncated too.
- At a clean end everything is forwarded.
"""

from __future__ import annotations

from typing import Final

from skyfleet.asgi import Header, error_json, json_bytes

CONTENT_TYPE: Final = "text/event-stream"
# no-transform and x-accel-buffering keep proxies from collecting events.
HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
# A comment, which no client shows ("Authoring notes" of the standard, on proxies that drop silent streams).
PING: Final = b": ping\n\n"
# Far above any delta or step of an agent; it bounds the memory of one stream.
LONGEST_EVENT: Final = 65_536
# The part of the last event that is kept: its type is at the beginning, `[DONE]` at the end.
_BEGINNING: Final = 2_048
_END: Final = 64
# Some dozens of events of a model's stream, and several times what is kept.
_COLLECTED: Final = 8_192
# The empty line after an event, with each line end; \r\n\r\n and \r\n\n end in one of these too.
_ENDS: Final = (b"\n\n", b"\n\r\n", b"\r\r")
# Line ends of Unicode that JSON may have in its texts, and how it writes them else.
_LINE_ENDS: Final = (
    ("\u0085".encode(), b"\\u0085"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
# Bytes that were searched before contain at most the beginning of the longest end.
_OVERLAP: Final = 2
_LONGEST_END: Final = 3


class EventStream:
    """Forwards one stream in whole events."""

    __slots__ = ("_held", "_torn")

    def __init__(self) -> None:
        self._held = bytearray()
        self._torn = False

    @property
    def repairable(self) -> bool:
        """Whether the forwarded bytes end with a whole event."""
        return not self._torn

    def feed(self, data: bytes) -> bytes:
        """The bytes that may be forwarded now."""
        held = self._held
        if not held and data.endswith(b"\n\n"):  # whole events, as most servers send them
            self._torn = False
            return data
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
        """The remaining bytes, at a clean end."""
        rest = bytes(self._held)
        self._held.clear()
        return rest


class FirstEvent:
    """Detects the first whole event that has data."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> bool:
        """Whether it has arrived, or more than `LONGEST_EVENT` bytes without one."""
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
    """Keeps the beginning and the end of a stream's last event, which tell whether the stream is complete.

    The middle is dropped, since the last event of a reply may contain all of it. Bytes are collected until
    there are `_COLLECTED` of them, so that the last event is not searched for at each one."""

    __slots__ = ("_event", "_searched")

    def __init__(self) -> None:
        self._event = bytearray()
        # How many bytes of it belong to the last event that was found.
        self._searched = 0

    def feed(self, data: bytes) -> None:
        self._event += data
        if len(self._event) > _COLLECTED:
            self._search()

    def _search(self) -> None:
        """Find the last event among the bytes collected, and drop all others."""
        event = self._event
        start = max(0, self._searched - _LONGEST_END)
        # The empty line after the last event does not begin another one.
        begins = len(event)
        while True:
            said = len(event[:begins].rstrip(b"\r\n"))
            begins = max(_after_last(event, mark, start, said) for mark in _ENDS)
            if not begins or not event.startswith(b":", begins):
                break  # otherwise it is a comment
        del event[:begins]
        del event[_BEGINNING : max(_BEGINNING, len(event) - _END)]
        self._searched = len(event)

    def is_of(self, kind: bytes) -> bool:
        """Whether the last event has this type."""
        return (b"event", kind) in self._fields()

    def is_error(self) -> bool:
        """Whether the last event has the type `error`, or data that begins with an `error` member, as in the
        last event of a failed stream of OpenAI's API."""
        return self.is_of(b"error") or self._data().startswith(b'{"error"')

    def has_member(self, name: bytes, value: bytes) -> bool:
        """Whether the JSON of the last event has this member somewhere. name, value: text without quotes,
        spaces and escapes."""
        # Quotes within a JSON text are escaped, so no text can imitate a member.
        return b'"%s":"%s"' % (name, value) in self._data().replace(b" ", b"")

    def is_done(self) -> bool:
        """Whether the last event is `[DONE]`, the end of a complete stream of OpenAI's chat completions."""
        self._search()
        return self._event.rstrip().endswith(b"[DONE]") or (b"data", b"[DONE]") in self._fields()

    def _data(self) -> bytes:
        return b"".join(value for name, value in self._fields() if name == b"data")

    def _fields(self) -> list[tuple[bytes, bytes]]:
        self._search()
        lines = bytes(self._event).splitlines()
        return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]


def _after_last(data: bytearray, mark: bytes, start: int, end: int | None = None) -> int:
    at = data.rfind(mark, start, end)
    return at + len(mark) if at >= 0 else 0


def frame(data: object, event: str | None = None) -> bytes:
    """One event. data: a JSON value. event: its type, without which it is a plain message."""
    return raw_frame(json_bytes(data), event)


def raw_frame(data: bytes, event: str | None = None) -> bytes:
    """One event. data: one line of JSON, or text without the line ends of Unicode."""
    if not data.isascii():
        for raw, escaped in _LINE_ENDS:
            data = data.replace(raw, escaped)
    name = b"" if event is None else b"event: %s\n" % event.encode()
    return b"%sdata: %s\n\n" % (name, data)


def error_event(code: str, message: str) -> bytes:
    """The last event of a truncated stream."""
    return raw_frame(error_json(code, message), "error")


def is_event_stream(content_type: bytes | None) -> bool:
    """Whether a response with this content-type is an event stream."""
    return content_type is not None and content_type.split(b";", 1)[0].strip().lower() == b"text/event-stream"
