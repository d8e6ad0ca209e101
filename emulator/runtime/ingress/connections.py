"""aiohttp's server with what a front door needs more: octets of header fields, and half-closed connections.

Rules
- A field of a reply is written as the octets it has (latin-1 text in our values), not encoded again.
- A client that has closed its writing side after a whole request still gets its reply. One that is gone is
  told from it by its socket, which no process holds any more: with FIN alone both look the same. The vendors
  document neither; a browser or curl that is ended closes both sides.
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
LOOK_S = 0.1  # how soon after its FIN a client that is gone is noticed


class Writer(StreamWriter):
    """Writes one reply."""

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """The head; only what the cloud or the function says about itself goes out, not aiohttp's name."""
        said = [
            (name, value)
            for name, value in headers.items()
            if name.lower() != "server" or not value.startswith("Python/")
        ]
        text = "\r\n".join((status_line, *(f"{name}: {value}" for name, value in said), "", ""))
        if any(char in name + value for name, value in said for char in "\r\n\0"):
            raise ValueError("a header field with a line break cannot be sent")
        self._headers_written = False
        self._headers_buf = octets(text)


def octets(text: str) -> bytes:
    """A head as bytes; text that is not latin-1 is our own."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


class Connection(web.RequestHandler):
    """One client. taken: the request that was begun last."""

    taken: web.BaseRequest | None = None

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride] # asyncio's signature
        """The client writes no more. True keeps the connection open for the reply."""
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
    """Tell a client that waits for it (RFC 9110, section 10.1.1) to send the body that is read next."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def refuse_body(request: web.BaseRequest, answer: web.StreamResponse) -> None:
    """The body that a client waits to send will not come: the connection ends with the answer."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        answer.force_close()
        request.content.feed_eof()


def is_gone(peer: tuple[str, int], own: tuple[str, int]) -> bool:
    """Whether no process holds the other end of a connection of this machine."""
    ours, theirs = _spelled(own), _spelled(peer)
    for line in SOCKETS.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == theirs and fields[2] == ours:
            return fields[9] == "0"  # the inode
    return True


def _spelled(address: tuple[str, int]) -> str:
    """As /proc/net/tcp has it: the address in this machine's byte order."""
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
