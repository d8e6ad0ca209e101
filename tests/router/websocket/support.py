"""A router whose server carries WebSockets, and a client of `/ws`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from functions.runtimes.server.options import WEBSOCKET_OPTIONS
from router.app import App
from router.core.policy import Policy
from tests.router.support import CALM, Front, Peer, Received, from_the_top, ok, serving, settings
from tests.trust import NO_CERTIFICATES

Message = dict[str, Any]
STREAM = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@contextlib.asynccontextmanager
async def router(
    urls: Sequence[str], *, policy: Policy = CALM, repeatable: bool = True, **environ: str
) -> AsyncGenerator[SocketFront, None]:
    """A running router over these targets, as on Google."""
    told = settings(urls, policy=policy, repeatable=repeatable, **environ)
    app = App(told, entropy=from_the_top())
    async with (
        serving(app, WEBSOCKET_OPTIONS) as (server, port),
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=NO_CERTIFICATES, timeout=10
        ) as client,
    ):
        yield SocketFront(app, client, port, server)


@dataclass
class SocketFront(Front):
    """A router behind a real server that carries WebSockets."""

    server: uvicorn.Server


class Socket:
    """A client's connection to `/ws`."""

    def __init__(self, connection: ClientConnection) -> None:
        self.raw = connection

    async def say(self, **message: Any) -> None:  # noqa: ANN401 - members of a message
        await self.raw.send(json.dumps(message))

    async def ask(self, ident: str, body: object = None, **members: Any) -> None:  # noqa: ANN401
        await self.say(type="request", id=ident, **{"path": "/invoke", "body": body, **members})

    async def hear(self) -> Message:
        """The next message."""
        return json.loads(await self.raw.recv())

    async def answer(self, ident: str) -> list[Message]:
        """The messages of one answer to its end. No other may be under way."""
        found = [await self.hear()]
        while found[-1]["type"] not in ("complete", "error"):
            found.append(await self.hear())
        assert {one["id"] for one in found} == {ident}
        return found

    async def closed(self) -> tuple[int | None, str | None]:
        """Code and reason of the close frame that ends it."""
        await self.raw.wait_closed()
        return self.raw.close_code, self.raw.close_reason


@contextlib.asynccontextmanager
async def socket(
    front: Front,
    headers: Mapping[str, str] | None = None,
    **options: Any,  # noqa: ANN401
) -> AsyncGenerator[Socket, None]:
    """An open connection, whose `session` message has been read by `session`."""
    url = f"ws://127.0.0.1:{front.port}/ws"
    options = {"proxy": None, "compression": None, **options}
    async with connect(url, additional_headers=headers, **options) as connection:
        yield Socket(connection)


def chunk(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


class Streams:
    """A script: each stream of events goes on when it may, and may be cut."""

    def __init__(self) -> None:
        self.go_on, self.cut = asyncio.Event(), False
        self.left = 0

    async def __call__(self, request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await ok(request, peer)
            return
        await peer.send(b"HTTP/1.1 200 OK\r\n" + STREAM.encode())
        await peer.send(chunk('event: delta\ndata: {"text": "a"}\n\n'))
        gone, told = asyncio.create_task(peer.until_closed()), asyncio.create_task(self.go_on.wait())
        await asyncio.wait([gone, told], return_when="FIRST_COMPLETED")
        left = gone.done()
        gone.cancel()
        told.cancel()
        await asyncio.wait([gone, told])
        if left:
            self.left += 1
            return
        if self.cut:
            peer.reset()
            return
        await peer.send(chunk('event: done\ndata: {"output": "ab"}\n\n') + b"0\r\n\r\n")
