"""A router on the server of its AWS form, in a thread, in front of an upstream that records bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.http.wire import Recorder, recording
from functions.runtimes.server.options import SERVER_OPTIONS, WEBSOCKET_OPTIONS
from router.app import App
from skyfleet.asgi import ASGIApp
from tests.functions.support import until
from tests.router.support import server_of, settings


@dataclass(frozen=True, slots=True)
class Setup:
    """A running router. port: its own."""

    port: int
    upstream: Recorder
    app: App


@contextlib.contextmanager
def serving(app: ASGIApp | App, options: Mapping[str, Any]) -> Generator[int]:
    """The server with these options of functions/runtimes on a free port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = server_of(app, options)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: server.started, "the server")
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@contextlib.contextmanager
def running(
    targets: int = 1,
    *,
    keyed: bool = False,
    hosts: Sequence[str] = ("127.0.0.1",),
    websockets: bool = False,
) -> Generator[Setup]:
    """A router whose targets are one upstream; requests may be repeated.

    targets: for each name of `hosts`. keyed: it wants its API key. websockets: as on Google."""
    with recording() as upstream:
        urls = [f"http://{host}:{upstream.port}" for host in hosts] * targets
        app = App(settings(urls, SKYFLEET_OPEN="0" if keyed else "1"))
        with serving(app, WEBSOCKET_OPTIONS if websockets else SERVER_OPTIONS) as port:
            yield Setup(port, upstream, app)
