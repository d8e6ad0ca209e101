"""Stand-ins for the command line's tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from infra.operations.json_access import JsonObject
from infra.operations.paths import Layout


def script(path: Path, body: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a fake server received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of a fake server. cut: close the connection after half of the body."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    cut: bool = False


Answer = Callable[[Request], Reply]


@contextmanager
def serving(answer: Answer) -> Generator[str]:
    """An HTTP server on a free port; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = answer(Request(self.command, self.path, headers, self.rfile.read(length)))
            self.send_response(reply.status)
            self.send_header("content-length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)

        do_GET = do_POST = do_PUT = do_DELETE = _do

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def json_reply(value: object, status: int = 200, **headers: str) -> Reply:
    """A JSON reply; `_` in a header name stands for `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, json.dumps(value).encode(), {"content-type": "application/json", **named})


def routers(layout: Layout, *urls: str, key: str = "", places: Sequence[JsonObject] = ()) -> None:
    """Write cached outputs with these routers."""
    outputs = {"routerUrl": urls[0], "routerUrls": list(urls), "apiKey": key, "routers": list(places)}
    changed = layout.checkpoint.stat().st_mtime_ns
    layout.outputs.write_text(json.dumps({"changed": changed, "secret": ["apiKey"], "outputs": outputs}))
