"""The manager's application with a scripted fleet, served to a real browser behind its gate."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import uvicorn

from infra.manager.access.audit import AuditLog
from infra.manager.access.audited import AuditedFleet, AuditedJobs
from infra.manager.access.gate import Access
from infra.manager.access.tokens import TokenStore
from infra.manager.app import Parts, create_app
from infra.manager.page.routes import looks, routes
from infra.manager.stream import Listeners
from tests.functions.support import free_socket, until
from tests.infra.manager.page.fakes import NOW, ScriptedFleet, ScriptedJobs

T = TypeVar("T")


class Site:
    """The page on a port that stays the same when it is stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.fleet, self.jobs = ScriptedFleet(), ScriptedJobs()
        self.tokens = TokenStore(folder / "tokens.json")
        self.access = Access(self.tokens, AuditLog(folder / "audit.jsonl"), is_local=True)
        self._socket: socket.socket | None = free_socket()
        self._address: tuple[str, int] = self._socket.getsockname()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return f"http://{self._address[0]}:{self._address[1]}/"

    def start(self) -> None:
        """Serve, and return when the first request would be answered."""
        fleet, jobs = AuditedFleet(self.fleet), AuditedJobs(self.jobs)
        page = routes(fleet, jobs, stack="local", wall=lambda: NOW)
        app = create_app(Parts("local", fleet, jobs, self.access, Listeners(), page, looks()))
        config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none")
        server = self._server = uvicorn.Server(config)
        bound = self._socket or _bound(self._address)
        self._socket = None

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await server.serve(sockets=[bound])

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()))
        self._thread.start()
        until(lambda: server.started, "the page's server")

    def stop(self) -> None:
        """End all connections, as a manager does that is killed."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join()
            self._server = None

    def do(self, call: Callable[[], T]) -> T:
        """Carry out `call` on the server's event loop."""
        assert self._loop is not None

        async def on_loop() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(10)


@contextlib.contextmanager
def serving(folder: Path) -> Generator[Site]:
    """A site that is stopped in the end. folder: of its tokens and its audit log."""
    site = Site(folder)
    site.start()
    try:
        yield site
    finally:
        site.stop()


def _bound(address: tuple[str, int]) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(address)
    return made
