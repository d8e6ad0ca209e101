"""A client of ASGI applications in this process: one request in, the reply with the moment of each chunk out.

No network and no server: an application that is awaited here runs in the test's own event loop.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Reply:
    """status 0: no reply. chunks: (seconds since the request, bytes). complete: the end was announced."""

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: tuple[tuple[float, bytes], ...]
    complete: bool = True

    @property
    def body(self) -> bytes:
        return b"".join(chunk for _, chunk in self.chunks)

    @property
    def json(self) -> Any:  # noqa: ANN401 - what the reply says
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(slots=True)
class Caller:
    """The far end of one request: gives the body in pieces, notes what comes back, hangs up when told."""

    pieces: list[bytes]
    hang_up: asyncio.Event = field(default_factory=asyncio.Event)
    began: float = field(default_factory=time.monotonic)
    messages: list[Message] = field(default_factory=list[Message])
    moments: list[float] = field(default_factory=list[float])

    async def receive(self) -> Message:
        if self.pieces:
            body = self.pieces.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self.pieces)}
        await self.hang_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        self.moments.append(time.monotonic() - self.began)

    def reply(self) -> Reply:
        start = next((m for m in self.messages if m["type"] == "http.response.start"), None)
        bodies = [
            (moment, message)
            for moment, message in zip(self.moments, self.messages, strict=True)
            if message["type"] == "http.response.body"
        ]
        headers = [] if start is None else [(k.decode(), v.decode("latin-1")) for k, v in start["headers"]]
        return Reply(
            status=0 if start is None else start["status"],
            headers=tuple(headers),
            chunks=tuple((moment, bytes(m.get("body", b""))) for moment, m in bodies if m.get("body")),
            complete=bool(bodies) and not bodies[-1][1].get("more_body", False),
        )


def scope(method: str, path: str, query: bytes = b"", headers: Headers = ()) -> Message:
    """path: percent-decoded. query: raw, without "?"."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


async def call(
    app: App,
    method: str,
    path: str,
    *,
    query: bytes = b"",
    headers: Headers = (),
    body: bytes | list[bytes] = b"",
) -> Reply:
    """One request; a list is a body that comes in chunks."""
    caller = Caller([body] if isinstance(body, bytes) else list(body))
    await app(scope(method, path, query, headers), caller.receive, caller.send)
    return caller.reply()
