"""A loopback port with an HTTP server that can stop listening and listen again.

An open Listener keeps its port bound, listening or not, so that no other process gets it during a `refuse`
fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

from emulator.errors import PortTaken
from emulator.runtime.ingress.connections import Server

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

HEADER_BYTES = 65536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends RST
SHUTDOWN_S = 0.5


def bind(port: int, purpose: str) -> socket.socket:
    """A bound socket that does not listen."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port, purpose) from error
        raise
    return bound


class Listener:
    """Serves `handler`. cancels: a client that closes its connection cancels the handler."""

    def __init__(self, port: int, purpose: str, handler: Handler, *, cancels: bool = False) -> None:
        self.port = port
        self._purpose = purpose
        self._handler = handler
        self._cancels = cancels
        self._runner: web.ServerRunner | None = None
        self._site: web.SockSite | None = None
        self._held: socket.socket | None = None
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Bind and listen. Raises PortTaken."""
        self._held = bind(self.port, self._purpose)
        self._runner = web.ServerRunner(
            Server(
                self._handler,
                handler_cancellation=self._cancels,
                access_log=None,
                keepalive_timeout=75.0,
                auto_decompress=False,
                max_line_size=HEADER_BYTES,
                max_field_size=HEADER_BYTES,
            ),
            shutdown_timeout=SHUTDOWN_S,
        )
        await self._runner.setup()
        await self.listen()

    @property
    def listening(self) -> bool:
        """Whether connections are accepted."""
        return self._site is not None

    async def listen(self) -> None:
        """Accept connections (again)."""
        async with self._changing:
            if self._site is None and self._held is not None and self._runner is not None:
                self._site = web.SockSite(self._runner, self._held, backlog=1024)
                self._held = None
                await self._site.start()

    async def refuse(self) -> None:
        """Accept no connection and reset the open ones; the port stays bound."""
        async with self._changing:
            if self._site is not None:
                site, self._site = self._site, None
                await site.stop()
                self._held = bind(self.port, self._purpose)
            self.reset()

    def reset(self) -> None:
        """Reset all open connections."""
        server = self._runner.server if self._runner is not None else None
        for connection in list(server.connections) if server is not None else []:
            reset(connection.transport)

    async def close(self) -> None:
        """Stop, end open connections, free the port."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._held is not None:
            self._held.close()
            self._held = None


def reset(transport: asyncio.BaseTransport | None) -> None:
    """End a connection with a TCP reset."""
    if not isinstance(transport, asyncio.Transport):
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()
