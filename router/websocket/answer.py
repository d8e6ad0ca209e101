"""One answer: what a `Forwarder` passes on, as messages, which are kept for a client that comes back.

Rules
- A reply is one `response` message with its body, or, where it is an event stream, `response` without a body
  and an `event` message for each event. `complete` or `error` is the last message of each answer.
- `error` means that the answer is not whole: it broke off, was cancelled or is too large. An error status of
  an agent or of the router is a whole answer. A stream whose last event is an error has broken off.
- Messages are numbered from 1. Those that were sent are kept too, since a connection may break before the
  client has them; the oldest of these are dropped first.
- Unsent messages beyond `answer_bytes` pause the target.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, cast

from router.websocket import messages
from router.websocket.limits import Limits
from skyfleet.asgi import Header
from skyfleet.event_reader import Event, EventReader, EventTooLarge
from skyfleet.http1.lines import fields_of
from skyfleet.sse import is_event_stream

# A page of memory: what a message costs beside its bytes is counted with it.
_OVERHEAD: Final = 128
_CODE_OF_ERROR_EVENT: Final = "stream-error"


class Upstream(Protocol):
    """What the answer needs of a `Forwarder`."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def gone(self) -> None: ...


class Answer:
    """The client's side of one request. It is a `ClientResponse` (`skyfleet.http1.direct`).

    changed: called with the answer when it has a message to send. grew: called with the bytes that the held
    messages grew by."""

    __slots__ = (
        "_body",
        "_changed",
        "_events",
        "_failed",
        "_first",
        "_grew",
        "_head",
        "_held",
        "_limits",
        "_messages",
        "_paused",
        "_size",
        "_unsent",
        "id",
        "next",
        "over",
        "upstream",
    )

    def __init__(
        self, ident: str, limits: Limits, changed: Callable[[Answer], None], grew: Callable[[int], None]
    ) -> None:
        self.id, self._limits, self._changed, self._grew = ident, limits, changed, grew
        self.upstream: Upstream | None = None
        self.over = False
        self.next = 1  # the number of the first message that was not sent
        self._first = 1  # of the first one that is kept
        self._messages: deque[bytes] = deque()
        self._held = self._unsent = 0
        self._paused = False
        self._head: tuple[int, list[Header]] | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._events: EventReader | None = None
        self._failed: tuple[str, str] | None = None

    # The forwarder calls these.

    def informational(self, status: int, headers: Iterable[Header], /) -> None:
        """An interim response: a message has no place for it."""

    def whole(self, status: int, fields: bytes, body: bytes, _reason: bytes, /, *, dated: bool) -> None:
        """A reply that is here as a whole."""
        self.head(status, fields_of(fields))
        self.body(body)
        self.end()

    def head(self, status: int, headers: list[Header], _reason: bytes = b"", /) -> None:
        """The head of the reply."""
        if self.over:
            return
        self._head = status, headers
        if is_event_stream(dict(headers).get(b"content-type")):
            self._events = EventReader()
            self._add(messages.response(self.id, self._seq, status, headers))

    def body(self, data: bytes, /) -> None:
        """A part of the body."""
        if self.over:
            return
        if self._events is not None:
            self._stream(self._events, data)
            return
        self._body.append(data)
        self._size += len(data)
        if self._size > self._limits.body_bytes:
            most = self._limits.body_bytes
            self.fail(502, "reply-too-large", f"The reply exceeds {most} bytes. Request it over HTTP.")

    def end(self, _trailers: Iterable[Header] = (), /) -> None:
        """The body is complete."""
        if self.over:
            return
        if self._events is not None:
            self._end_stream(self._events)
            return
        status, headers = self._head or (502, [])
        body = b"".join(self._body)
        try:
            self._add(messages.whole(self.id, self._seq, status, headers, body))
        except UnicodeDecodeError:
            self.fail(502, "reply-not-text", "The reply is neither JSON nor UTF-8. Request it over HTTP.")
            return
        self._finish(messages.complete(self.id, self._seq))

    def abort(self, why: str, /) -> None:
        """The reply broke off."""
        self.fail(502, "truncated", why)

    def listen(self) -> None:
        """A connection always notices that its client leaves."""

    def flush(self) -> None:
        """Every message is sent as soon as it is here."""

    # The session calls these.

    @property
    def unsent(self) -> bool:
        """Whether it has a message to send."""
        return self.next < self._seq

    def fail(self, status: int, code: str, message: str) -> None:
        """End it with an error, and all that runs for it."""
        if not self.over:
            self._finish(messages.error(self.id, self._seq, status, code, message))

    def take(self) -> bytes | None:
        """The next message to send."""
        place = self.next - self._first
        if place >= len(self._messages):
            return None
        message = self._messages[place]
        self.next += 1
        self._unsent -= len(message)
        self._drop_sent(self._limits.kept_bytes)
        self._go_on()
        return message

    def rewind(self, after: int) -> bool:
        """Send again what follows message `after`. False: it is not kept any more, or was never sent."""
        if after >= self._seq or after + 1 < self._first:
            return False
        self.next = after + 1
        self._unsent = sum(map(len, list(self._messages)[self.next - self._first :]))
        self._go_on()
        return True

    def drop_sent(self) -> None:
        """Keep no message that was sent."""
        self._drop_sent(0)

    def forget(self) -> None:
        """End it without a message, and keep nothing."""
        self.over = True
        self._leave()
        self._messages.clear()
        self._body.clear()
        self._grew(-self._held)
        self._held = 0

    # Inside.

    @property
    def _seq(self) -> int:
        """The number of the next message."""
        return self._first + len(self._messages)

    def _stream(self, events: EventReader, data: bytes) -> None:
        try:
            self._pass_on(events.feed(data))
        except EventTooLarge:
            self.fail(502, "event-too-large", "An event of the stream is too large for a message.")

    def _pass_on(self, found: list[Event]) -> None:
        for event in found:
            try:
                self._add(messages.event(self.id, self._seq, event.kind, event.data, event.id))
            except UnicodeDecodeError:
                self.fail(502, "reply-not-text", "An event of the stream is not UTF-8.")
                return
            self._failed = _error_of(event)

    def _end_stream(self, events: EventReader) -> None:
        self._pass_on(events.finish())
        if self.over:
            return
        if self._failed is None:
            self._finish(messages.complete(self.id, self._seq))
        else:
            self.fail(502, *self._failed)

    def _add(self, message: bytes) -> None:
        self._messages.append(message)
        self._unsent += len(message)
        self._held += len(message) + _OVERHEAD
        self._grew(len(message) + _OVERHEAD)
        if self._unsent > self._limits.answer_bytes and not self._paused and self.upstream is not None:
            self._paused = True
            self.upstream.pause()
        self._changed(self)

    def _go_on(self) -> None:
        if self._paused and self._unsent <= self._limits.answer_bytes // 2:
            self._paused = False
            if self.upstream is not None:
                self.upstream.resume()

    def _finish(self, message: bytes) -> None:
        self.over = True
        self._body.clear()
        self._add(message)
        self._leave()

    def _leave(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.gone()

    def _drop_sent(self, keep: int) -> None:
        """Drop the oldest messages that were sent, until at most `keep` bytes are held."""
        while self._held > keep and self._first < self.next:
            size = len(self._messages.popleft()) + _OVERHEAD
            self._first += 1
            self._held -= size
            self._grew(-size)


def _error_of(event: Event) -> tuple[str, str] | None:
    """Code and message of an event that says that the stream broke off; None: it says nothing like that."""
    if event.kind != "error" and not event.data.startswith(b'{"error"'):
        return None
    try:
        found: object = json.loads(event.data)
    except ValueError:
        found = None
    error: object = cast("dict[str, Any]", found).get("error") if isinstance(found, dict) else None
    told = cast("dict[str, Any]", error) if isinstance(error, dict) else {}
    code, message = told.get("code"), told.get("message")
    return (
        code if isinstance(code, str) else _CODE_OF_ERROR_EVENT,
        message if isinstance(message, str) else "The last event of the stream is an error.",
    )
