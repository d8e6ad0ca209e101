"""One HTTP/1.1 connection to a target: bytes out, callbacks in.

Rules
- No future and no task per read: the parser's callbacks go straight to the `Sink` of the running exchange.
- One exchange at a time; a connection is handed back only when reply and request are both complete.
- A body that ends before its announced end is a failure, never an end. Only a reply without any length may
  end with the connection (RFC 9112, section 6.3), and only by an orderly close. A length that a platform
  renamed (`router.net.lambda_fields`) counts as announced, although the body is chunked.
- 1xx replies are skipped; a switch of protocols was never asked for and is a failure.
- The head is bounded in size, so that a target cannot fill our memory before its body is even paused.

`Failure.NOT_SENT` never comes from here: whoever opens connections knows that (`router.net.pool`).
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools

from router.core.request.machine import Failure
from router.net.fields import Header
from router.net.lambda_fields import PREFIX, restored

# nginx and Node take 8 to 16 kB; agents with large cookies or traces still fit four times over.
MOST_HEAD_BYTES: Final = 65_536
# RFC 9110, section 15: there is no class above 5xx, and servers in front know no such code.
_MOST_STATUS: Final = 599
# Bytes sent but not acknowledged for so long mean a dead path (a frozen sandbox does not see it otherwise).
_UNACKNOWLEDGED_MS: Final = 10_000


class Sink(Protocol):
    """Who wants the reply. After on_end or on_failure nothing follows."""

    def on_head(self, status: int, headers: list[Header], /) -> None: ...

    def on_data(self, data: bytes, /) -> None: ...

    def on_end(self) -> None: ...

    def on_failure(self, failure: Failure, why: str, /) -> None: ...


class Connection(asyncio.Protocol):
    """One connection; the pool owns it between exchanges."""

    __slots__ = (
        "_announced",
        "_fed",
        "_fields",
        "_framed",
        "_head_only",
        "_headers",
        "_keep",
        "_over",
        "_parser",
        "_paused",
        "_poll",
        "_received",
        "_release",
        "_sink",
        "_status",
        "_transport",
        "closed",
        "idle_since",
    )

    def __init__(self, release: Callable[[Connection, bool], None]) -> None:
        """release: called after an exchange and when it is lost. True: it can be used again."""
        self._release = release
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._parser = httptools.HttpResponseParser(self)
        self._sink: Sink | None = None
        self.closed = False
        self.idle_since = 0.0
        self._reset(head_only=False)

    def _reset(self, *, head_only: bool) -> None:
        self._head_only = head_only
        self._fields: list[bytes] = []  # names and values, one after another
        self._headers: list[Header] = []
        self._status = 0
        self._fed = 0
        self._framed = False
        self._keep = False
        self._over = False
        self._paused = False
        # The length that a chunked body was announced to have, and what has come of it.
        self._announced: int | None = None
        self._received = 0

    # What the pool and the call use.

    def start(self, sink: Sink, request: bytes, *, head_only: bool) -> None:
        """Send a request; its reply goes to the sink. head_only: the reply to HEAD has no body."""
        self._reset(head_only=head_only)
        self._sink = sink
        transport = self._transport or self._open
        transport.write(request)

    def usable(self) -> bool:
        """Ask the kernel whether an idle connection has been closed by the other side (or talks unasked).

        A sandbox that was frozen has not seen the close yet; without this the request would be lost on it.
        """
        if self.closed or self._open.is_closing():
            return False
        return not self._poll.poll(0)

    def pause(self) -> None:
        if not self._paused and not self.closed:
            self._paused = True
            self._open.pause_reading()

    def resume(self) -> None:
        if self._paused and not self.closed:
            self._paused = False
            self._open.resume_reading()

    def abandon(self) -> None:
        """Nobody wants the rest: close now, call nobody."""
        self._sink = None
        self.close()

    def close(self) -> None:
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

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(self._socket, select.POLLIN)
        option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux only
        if option is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, option, _UNACKNOWLEDGED_MS)

    def data_received(self, data: bytes) -> None:
        if self._sink is None:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._parse_failed(error)
            return
        if self._over or (self._announced is not None and self._received > self._announced):
            self._end()
        elif not self._status:
            self._fed += len(data)
            if self._fed > MOST_HEAD_BYTES:
                self._fail(f"the head of its reply is larger than {MOST_HEAD_BYTES} bytes")

    def _parse_failed(self, error: Exception) -> None:
        if self._over:  # a complete reply, followed by what a client has to ignore
            self._keep = False
            self._end()
            return
        cause = error.__context__ or error
        self._fail(f"its reply is not HTTP/1.1 ({cause})")
        if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(cause, ValueError):
            raise cause  # a sink of ours is wrong, not the target

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        orderly = exc is None
        if self._sink is not None:
            if self._status and not self._framed and orderly:
                self._keep = False
                self._end()
            else:
                where = "in the middle of its reply" if self._status else "before its reply"
                self._fail(f"it closed the connection {where}")
        else:
            self._release(self, False)

    # httptools calls these.

    def on_message_begin(self) -> None:
        self._fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # trailers come later and are dropped
            self._fields += name, value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._sink is None:
            return
        if status > _MOST_STATUS:
            raise ValueError(f"a status of {status}")
        self._status = status
        # All names in one go; there is no line break in any of them.
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
        if PREFIX in names:
            bodiless = self._head_only or status in (204, 304)
            self._headers, announced = restored(self._headers, framed=has_length)
            self._announced = None if bodiless else announced
        self._sink.on_head(status, self._headers)
        if self._head_only:
            # The parser cannot be told that no body follows; a fresh connection is cheaper than a lie.
            self._over = True

    def on_body(self, body: bytes) -> None:
        if self._sink is not None and not self._over:
            self._received += len(body)
            if self._announced is None or self._received <= self._announced:
                self._sink.on_data(body)

    def on_message_complete(self) -> None:
        if self._status and not self._over:
            self._over = True
            self._keep = self._framed and self._parser.should_keep_alive()

    def _end(self) -> None:
        """The body is over, by its framing or by its announced length."""
        if self._announced in (None, self._received):
            self._finish()
        else:
            self._fail(f"{self._received} bytes of its reply came, and {self._announced} were announced")

    def _finish(self) -> None:
        sink, self._sink = self._sink, None
        if self._paused:
            self.resume()
        reusable = self._keep and not self.closed and self._open.get_write_buffer_size() == 0
        self._release(self, reusable)
        if not reusable:
            self.close()
        if sink is not None:
            sink.on_end()

    def _fail(self, why: str) -> None:
        sink, self._sink = self._sink, None
        self._release(self, False)
        self.close()
        if sink is not None:
            sink.on_failure(Failure.RESET, why)
