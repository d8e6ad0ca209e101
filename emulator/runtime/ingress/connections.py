"""aiohttp's server with two additions: octets of header fields, and half-closed connections.

- A field of a reply is written with its octets (latin-1 text in our values), not encoded again.
- A client that closed its writing side after a whole request still gets its reply. A client that ended is
  recognised by its socket, which no process holds any more: FIN alone looks the same. The vendors document
  neither case; a browser or curl that ends closes both sides.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http import StreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from multidict import CIMultiDict

SOCKETS = Path("/proc/net/tcp")
AIOHTTPS_TYPE = ("Content-Type", "application/octet-stream")  # in capitals, unlike the fields of a function
LOOK_S = 0.1  # delay after a FIN until a client that ended is noticed


class Writer(StreamWriter):
    """Writes one reply."""

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """The head, without aiohttp's `Server`, and without its type for a reply that has none."""
        said = [
            (name, value)
            for name, value in headers.items()
            if (name, value) != AIOHTTPS_TYPE
            and (name.lower() != "server" or not value.startswith("Python/"))
        ]
        text = "\r\n".join((status_line, *(f"{name}: {value}" for name, value in said), "", ""))
        if any(char in name + value for name, value in said for char in "\r\n\0"):
            raise ValueError("a header field with a line break cannot be sent")
        self._headers_written = False
        self._headers_buf = octets(text)


def octets(text: str) -> bytes:
    """A head as bytes; text beyond latin-1 is our own and becomes UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


class Connection(web.RequestHandler):
    """One client. taken: the last request that was begun."""

    taken: web.BaseRequest | None = None

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride] # asyncio's signature
        """The client has closed its writing side. True keeps the connection open for the reply."""
        manager = self._manager
        if manager is None or not self._has_whole_request():
            return False
        self.close()  # after the reply
        if manager.handler_cancellation:
            self._look()
        return True

    def _has_whole_request(self) -> bool:
        idle = self._waiter is not None and not self._waiter.done()
        waiting = [payload for _, payload in self._messages]
        under_way = [] if self.taken is None or idle else [self.taken.content]
        return bool(waiting or under_way) and all(body.is_eof() for body in (*waiting, *under_way))

    def _look(self) -> None:
        if self.transport is None:
            return
        if is_gone(self.transport.get_extra_info("peername"), self.transport.get_extra_info("sockname")):
            self.transport.abort()
        else:
            asyncio.get_running_loop().call_later(LOOK_S, self._look)


def invite_body(request: web.BaseRequest) -> None:
    """Send 100 Continue to a client that waits for it (RFC 9110, section 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def refuse_body(request: web.BaseRequest, answer: web.StreamResponse) -> None:
    """Close after the reply when the client still waits to send its body."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        answer.force_close()
        request.content.feed_eof()


def is_gone(peer: tuple[str, int], own: tuple[str, int]) -> bool:
    """Whether no process of this machine holds the other end of a connection."""
    ours, theirs = _spelled(own), _spelled(peer)
    for line in SOCKETS.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == theirs and fields[2] == ours:
            return fields[9] == "0"  # the inode
    return True


def _spelled(address: tuple[str, int]) -> str:
    """The form of /proc/net/tcp: the address in this machine's byte order."""
    return f"{int.from_bytes(socket.inet_aton(address[0]), sys.byteorder):08X}:{address[1]:04X}"


class Server(web.Server):
    """Makes a Connection for each client, and a Writer for each reply."""

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        own = Writer(protocol, self._loop)
        request = web.BaseRequest(message, payload, protocol, own, task, self._loop, client_max_size=2**62)
        if isinstance(protocol, Connection):
            protocol.taken = request
        return request
