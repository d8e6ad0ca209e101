"""One HTTP/1.1 client connection: request bytes out, response events in.

Rules
- The bytes are read by `skyfleet.http1`, and the events go to the `ResponseHandler` of the current exchange
  directly: no future and no task per read.
- One exchange at a time. A connection is reusable only when request and response are both complete.
- A body that ends before its announced end is a failure. Only a response without any length may end with the
  connection (RFC 9112, section 6.3), and only by an orderly close. A length that a platform renamed
  (`router.net.lambda_fields`) counts as announced, although the body is chunked.
- Interim responses are passed on, except 100, which no request of the router asks for (RFC 9110, section
  15.2). Their number and size are bounded, as in Go's client (net/http, `max1xxResponses`). A switch of
  protocols was not requested and is invalid.
- Fields behind a chunked body are passed on with its end, apart from those of the head.
- The response head is bounded (`skyfleet.http1.head`), so that a target cannot exhaust the memory.
- Wrong bytes are `TransportError.INVALID`, missing ones `RESET`. So is the reply of something else than an
  HTTP/1 server. The pool reports the errors of opening a connection.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol, cast

from router.net.errors import TransportError
from router.net.lambda_fields import REMAPPED_PREFIX, restore_fields
from skyfleet.asgi import Header
from skyfleet.http1.body import Decoder, decoder
from skyfleet.http1.errors import MalformedMessage
from skyfleet.http1.head import (
    CHUNKED,
    ResponseHead,
    check_response_beginning,
    parse_response,
)

# RFC 9110, section 15: there is no class above 5xx, and servers in front of the router know no such code.
_MAX_STATUS: Final = 599
# Go's client takes 5 and one that passes them on any number, within its bound of bytes for a head.
_MAX_INFORMATIONAL: Final = 100
_MAX_INFORMATIONAL_BYTES: Final = 65_536
_BODILESS: Final = frozenset({204, 304})
_CONTINUE: Final = 100
_OK: Final = 200
_SWITCHING: Final = 101
# A path is dead when sent bytes stay unacknowledged for so long. A frozen sandbox does not see it otherwise.
_USER_TIMEOUT_MS: Final = 10_000
_START: Final = b"HTTP/1."


class ResponseHandler(Protocol):
    """Receives the events of one response. Nothing follows on_whole, on_end or on_failure."""

    def on_whole(self, head: ResponseHead, data: bytes, /) -> None:
        """All of it is here: on_head, on_data unless it is empty, and on_end in one."""
        ...

    def on_informational(self, status: int, headers: list[Header], /) -> None:
        """An interim response, before the head."""
        ...

    def on_head(self, head: ResponseHead, /) -> None: ...

    def on_data(self, data: bytes, /) -> None: ...

    def on_end(self, trailers: Sequence[Header], /) -> None: ...

    def on_failure(self, error: TransportError, why: str, /) -> None: ...


class Connection(asyncio.Protocol):
    """One connection. The pool owns it between exchanges."""

    __slots__ = (
        "_announced",
        "_decoder",
        "_framed",
        "_handler",
        "_head_only",
        "_held",
        "_informational",
        "_informational_bytes",
        "_keep_alive",
        "_paused",
        "_poll",
        "_received",
        "_release",
        "_transport",
        "closed",
        "idle_since",
    )

    def __init__(self, release: Callable[[Connection, bool], None]) -> None:
        """release: called after each exchange and when the connection is lost, with its reusability."""
        self._release = release
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._handler: ResponseHandler | None = None
        self._decoder: Decoder | None = None  # None: the head is to come
        self._held = b""  # the beginning of a head
        self.closed = self._paused = False
        self.idle_since = 0.0

    # Called by the pool and by the exchange.

    def start(self, handler: ResponseHandler, request: bytes, *, head_only: bool, body: bytes = b"") -> None:
        """Send a request. Its response goes to the handler; head_only: a response to HEAD has no body. body:
        what follows the request."""
        self._handler = handler
        self._head_only = head_only
        self._decoder = None
        self._informational = self._informational_bytes = 0
        # The announced length of a chunked body, and how many bytes of it have arrived.
        self._announced: int | None = None
        self._received = 0
        self._framed = self._keep_alive = False
        transport = self._transport or self._open
        transport.write(request)
        if body:
            transport.write(body)

    def usable(self) -> bool:
        """Whether an idle connection is open and silent, by the kernel's state.

        A sandbox that was frozen has not processed the peer's close yet; a request would be lost on it.
        """
        if self.closed or self._transport is None or self._transport.is_closing():
            return False
        return not self._poll.poll(0)

    def pause(self) -> None:
        """Stop reading."""
        if not self._paused and not self.closed:
            self._paused = True
            self._open.pause_reading()

    def resume(self) -> None:
        """Continue to read."""
        if self._paused and not self.closed:
            self._paused = False
            self._open.resume_reading()

    def abandon(self) -> None:
        """Close now, without an event to the handler."""
        self._handler = None
        self.close()

    def close(self) -> None:
        """Close now."""
        if not self.closed:
            self.closed = True
            self._open.abort()

    @property
    def _open(self) -> asyncio.Transport:
        if self._transport is None:
            raise RuntimeError("The connection is used before it is open.")
        return self._transport

    @property
    def _socket(self) -> socket.socket:
        return cast("socket.socket", self._open.get_extra_info("socket"))

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the socket for `usable` and set its timeout."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(self._socket, select.POLLIN)
        option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux only
        if option is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, option, _USER_TIMEOUT_MS)

    def data_received(self, data: bytes) -> None:
        """Parse a read."""
        if self._handler is None:
            self.close()
            return
        body, held = self._decoder, 0
        if body is None and self._held:
            held = len(self._held)
            data, self._held = self._held + data, b""
        try:
            if body is not None:
                self._read_body(body, body.feed(data))
            elif (end := data.find(b"\r\n\r\n", max(0, held - 3))) < 0:
                check_response_beginning(data, held)
                self._held = data
            else:
                head = parse_response(data[: end + 2])
                begin = self._begin if head.status >= _OK else self._read_informational
                begin(head, data[end + 4 :])
        except MalformedMessage as error:
            if body is None and not data.startswith(_START):
                self._fail("what answers there does not speak HTTP/1.1")
            else:
                self._fail(f"its reply is not valid HTTP/1.1 ({error.message})", TransportError.INVALID)

    def connection_lost(self, exc: Exception | None) -> None:
        """End or fail the exchange."""
        self.closed = True
        body = self._decoder
        if self._handler is None:
            self._release(self, False)
        elif body is None:
            self._fail("it closed the connection before its reply")
        elif not self._framed and exc is None:
            self._end(body)
        else:
            self._fail("it closed the connection in the middle of its reply")

    def _read_informational(self, head: ResponseHead, rest: bytes) -> None:
        self._informational += 1
        if head.status < _CONTINUE:
            raise MalformedMessage(f"a status of {head.status}")
        if head.status == _SWITCHING:
            raise MalformedMessage("a switch of protocols that was not asked for")
        self._informational_bytes += sum(len(name) + len(value) for name, value in head.fields)
        if self._informational > _MAX_INFORMATIONAL or self._informational_bytes > _MAX_INFORMATIONAL_BYTES:
            raise MalformedMessage("too many interim responses")
        if head.status != _CONTINUE and self._handler is not None:
            self._handler.on_informational(head.status, head.fields)
        if rest and self._handler is not None:
            self.data_received(rest)

    def _begin(self, head: ResponseHead, rest: bytes) -> None:
        """The head is here. rest: what was read behind it."""
        status, handler = head.status, self._handler
        if status > _MAX_STATUS or handler is None:
            raise MalformedMessage(f"a status of {status}")
        length = head.length
        if REMAPPED_PREFIX in b"".join(head.by_name):
            fields, self._announced = restore_fields(head.fields, framed=length not in (None, CHUNKED))
            head = replace(head, fields=fields, by_name=dict(reversed(fields)))
        if self._head_only or status in _BODILESS:
            length, self._announced = 0, None
        self._framed = length is not None
        self._keep_alive = self._framed and head.keep_alive
        if length == len(rest):  # as of most responses
            self._handler = None
            self._released()
            handler.on_whole(head, rest)
            return
        handler.on_head(head)
        body = self._decoder = decoder(length)
        if rest or body.done:
            self._read_body(body, body.feed(rest))

    def _read_body(self, body: Decoder, data: bytes) -> None:
        """Pass on what was decoded, unless the handler has left with the head."""
        if data and self._handler is not None:
            if self._announced is not None:
                self._received += len(data)
                if self._received > self._announced:
                    self._end(body)
                    return
            self._handler.on_data(data)
        if body.done and self._handler is not None:
            self._end(body)

    def _end(self, body: Decoder) -> None:
        """The body has ended, by its framing or by its announced length."""
        if body.rest:  # a client has to ignore it, and what follows answers no request
            self._keep_alive = False
        if self._announced in (None, self._received):
            self._finish(body.trailers)
        else:
            self._fail(f"{self._received} bytes of its reply came, and {self._announced} were announced")

    def _finish(self, trailers: Sequence[Header]) -> None:
        handler, self._handler = self._handler, None
        self._released()
        if handler is not None:
            handler.on_end(trailers)

    def _released(self) -> None:
        """The exchange is over."""
        if self._paused:
            self.resume()
        transport = self._transport or self._open
        reusable = self._keep_alive and not self.closed and transport.get_write_buffer_size() == 0
        self._release(self, reusable)
        if not reusable:
            self.close()

    def _fail(self, why: str, error: TransportError = TransportError.RESET) -> None:
        handler, self._handler = self._handler, None
        self._release(self, False)
        self.close()
        if handler is not None:
            handler.on_failure(error, why)
