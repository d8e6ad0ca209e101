"""A process that serves one application on one port, until SIGTERM: what AWS Lambda runs.

Rules
- The application's startup ends before the port opens; its shutdown begins when no request runs any more.
- SIGTERM ends it as `functions.runtimes.draining` says.
- No timer runs while nothing happens, so a sandbox that thaws begins with its request.

uvicorn did this with 25 ms of each cold start and 5 MB of memory for its command line, its reloader and its
logging, and noticed a signal after up to 100 ms of the 300 ms that Lambda gives
(docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from functions.runtimes import draining
from functions.runtimes.errors import PortUnusable
from functions.runtimes.server.connection import HttpConnection
from skyfleet.asgi import ASGIApp, Header, Message

_BACKLOG: Final = 2048


class Settings:
    """What a connection asks its server, as of uvicorn's Config."""

    loaded = True
    ssl = None
    ws_protocol_class = None

    def __init__(self, app: ASGIApp, keep_alive_s: float) -> None:
        self.loaded_app, self.timeout_keep_alive = app, keep_alive_s

    def load(self) -> None:
        """Nothing is to be loaded."""


class Members(set[Any]):
    """A set that tells when it becomes empty."""

    def __init__(self) -> None:
        super().__init__()
        self.empty = asyncio.Event()
        self.empty.set()

    def add(self, one: object, /) -> None:
        """It is not empty from now on."""
        super().add(one)
        self.empty.clear()

    def discard(self, one: object, /) -> None:
        """It may be empty now."""
        super().discard(one)
        if not self:
            self.empty.set()


class State:
    """What the connections of a server share, as uvicorn's ServerState. clock: unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.connections = Members()
        self.tasks = Members()
        self.total_requests = 0
        self._clock = clock
        self._second = 0
        self._fields: list[Header] = []

    @property
    def default_headers(self) -> list[Header]:
        """The `date` field of this second (RFC 9110, section 6.6.1)."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            text = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second))
            self._fields = [(b"date", text.encode())]
        return self._fields


class LambdaConnection(HttpConnection):
    """The connection of Lambda's adapter. A function URL takes one value of each field, cookies apart
    (github.com/aws/aws-lambda-rust-runtime/pull/692); the adapter would write the others as a list."""

    joins_fields = True


class HostLifespan:
    """The lifespan protocol of an application. One that ends or fails at startup does not speak it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def event(self, kind: str) -> None:
        """Tell of the event and wait until the application has taken it."""
        if self._task is None:
            scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
            self._task = asyncio.get_running_loop().create_task(self._run(scope))
        if not self._task.done():
            self._answered.clear()
            self._events.put_nowait({"type": f"lifespan.{kind}"})
            await self._answered.wait()

    async def _run(self, scope: dict[str, Any]) -> None:
        try:
            await self._app(scope, self._events.get, self._send)
        except Exception:  # noqa: S110 - the protocol's own way to say that it is not supported
            pass
        finally:
            self._answered.set()

    async def _send(self, _message: Message) -> None:
        self._answered.set()


def run(app: ASGIApp, port: int, *, keep_alive_s: float) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT. keep_alive_s: for which an idle connection stays open.

    Raises PortUnusable."""
    asyncio.run(_serve(app, port, keep_alive_s))


async def _serve(app: ASGIApp, port: int, keep_alive_s: float) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        # At once, and not after the requests that came in the same turn of the loop.
        draining.draining(app).drain()
        loop.call_soon_threadsafe(ended.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    lifespan, state, settings = HostLifespan(app), State(time.time), Settings(app, keep_alive_s)
    await lifespan.event("startup")
    try:
        server = await loop.create_server(
            lambda: LambdaConnection(settings, state, {}, loop), "127.0.0.1", port, backlog=_BACKLOG
        )
    except OSError as error:
        raise PortUnusable(port, error.strerror or str(error)) from None
    await ended.wait()
    await _drain(app, server, state)
    await lifespan.event("shutdown")


async def _drain(app: ASGIApp, server: asyncio.Server, state: State) -> None:
    """Finish what runs, within the time that there is."""
    server.close()
    for connection in list(state.connections):
        connection.shutdown()
    timer = asyncio.get_running_loop().call_later(draining.EXPIRE_S, draining.draining(app).expire)
    try:
        async with asyncio.timeout(draining.REQUESTS_S):
            await state.connections.empty.wait()
            await state.tasks.empty.wait()
    except TimeoutError:
        for task in list(state.tasks):
            task.cancel()
    finally:
        timer.cancel()
