"""Server-sent events: the framing and nothing else.

https://html.spec.whatwg.org/multipage/server-sent-events.html; data is always one line of JSON.
"""

from __future__ import annotations

from typing import Final

from functions.asgi import Header, json_bytes

CONTENT_TYPE: Final = "text/event-stream"
# no-transform and x-accel-buffering keep proxies on the way from collecting events.
HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


def frame(data: object, event: str | None = None) -> bytes:
    """One event; `event` is its type, without one it is a plain `data:` message."""
    return raw_frame(json_bytes(data), event)


def raw_frame(data: bytes, event: str | None = None) -> bytes:
    """One event whose data is already one line of bytes."""
    name = b"" if event is None else b"event: %s\n" % event.encode()
    return b"%sdata: %s\n\n" % (name, data)
