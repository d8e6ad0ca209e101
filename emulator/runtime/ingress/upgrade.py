"""A WebSocket through a front end: its handshake, then octets both ways. Cloud Run alone carries one.

Sources
- Google: cloud.google.com/run/docs/triggering/websockets: supported with no configuration; a WebSocket is a
  request, so it counts for concurrency and ends with the request timeout.
- AWS: a function URL makes one event of a request, so nothing can follow it; the web adapter supports none
  (github.com/aws/aws-lambda-web-adapter/issues/11). The function gets the handshake as plain HTTP.
- Azure: HTTP triggers have none (github.com/Azure/Azure-Functions/issues/738). How its front end answers a
  handshake is not documented; here the function gets it as plain HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from emulator.desired.model import Cloud
from emulator.runtime.errors import InstanceError
from emulator.runtime.ingress import headers
from emulator.runtime.ingress.connections import octets
from emulator.runtime.instances.http_client import HOP_BY_HOP, LOOPBACK, request_head
from emulator.runtime.types import Call, Headers

CARRIED: frozenset[Cloud] = frozenset(("gcp",))
ADDED: Headers = (("connection", "Upgrade"), ("upgrade", "websocket"))
READ = 65_536
MOST_UNSENT = 262_144

Gate = Callable[[], Awaitable[bool]]


def wanted(request: web.BaseRequest) -> bool:
    """Whether the client wants a WebSocket."""
    options = request.headers.get("Connection", "").lower()
    return "upgrade" in options and request.headers.get("Upgrade", "").lower() == "websocket"


class Relayed(web.StreamResponse):
    """A response that was written octet by octet."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """It is sent already."""

    async def write_eof(self, data: bytes = b"") -> None:
        """It is over already."""


class _ToInstance:
    """What aiohttp calls with the client's octets after the handshake."""

    def __init__(self, request: web.BaseRequest, writer: asyncio.StreamWriter) -> None:
        self._request, self._writer = request, writer
        self._waiting: asyncio.Task[None] | None = None

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass them on."""
        self._writer.write(data)
        transport = self._request.transport
        if self._writer.transport.get_write_buffer_size() > MOST_UNSENT and transport is not None:
            transport.pause_reading()
            self._waiting = asyncio.create_task(self._go_on(transport))
        return False, b""

    def feed_eof(self) -> None:
        """The client writes no more."""
        self._writer.close()

    async def _go_on(self, transport: asyncio.Transport) -> None:
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
        transport.resume_reading()


async def relay(
    request: web.BaseRequest, call: Call, base: str, cloud: Cloud, gate: Gate
) -> web.StreamResponse:
    """Carry a WebSocket to the instance at `base` until either side ends, or pass on its refusal.

    gate: awaited before what the instance sends; it blocks during a `blackhole`. Raises InstanceError."""
    at = urlsplit(base)
    try:
        reader, writer = await asyncio.open_connection(at.hostname or LOOPBACK, at.port or 80, limit=READ)
    except OSError as error:
        raise InstanceError("crashed", f"no reply: {error!r}") from error
    try:
        writer.write(request_head(call, ADDED, at.netloc, chunked=False))
        status, said = await _head(reader)
        if status != 101:
            return await _refusal(reader, status, headers.reply(cloud, said, call.id))
        return await _switch(request, headers.reply(cloud, said, call.id), reader, writer, gate)
    finally:
        writer.transport.abort()


async def _head(reader: asyncio.StreamReader) -> tuple[int, Headers]:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
        raise InstanceError("crashed", f"no reply: {error!r}") from error
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return int(first.split(" ")[1]), tuple(pair for pair in pairs if pair[0] not in HOP_BY_HOP)


async def _refusal(reader: asyncio.StreamReader, status: int, said: Headers) -> web.Response:
    length = next((int(value) for name, value in said if name == "content-length"), 0)
    try:
        body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise InstanceError("crashed", f"the reply broke off: {error!r}") from error
    fields = CIMultiDict(pair for pair in said if pair[0] != "content-length")
    return web.Response(status=status, headers=fields, body=body)


async def _switch(
    request: web.BaseRequest,
    said: Headers,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    gate: Gate,
) -> web.StreamResponse:
    transport = request.transport
    if transport is None or await gate():
        raise InstanceError("crashed", "the client has left")
    fields = "".join(f"{name}: {value}\r\n" for name, value in (*ADDED, *said))
    transport.write(octets(f"HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n"))
    # aiohttp calls it with what follows the handshake, as its own reader of WebSockets.
    cast("Any", request.protocol).set_parser(_ToInstance(request, writer))
    with contextlib.suppress(ConnectionError):
        while (data := await reader.read(READ)) and not await gate():
            transport.write(data)
            await request.writer.drain()
    transport.close()
    return Relayed()
