"""What the in-process tests stand on: scripted upstreams and a router behind a real server, on free ports."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import uvicorn

from functions.middleware import AgentMiddleware
from functions.runtimes.server.options import SERVER_OPTIONS
from router.app import App
from router.checker import Checker
from router.config import RouterSettings, router_settings
from router.core.policy import Policy
from skyfleet.asgi import ASGIApp, Receive, Scope, Send
from skyfleet.contract import Checks
from skyfleet.keys import Role, derived
from skyfleet.objects import Bucket
from tests.trust import NO_CERTIFICATES

ROOTS = '{"k1": "a made-up secret"}'
API_KEY = "a made-up key"

# Short times, so that what waits in production does not wait here.
QUICK = Policy(
    connect_timeout_s=2.0,
    probe_after_s=0.1,
    probe_timeout_s=0.5,
    deadline_s=5.0,
    cold_timeout_s=1.0,
    queue_timeout_s=0.01,
)
# For everything else: a machine that stops for a moment is no reason to ask, to drop or to give up.
CALM = Policy(queue_timeout_s=0.01)
# Deadlines of a client, in ms. Where a loaded machine has used up one before the case came about, a test
# asks again with the next one.
GROWING_MS = (150, 1_000, 8_000)


@dataclass
class Received:
    """One request as the upstream read it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """One connection to an upstream, for its script."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def reply(self, status: int, body: bytes = b"{}", *, headers: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        await self.send(head.encode() + body)

    def reset(self) -> None:
        """Close so that the other side sees a reset or an early end."""
        self.writer.transport.abort()

    async def until_closed(self) -> None:
        """Read on until the other side closes."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass


Script = Callable[[Received, Peer], Awaitable[None]]


async def alive(peer: Peer, *, cold: bool = False) -> None:
    """A good answer to /health."""
    await peer.reply(200, json.dumps({"status": "ok", "cold": cold, "build": "b1", "inflight": 0}).encode())


@dataclass
class Upstream:
    """A small HTTP/1.1 server whose replies are written by a script, byte by byte if need be."""

    script: Script
    received: list[Received] = field(default_factory=list[Received])
    connections: int = 0
    port: int = 0
    _open: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[Received]:
        """Requests other than /health."""
        return [one for one in self.received if one.target != "/health"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            while (request := await _read_request(reader)) is not None:
                self.received.append(request)
                await self.script(request, Peer(reader, writer))
                if writer.transport.is_closing():
                    return
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._open.discard(task)

    async def stop(self) -> None:
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


@contextlib.asynccontextmanager
async def upstream(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Upstream, None]:
    """A running upstream on a free port."""
    one = Upstream(script)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await one.stop()
        await server.wait_closed()


async def ok(request: Received, peer: Peer) -> None:
    """A script: every request is answered well."""
    await (alive(peer) if request.target == "/health" else peer.reply(200, b'{"output": "fine"}'))


async def swallows(request: Received, peer: Peer) -> None:
    """A script: a black hole, which never answers anything."""
    await peer.until_closed()


@dataclass
class Mortal:
    """A script: `ok` while it is well, otherwise a black hole."""

    well: bool = True

    async def __call__(self, request: Received, peer: Peer) -> None:
        await (ok if self.well else swallows)(request, peer)


def keys_of(role: Role, place: str, roots: str = ROOTS) -> str:
    """What the agent or checker of a place is given, as JSON."""
    return json.dumps(derived(json.loads(roots), role, place))


_closed: list[socket.socket] = []


def closed_url() -> str:
    """A URL where nothing listens: its port is held, to the end of the process, so that no server gets it."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    _closed.append(held)
    return f"http://127.0.0.1:{held.getsockname()[1]}"


def settings(
    urls: Sequence[str], *, policy: Policy = CALM, repeatable: bool = True, **environ: str
) -> RouterSettings:
    """Settings of a router over these targets: aws/r0 first, then azure/r1, gcp/r2, with falling weights."""
    clouds = ("aws", "azure", "gcp")
    targets = [
        {
            "cloud": clouds[number],
            "region": f"r{number}",
            "url": url,
            "weight": 3 - number,
            "repeatable": repeatable,
        }
        for number, url in enumerate(urls)
    ]
    full = {
        "SKYFLEET_CLOUD": "gcp",
        "SKYFLEET_REGION": "r2",
        "SKYFLEET_TARGETS": json.dumps(targets),
        "SKYFLEET_ROOT_KEYS": ROOTS,
        "SKYFLEET_OPEN": "1",
        "SKYFLEET_STRATEGY": "weighted",
        "SKYFLEET_API_KEY_SHA256": hashlib.sha256(API_KEY.encode()).hexdigest(),
        **environ,
    }
    return replace(router_settings(full, "b1"), policy=policy)


@dataclass
class Front:
    """A router behind a real server."""

    app: App
    client: httpx.AsyncClient
    port: int

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get("/api/status")).json()
        return found

    async def target(self, key: str) -> dict[str, Any]:
        targets = (await self.status())["targets"]
        return next(one for one in targets if f"{one['cloud']}/{one['region']}" == key)


@contextlib.asynccontextmanager
async def served(app: App | Checker | AgentMiddleware | ASGIApp) -> AsyncGenerator[int, None]:
    """Any ASGI app behind uvicorn on a free port."""
    async with serving(app, SERVER_OPTIONS) as (_, port):
        yield port


def server_of(app: App | Checker | AgentMiddleware | ASGIApp, options: Mapping[str, Any]) -> uvicorn.Server:
    """uvicorn with these options of functions/runtimes.

    Idle connections stay open: uvicorn's 5 s would reset one that a client just uses again."""
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=3600,
        **options,
    )
    return uvicorn.Server(config)


@contextlib.asynccontextmanager
async def serving(
    app: App | Checker | AgentMiddleware | ASGIApp, options: Mapping[str, Any]
) -> AsyncGenerator[tuple[uvicorn.Server, int], None]:
    """The server too. options: of uvicorn."""
    # asyncio turns Nagle's delay off only on sockets that were made as TCP by number.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = server_of(app, options)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                await asyncio.sleep(0.005)
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


@contextlib.asynccontextmanager
async def router(
    urls: Sequence[str],
    *,
    policy: Policy = CALM,
    repeatable: bool = True,
    bucket: Bucket | None = None,
    asgi: bool = False,
    **environ: str,
) -> AsyncGenerator[Front, None]:
    """A running router over these targets. asgi: its server calls it by ASGI only, as on Azure."""
    app = App(settings(urls, policy=policy, repeatable=repeatable, **environ), bucket, entropy=from_the_top())
    async with (
        served(by_asgi(app) if asgi else app) as port,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=NO_CERTIFICATES, timeout=60
        ) as client,
    ):
        yield Front(app, client, port)


def by_asgi(app: App) -> ASGIApp:
    """The router without its direct way."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return call


def from_the_top() -> Callable[[int], bytes]:
    """Entropy whose first draw is 0, which is where the turns begin: with the heaviest target."""
    first = iter([True])
    return lambda count: bytes(count) if next(first, False) else os.urandom(count)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it is so; fails after twenty seconds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)


# More rounds than a verdict needs: a question that outlasts the pause (a busy machine) takes a round.
QUICK_CHECK = Checks(probes=6, apart_s=0.1, timeout_s=2.0, cold_timeout_s=5.0)
