"""uvicorn's HTTP/1.1 protocol, with the head of a response in one write with the first part of its body.

Rules
- uvicorn writes each head by itself (`RequestResponseCycle.send`, uvicorn 0.54), which costs most replies one
  more system call and one more packet. Here a head waits for the next write, at most for one turn of the
  event loop.
- Only a head is held, so flow control is uvicorn's own, and the first event of a stream is not late.
- The order is kept: a held head is written before the connection closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HeadBuffer:
    """A transport for uvicorn: the first write after `expect_head` waits for the next one."""

    __slots__ = ("_awaited", "_head", "_loop", "_transport", "get_extra_info", "is_closing", "set_protocol")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head, self._awaited = b"", True
        self.is_closing, self.get_extra_info = transport.is_closing, transport.get_extra_info
        self.set_protocol = transport.set_protocol

    def expect_head(self) -> None:
        """A response is complete: the next write is the head of another one."""
        self.flush()
        self._awaited = True

    def write(self, data: bytes) -> None:
        """Write it with the head that is held, or hold it as the head."""
        if self._awaited:
            self._awaited, self._head = False, data
            self._loop.call_soon(self.flush)
        elif self._head:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write the head if it is still held."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Close after all that was written."""
        self.flush()
        self._transport.close()


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol on a `HeadBuffer`, for uvicorn's option `http`."""

    _buffer: HeadBuffer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A connection is open."""
        super().connection_made(transport)
        self._buffer = HeadBuffer(transport, self.loop)
        self.transport = self._buffer  # type: ignore[assignment]

    def on_response_complete(self) -> None:
        """uvicorn has written a whole response."""
        if self._buffer is not None:
            self._buffer.expect_head()
        super().on_response_complete()


# What uvicorn is told in each cloud that runs it.
SERVER_OPTIONS: Final[Mapping[str, Any]] = {
    "http": HttpProtocol,
    "ws": "none",
    "access_log": False,
    "server_header": False,
    "date_header": False,
    # uvicorn would take the client's address from a front end's field, which names the router at best.
    "proxy_headers": False,
}
