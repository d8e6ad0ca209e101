"""One HTTP/1.1 exchange with an instance on loopback, octet by octet.

One connection per exchange, and a request is written once: a broken connection repeats nothing, and no reused
connection can be one that the instance has just closed. Header fields are octets, written as latin-1 text;
the
body streams in both directions at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

import httptools

from emulator.runtime.errors import InstanceError
from emulator.runtime.types import Call, Headers, Reply

# RFC 9110 section 7.6.1: these describe one connection and end at each hop.
HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    )
)
LOOPBACK = "127.0.0.1"
MOST_PIECES = 16  # pieces of a body that wait for the reader; a piece is at most one read, 256 KiB


class _Parts:
    """What the parser has found so far; its methods are the parser's callbacks."""

    def __init__(self, *, head_only: bool) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._interim = False
        self._found: list[tuple[str, str]] = []
        self.body: deque[bytes] = deque()
        self.status = 0
        self.has_head = self.done = self.unbounded = False

    def feed(self, data: bytes) -> None:
        """Raises httptools.HttpParserError."""
        if not self.done:
            self._parser.feed_data(data)

    @property
    def headers(self) -> Headers:
        """Without hop-by-hop fields."""
        return tuple(pair for pair in self._found if pair[0] not in HOP_BY_HOP)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field."""
        self._found.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The end of the head. An interim one (RFC 9110, section 15.2) is skipped."""
        self.status = self._parser.get_status_code()
        self._interim = 100 <= self.status < 200
        if self._interim:
            self._found.clear()
            return
        self.has_head = True
        self.done = self._head_only
        named = {name for name, _ in self._found}
        self.unbounded = not named & {"content-length", "transfer-encoding"}

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self.body.append(data)

    def on_message_complete(self) -> None:
        """The end of the message; that of an interim reply is ignored."""
        self.done = self.done or not self._interim


class _Exchange(asyncio.Protocol):
    """A connection with one request and its reply.

    Bytes are parsed when they arrive: a reply that an instance sends before it closes is received even when
    writing
    fails at the same moment.
    """

    def __init__(self, *, head_only: bool) -> None:
        self._parts = _Parts(head_only=head_only)
        self._transport: asyncio.Transport | None = None
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = False
        self._error: Exception | None = None
        self.unsent: Exception | None = None  # why the request could not be read to its end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A part of the reply."""
        try:
            self._parts.feed(data)
        except httptools.HttpParserError as error:
            self._error = error
            self.abort()
        if self._transport is not None and len(self._parts.body) > MOST_PIECES:
            self._transport.pause_reading()
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._closed = True
        self._error = self._error or exc
        self._news.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """The instance reads more slowly than the caller sends."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable.set()

    async def write(self, data: bytes) -> bool:
        """Send a part. Returns whether the connection is open."""
        await self._writable.wait()
        if self._closed or self._transport is None:
            return False
        self._transport.write(data)
        return True

    def abort(self) -> None:
        """Close it now."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._parts.status

    @property
    def headers(self) -> Headers:
        """Without hop-by-hop fields."""
        return self._parts.headers

    async def head(self) -> None:
        """Wait for the head. Raises InstanceError."""
        while not self._parts.has_head:
            await self._more("no reply")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        while True:
            while self._parts.body:
                yield self._parts.body.popleft()
            if self._parts.done:
                return
            await self._more("the reply broke off before its end")

    async def _more(self, missing: str) -> None:
        if not self._closed:
            self._news.clear()
            if self._transport is not None and not self._transport.is_reading():
                self._transport.resume_reading()
            await self._news.wait()
        elif self._parts.unbounded and self._error is None:
            self._parts.done = True
        else:
            raise self._trouble(f"{missing}: {self._error or 'the connection was closed'!r}")

    def _trouble(self, detail: str) -> InstanceError:
        if isinstance(self.unsent, InstanceError):
            return self.unsent
        if self.unsent is not None:
            return InstanceError(
                "crashed", f"the request broke off before its end ({type(self.unsent).__name__})"
            )
        return InstanceError("crashed", detail)


@asynccontextmanager
async def exchange(base: str, call: Call, added: Headers = ()) -> AsyncGenerator[Reply]:
    """Send `call` with `added` headers to the instance at `base` and give its reply. Raises InstanceError."""
    at = urlsplit(base)
    loop = asyncio.get_running_loop()
    try:
        _, found = await loop.create_connection(
            lambda: _Exchange(head_only=call.method == "HEAD"), at.hostname or LOOPBACK, at.port or 80
        )
    except OSError as error:
        raise InstanceError("crashed", f"no reply: {error!r}") from error
    upload = asyncio.create_task(_send(call, added, at.netloc, found))
    try:
        await found.head()
        yield found
    finally:
        upload.cancel()
        found.abort()


def _chunked(call: Call) -> bool:
    return not isinstance(call.body, bytes) and not call.header("content-length")


def request_head(call: Call, added: Headers, host: str, *, chunked: bool) -> bytes:
    """The head of a request. added: fields that replace those of the call."""
    replaced = {name for name, _ in added} | HOP_BY_HOP
    fields = [pair for pair in call.headers if pair[0] not in replaced]
    if isinstance(call.body, bytes):
        empty = not call.body and call.method in ("GET", "HEAD", "DELETE", "OPTIONS", "TRACE")
        length = [] if empty or "content-length" in replaced else [("content-length", str(len(call.body)))]
        fields = [*(pair for pair in fields if pair[0] != "content-length"), *length]
    elif chunked:
        fields.append(("transfer-encoding", "chunked"))
    if not call.header("host"):
        fields.insert(0, ("host", host))
    said = "".join(f"{name}: {value}\r\n" for name, value in (*fields, *added))
    return f"{call.method} {call.target} HTTP/1.1\r\n{said}\r\n".encode("latin-1")


async def _send(call: Call, added: Headers, host: str, found: _Exchange) -> None:
    """Write the request. An instance may reply and close before it has read all of it."""
    chunked = _chunked(call)
    if not await found.write(request_head(call, added, host, chunked=chunked)):
        return
    if isinstance(call.body, bytes):
        await found.write(call.body)
        return
    try:
        async for chunk in call.body:
            framed = b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk
            if chunk and not await found.write(framed):
                return
    except Exception as error:  # the instance must see that the request is incomplete
        found.unsent = error
        found.abort()
        return
    if chunked:
        await found.write(b"0\r\n\r\n")
