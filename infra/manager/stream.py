"""Server-sent events of the API: numbered, with heartbeats, to a bounded number of listeners.

https://html.spec.whatwg.org/multipage/server-sent-events.html: a client that reconnects sends the last id as
Last-Event-ID, and 204 tells it to stop.

Rules
- A listener that does not read holds one event and the server's write buffer; the server aborts its
  connection (server.py, `Protocol`). There is no queue for each listener.
- A HEAD has the headers and no stream.
- When the manager stops, the streams end, so that it need not wait for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from infra.manager.errors import TooMany

# Proxies and load balancers cut streams that are silent for 30 s and more.
HEARTBEAT_S: Final = 10.0
MOST_LISTENERS: Final = 50
HEARTBEAT: Final = b": heartbeat\n\n"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event. data: JSON. id: 0 for none."""

    name: str
    data: object
    id: int = 0

    def encode(self) -> bytes:
        """The event as it is sent; JSON has no line breaks."""
        number = f"id: {self.id}\n" if self.id else ""
        return f"{number}event: {self.name}\ndata: {json.dumps(self.data)}\n\n".encode()


@dataclass(slots=True)
class Listeners:
    """The open streams. stopping: set when the manager stops."""

    most: int = MOST_LISTENERS
    heartbeat_s: float = HEARTBEAT_S
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    open: int = 0

    def response(self, events: AsyncIterator[ServerEvent]) -> StreamingResponse:
        """A reply that sends `events`. Raises TooMany when there are as many listeners as there may be."""
        if self.open >= self.most:
            raise TooMany(
                f"{self.open} listeners have a stream of events, and the manager serves {self.most}. Close "
                "one, or ask for the job itself.",
                retry_after=10,
            )
        self.open += 1
        return _Stream(self, self._encoded(events))

    async def _encoded(self, events: AsyncIterator[ServerEvent]) -> AsyncGenerator[bytes]:
        stop = asyncio.create_task(self.stopping.wait())
        following = asyncio.ensure_future(anext(events, None))
        try:
            yield HEARTBEAT  # the client knows at once that it is connected
            while True:
                await asyncio.wait(
                    {following, stop}, timeout=self.heartbeat_s, return_when=asyncio.FIRST_COMPLETED
                )
                if stop.done():
                    return
                if not following.done():
                    yield HEARTBEAT
                    continue
                event = following.result()
                if event is None:
                    return
                yield event.encode()
                following = asyncio.ensure_future(anext(events, None))
        finally:
            stop.cancel()
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await following


class _Stream(StreamingResponse):
    """Counts its listener until the reply has ended, in whatever way."""

    def __init__(self, listeners: Listeners, content: AsyncGenerator[bytes]) -> None:
        super().__init__(
            content,
            media_type="text/event-stream",
            headers={"cache-control": "no-store, no-transform", "x-accel-buffering": "no"},
        )
        self._listeners, self._content = listeners, content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] == "HEAD":
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await send({"type": "http.response.body"})
                return
            await super().__call__(scope, receive, send)
        finally:
            self._listeners.open -= 1
            await self._content.aclose()
