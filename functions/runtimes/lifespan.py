"""The host's side of the lifespan protocol, for a host that does not speak it.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
Our applications answer each event with `complete` (functions/execution/lifespan.py, skyfleet/asgi.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from skyfleet.asgi import ASGIApp, Message


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncGenerator[None]:
    """Send startup to the application before the block, and shutdown after it."""
    events: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    scope: Message = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.create_task(_whole(app, scope, events, answers))
    events.put_nowait({"type": "lifespan.startup"})
    await answers.get()
    try:
        yield
    finally:
        events.put_nowait({"type": "lifespan.shutdown"})
        await task


async def _whole(
    app: ASGIApp, scope: Message, events: asyncio.Queue[Message], answers: asyncio.Queue[Message]
) -> None:
    try:
        await app(scope, events.get, answers.put)
    finally:
        answers.put_nowait({"type": "ended"})  # startup does not wait for an application that has failed
