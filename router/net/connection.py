"""One HTTP/1.1 client connection: request bytes out, response events in.

Rules
- The parser calls the `ResponseHandler` of the current exchange directly: no future and no task per read.
- One exchange at a time. A connection is reusable only when request and response are both complete.
- A body that ends before its announced end is a failure. Only a response without any length may end with the
  connection (RFC 9112, section 6.3), and only by an orderly close. A length that a platform renamed
  (`router.net.lambda_fields`) counts as announced, although the body is chunked.
- 1xx responses are skipped. A switch of protocols was not requested and is a failure.
- The size of the response head is bounded, so that a target cannot exhaust the memory.

This file reports `TransportError.RESET` and `INVALID`; the pool reports the errors of opening a connection.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools

from router.net.errors import TransportError
from router.net.lambda_fields import REMAPPED_PREFIX, restore_fields
from skyfleet.asgi import Header

# nginx and Node accept 8 to 16 kB; large cookies or traces still fit four times over.
MAX_HEAD_BYTES: Final = 65_536
# RFC 9110, section 15: there is no class above 5xx, and servers in front of the router know no such code.
_MAX_STATUS: Final = 599
# A path is dead when sent bytes stay unacknowledged for so long. A frozen sandbox does not see it otherwise.
_USER_TIMEOUT_MS: Final = 10_000


class ResponseHandler(Protocol):
    """Receives the events of one response. Nothing follows on_end or on_failure."""

    def on_head(self, status: int, headers: list[Header], /) -> None: ...

    def on_data(self, data: bytes, /) -> None: ...

    def on_end(self) -> None: ...

    def on_failure(self, error: TransportError, why: str, /) -> None: ...


class Connection(asyncio.Protocol):
    """One connection. The pool owns it between exchanges."""

    __slots__ = (
        "_announced",
        "_complete",
        "_fields",
        "_framed",
        "_handler",
        "_head_bytes",
        "_head_only",
        "_headers",
        "_keep_alive",
        "_parser",
        "_paused",
        "_poll",
        "_received",
        "_release",
        "_status",
        "_transport",
        "closed",
        "idle_since",
    )

    def __init__(self, release: Callable[[Connection, bool], None]) -> None:
        """release: called after each exchange and when the connection is lost, with its reusability."""
        self._release = release
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._parser = httptools.HttpResponseParser(self)
        self._handler: ResponseHandler | None = None
        self.closed = self._paused = False
        self.idle_since = 0.0

    # Called by the pool and by the exchange.

    def start(self, handler: ResponseHandler, request: bytes, *, head_only: bool) -> None:
        """Send a request. Its response goes to the handler; head_only: a response to HEAD has no body."""
        self._handler = handler
        self._head_only = head_only
        self._fields: list[bytes] = []  # names and values, alternating
        self._headers: list[Header] = []
        self._status = 0
        self._head_bytes = 0
        self._framed = False
        self._keep_alive = False
        self._complete = False
        # The announced length of a chunked body, and how many bytes of it have arrived.
        self._announced: int | None = None
        self._received = 0
        transport = self._transport or self._open
        transport.write(request)

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
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._parse_failed(error, data)
            return
        if self._complete and self._announced is None:
            self._finish()
        elif self._complete or (self._announced is not None and self._received > self._announced):
            self._end()
        elif not self._status:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                why = f"the head of its reply is larger than {MAX_HEAD_BYTES} bytes"
                self._fail(why, TransportError.INVALID)

    def _parse_failed(self, error: Exception, data: bytes) -> None:
        if self._complete:  # a complete response, followed by bytes that a client has to ignore
            self._keep_alive = False
            self._end()
            return
        cause = error.__context__ or error
        speaks = self._status or self._head_bytes or data.startswith(b"HTTP/1.")
        kind = TransportError.INVALID if speaks else TransportError.RESET
        self._fail(f"its reply is not HTTP/1.1 ({cause})", kind)
        if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(cause, ValueError):
            raise cause  # a defect of a handler, not of the target

    def connection_lost(self, exc: Exception | None) -> None:
        """End or fail the exchange."""
        self.closed = True
        orderly = exc is None
        if self._handler is not None:
            if self._status and not self._framed and orderly:
                self._keep_alive = False
                self._end()
            else:
                where = "in the middle of its reply" if self._status else "before its reply"
                self._fail(f"it closed the connection {where}")
        else:
            self._release(self, False)

    # Called by httptools.

    def on_message_begin(self) -> None:
        """A response begins. One after the awaited one answers no request: what follows must not be read."""
        if self._complete:
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # trailers follow later and are dropped
            self._fields += name, value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._handler is None or self._complete:
            self._fields = []  # the fields of the response that follows
            return
        if status > _MAX_STATUS:
            raise ValueError(f"a status of {status}")
        self._status = status
        # One call for all names; none of them has a line break.
        names = b"\n".join(self._fields[::2]).lower()
        self._headers = list(zip(names.split(b"\n"), self._fields[1::2], strict=True)) if self._fields else []
        fields = dict(self._headers)
        has_length, coded = b"content-length" in fields, b"transfer-encoding" in fields
        if coded:
            codings = [value for name, value in self._headers if name == b"transfer-encoding"]
            if [coding.strip().lower() for coding in codings] != [b"chunked"]:
                raise ValueError("a transfer coding other than chunked")
            if has_length:
                raise ValueError("both a length and a transfer coding")
        self._framed = coded or has_length or self._head_only or status in (204, 304)
        if REMAPPED_PREFIX in names:
            bodiless = self._head_only or status in (204, 304)
            self._headers, announced = restore_fields(self._headers, framed=has_length)
            self._announced = None if bodiless else announced
        self._handler.on_head(status, self._headers)
        if self._head_only:
            # httptools cannot be told that no body follows, so the connection is not reused.
            self._complete = True

    def on_body(self, body: bytes) -> None:
        if self._handler is None or self._complete:
            return
        if self._announced is not None:
            self._received += len(body)
            if self._received > self._announced:
                return
        self._handler.on_data(body)

    def on_message_complete(self) -> None:
        if self._status and not self._complete:
            self._complete = True
            self._keep_alive = self._framed and self._parser.should_keep_alive()

    def _end(self) -> None:
        """The body has ended, by its framing or by its announced length."""
        if self._announced in (None, self._received):
            self._finish()
        else:
            self._fail(f"{self._received} bytes of its reply came, and {self._announced} were announced")

    def _finish(self) -> None:
        handler, self._handler = self._handler, None
        if self._paused:
            self.resume()
        transport = self._transport or self._open
        reusable = self._keep_alive and not self.closed and transport.get_write_buffer_size() == 0
        self._release(self, reusable)
        if not reusable:
            self.close()
        if handler is not None:
            handler.on_end()

    def _fail(self, why: str, error: TransportError = TransportError.RESET) -> None:
        handler, self._handler = self._handler, None
        self._release(self, False)
        self.close()
        if handler is not None:
            handler.on_failure(error, why)
