"""The manager's process: one uvicorn server on loopback.

Rules
- One manager for each stack: a lock of its folder is held as long as the process lives.
- The port of the last run is taken again if it is free, so that an open page finds a restarted manager.
- At SIGTERM and SIGINT the streams end, requests get a few seconds, and a running job goes on by itself.
- Beyond MOST_CONNECTIONS the connection that has been idle longest is aborted, as nginx does it: its client
  has no request in progress, and connects again. If all are busy, a request gets 503 as a problem document;
  uvicorn's own limit answers in plain text.
- A client that does not read has its connection aborted; uvicorn would wait for it for ever. A client that
  does not send a head in time, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, cast

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from infra.manager import problem
from infra.manager.errors import Unavailable
from infra.operations.errors import CommandFailed
from infra.operations.manager import process
from infra.operations.paths import Layout
from infra.setup.file_lock import exclusive

HOST: Final = "127.0.0.1"
# A page that is open gets an event every few seconds, so a reader that is alive takes them.
UNREAD_S: Final = 15.0
HEAD_S: Final = 15.0
# What the kernel holds for a client that does not read.
SEND_BUFFER: Final = 64 * 1024
GRACE_S: Final = 3
MOST_CONNECTIONS: Final = 400
# Most requests end within it; streams have limits of their own, far below MOST_CONNECTIONS.
BUSY_S: Final = 5


@dataclass(slots=True)
class Crowd:
    """The connections of a server that have no request in progress, the one that is idle longest first.

    leaving: how many others have been aborted and are not lost yet.
    """

    idle: dict[Protocol, None] = field(default_factory=dict["Protocol", None])
    leaving: int = 0


class Settings(Config):
    """uvicorn's settings, which all connections of a server have in common."""

    crowd: Crowd


class Protocol(H11Protocol):
    """A connection that is aborted when its client neither reads nor sends, or when another needs its place.

    The latter is nginx's rule for connections without a request in progress: src/core/ngx_connection.c,
    ngx_drain_connections, of release 1.31.4.
    """

    unread_s = UNREAD_S
    head_s = HEAD_S
    most = MOST_CONNECTIONS

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._served = cast("ASGIApp", self.app)
        self.app = cast("Any", self._bounded)
        self._unread: asyncio.TimerHandle | None = None
        self._head: asyncio.TimerHandle | None = None
        self._crowd = cast("Settings", config).crowd
        self._is_leaving = False

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or answer 503 when there are more connections than may be."""
        count = self._count()
        if count <= self.most:
            await self._served(scope, receive, send)
            return
        busy = Unavailable(
            f"The manager has {count} connections with a request in progress and serves {self.most}.",
            retry_after=BUSY_S,
        )
        reply = problem.response(busy, {"connection": "close"})
        await reply(scope, receive, problem.with_headers(send))

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._head = self.loop.call_later(self.head_s, transport.abort)
        if self._count() > self.most and self._crowd.idle:
            next(iter(self._crowd.idle))._make_way()
        self._crowd.idle[self] = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is not None and not cycle.response_complete:
            self._end_head()
            self._crowd.idle.pop(self, None)
        elif self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(self.head_s, self.transport.abort)

    def on_response_complete(self) -> None:
        self._end_head()
        super().on_response_complete()
        is_idle = self.cycle.response_complete  # else the next request had arrived already
        if is_idle and self in self.connections and not self._is_leaving:
            self._crowd.idle[self] = None

    def _count(self) -> int:
        """The connections, without those that have made way and end in the next turn of the event loop."""
        return len(self.connections) - self._crowd.leaving

    def _make_way(self) -> None:
        """End this connection in favour of a newer one."""
        self._is_leaving = True
        self._crowd.leaving += 1
        del self._crowd.idle[self]
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP/1.1 with a problem document, as everything else."""
        detail = f"{msg} A request is read as RFC 9112 has it."
        body = problem.body(400, "Bad request", detail)
        fields = {**problem.HEADERS, "content-type": problem.MEDIA_TYPE, "content-length": str(len(body))}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        head = h11.Response(
            status_code=400, headers=[*headers, (b"connection", b"close")], reason=b"Bad Request"
        )
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        self._end_unread()
        self._crowd.idle.pop(self, None)
        self._crowd.leaving -= self._is_leaving
        super().connection_lost(exc)

    def _end_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _end_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


class Server(uvicorn.Server):
    """uvicorn's server, which says when it answers and when it is to stop.

    on_ready, on_stop: called in the event loop.
    """

    def __init__(self, config: Config, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready, self._on_stop = on_ready, on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; at once at a second Ctrl-C. uvicorn would send itself the signal again in the end."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


@dataclass(frozen=True, slots=True)
class Service:
    """What is served. stopping: called when the server is to stop."""

    app: ASGIApp
    stopping: Callable[[], None]


def config(app: ASGIApp) -> Settings:
    """uvicorn's settings."""
    made = Settings(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    made.crowd = Crowd()
    return made


def serve(layout: Layout, stack: str, port: int | None, build: Callable[[], Service]) -> None:
    """Serve until a signal. port: None takes that of the last run, or any. Raises CommandFailed.

    build: called when this process is the stack's only manager.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with single(layout, stack), listening(layout.manager(stack) / "port", port) as listener:
        service = build()
        url = f"http://{HOST}:{listener.getsockname()[1]}"

        def ready() -> None:
            pid = os.getpid()
            ticks = process.start_ticks(pid) or 0
            code = process.code_identity(layout.root)
            process.write(layout, stack, process.ManagerInfo(url, pid, time.time(), ticks, code))
            logging.getLogger("skyfleet.manager").info("the manager of %s answers at %s", stack, url)

        server = Server(config(service.app), ready, service.stopping)
        try:
            server.run(sockets=[listener])
        finally:
            layout.manager_file(stack).unlink(missing_ok=True)
        if not server.started:
            raise CommandFailed("the manager did not start; the lines above say why")


@contextmanager
def single(layout: Layout, stack: str) -> Generator[None]:
    """Hold the lock of the stack's manager. Raises CommandFailed when another process holds it."""

    def refuse() -> None:
        info = process.running(layout, stack)
        where = f" at {info.url} (pid {info.pid})" if info else ""
        raise CommandFailed(f"the manager of {stack} runs already{where}")

    folder = layout.manager(stack)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = folder / "running"
    lock.touch(0o600)
    with exclusive(lock, refuse):
        yield


@contextmanager
def listening(memory: Path, port: int | None) -> Generator[socket.socket]:
    """A listening socket on loopback. memory: the file with the last port. Raises CommandFailed."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        try:
            if port is not None:
                listener.bind((HOST, port))
            else:
                _bind_again(listener, _last_port(memory))
            listener.listen(128)
        except OSError as error:
            raise CommandFailed(
                f"port {port} cannot be used: {error.strerror}. Choose another --port."
            ) from None
        with contextlib.suppress(OSError):
            memory.write_text(f"{listener.getsockname()[1]}\n")
        yield listener


def _bind_again(listener: socket.socket, port: int) -> None:
    """Bind to the port of the last run, or to a free one when another program has it now."""
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.bind((HOST, 0))


def _last_port(memory: Path) -> int:
    try:
        text = memory.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(text) if text.isascii() and text.isdigit() and 1024 <= int(text) <= 65535 else 0
