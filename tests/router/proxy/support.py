"""Scripts of upstream targets: chunked replies, resets, and targets that come back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from dataclasses import replace

from tests.router.support import (
    QUICK,
    Peer,
    Received,
    Script,
    Upstream,
    alive,
    ok,
)

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: %b\r\n\r\n"


EVENTS = b"text/event-stream; charset=utf-8"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def sends(*parts: bytes, reset: bool = False, close: bool = False) -> Script:
    """A script that writes these bytes, one write each, and then breaks or closes the connection."""

    async def script(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        for part in parts:
            await peer.send(part)
            await asyncio.sleep(0)
        if reset:
            peer.reset()
        elif close:
            peer.writer.close()

    return script


JSON = CHUNKED % b"application/json; charset=utf-8"


MARK = "endpoint-load-metrics: TEXT application_utilization=0\r\n"


# Neither the queue nor the deadline ends a request on a loaded machine.
PATIENT = replace(QUICK, queue_timeout_s=60.0, deadline_s=60.0, queue_pause_s=0.02, probe_fresh_s=0.02)


async def agent(request: Received, peer: Peer) -> None:
    await (alive(peer) if request.target == "/health" else ok(request, peer))


class Away:
    """A target whose port refuses connections until `returns`."""

    def __init__(self) -> None:
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.one = Upstream(agent)
        self.one.port = self.listener.getsockname()[1]
        self.server: asyncio.Server | None = None

    async def returns(self) -> None:
        self.server = await asyncio.start_server(self.one.serve, sock=self.listener)

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.one.stop()
            await self.server.wait_closed()
        self.listener.close()


@contextlib.asynccontextmanager
async def away(count: int) -> AsyncGenerator[list[Away], None]:
    them = [Away() for _ in range(count)]
    try:
        yield them
    finally:
        for one in them:
            await one.stop()


async def breaks(request: Received, peer: Peer) -> None:
    """A script: it answers /health and resets every request."""
    if request.target == "/health":
        await alive(peer)
    else:
        peer.reset()
