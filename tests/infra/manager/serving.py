"""A manager over fakes on a socket, in a thread of the test."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from infra.manager.server import Protocol, Server, config, listening
from tests.infra.manager.fakes import Setup

Result = TypeVar("Result")


@dataclass(slots=True)
class Running:
    """A manager that serves. in_loop: runs a function in its event loop."""

    setup: Setup
    url: str
    server: Server
    loop: asyncio.AbstractEventLoop

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        """A connection to it. receive_buffer: bytes that this end takes without being read."""
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.settimeout(20)
        made.connect(self.address)
        return made

    def in_loop(self, call: Callable[[], Result]) -> Result:
        """What a function returns that runs where the fakes live."""

        async def run() -> Result:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)


@contextmanager
def running(folder: Path, setup: Setup, protocol: type[Protocol] = Protocol) -> Generator[Running]:
    """A manager at a free port; it stops at the end."""
    ready: threading.Event = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    def on_ready() -> None:
        loops.append(asyncio.get_running_loop())
        ready.set()

    with listening(folder / "port", 0) as listener:
        made = config(setup.app)
        made.http = protocol
        server = Server(made, on_ready, setup.listeners.stopping.set)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            assert ready.wait(20), "the server did not start"
            host, port = listener.getsockname()
            yield Running(setup, f"http://{host}:{port}", server, loops[0])
        finally:
            server.should_exit = True
            thread.join(20)


def wait_until(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
