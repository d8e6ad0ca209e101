"""Dispatch a scheduled event to an ASGI application in this process, as `POST /events`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from functions.runtimes.errors import EventFailed
from skyfleet.asgi import ASGIApp, Message


async def dispatch_event(app: ASGIApp, event: Mapping[str, object]) -> bytes:
    """Return the body of the response. Raises EventFailed if its status is not 200."""
    body = json.dumps(event).encode()
    requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    replies: list[Message] = []

    async def receive() -> Message:
        if requests:
            return requests.pop()
        return await asyncio.Future()  # this client never disconnects

    async def send(message: Message) -> None:
        replies.append(message)

    await app(_scope(body), receive, send)
    status = next((m["status"] for m in replies if m["type"] == "http.response.start"), None)
    reply = b"".join(m.get("body", b"") for m in replies if m["type"] == "http.response.body")
    if status != 200:
        raise EventFailed(f"POST /events was answered with {status}: {reply[:500].decode(errors='replace')}")
    return reply


def _scope(body: bytes) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/events",
        "raw_path": b"/events",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
    }
