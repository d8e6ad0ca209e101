"""An application that a test ends with SIGTERM: it says what it is told. Its stream ends with a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from skyfleet.asgi import Receive, Scope, Send, lifespan, read_body, send_json


class App:
    """The application. gate: the file."""

    def __init__(self, gate: Path) -> None:
        self._gate, self._draining = gate, False

    def drain(self) -> None:
        self._draining = True

    def expire(self) -> None:
        sys.stderr.write("expired\n")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            sys.stderr.write("shut down\n")
            return
        await read_body(None, receive)
        if self._draining:
            await send_json(send, 503, b"{}", [(b"connection", b"close")])
        elif scope["path"] == "/health":
            await send_json(send, 200, b"{}")
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
            while not self._gate.exists():
                await asyncio.sleep(0.01)
            await send({"type": "http.response.body", "body": b"ended"})


def create(environ: Mapping[str, str]) -> App:
    """For SKYFLEET_APP."""
    return App(Path(environ["GATE"]))
