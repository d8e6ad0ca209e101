"""The lower bound: an ASGI application that only proxies, on this router's own server and upstream client.

It picks the next target in turn and passes bytes on: no key, no signature, no health, no retry, no deadline.
What the router takes beyond this is the price of everything that it decides.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence

from router.core.targets import parse_targets
from router.net.errors import TransportError
from router.net.fields import downstream, request_head, upstream
from router.net.pool import Pool
from skyfleet.asgi import ASGIApp, Header, Message, Receive, Send
from skyfleet.http1.head import ResponseHead
from skyfleet.origin import Origin


def create(environ: Mapping[str, str]) -> ASGIApp:
    """The application for SKYFLEET_APP."""
    targets, _ = parse_targets(json.loads(environ["SKYFLEET_TARGETS"]))
    pool = Pool(connect_timeout_s=5.0)
    turns = itertools.cycle([target.origin for target in targets])

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _serve(pool, next(turns), scope, receive, send)

    return app


class _Reply:
    """A sink that wakes its request for each thing that comes."""

    def __init__(self) -> None:
        self.status, self.headers = 0, list[Header]()
        self.parts: list[bytes] = []
        self.ended = False
        self.failed = ""
        self._wake: asyncio.Future[None] | None = None

    def on_informational(self, status: int, headers: list[Header]) -> None: ...

    def on_whole(self, head: ResponseHead, data: bytes) -> None:
        self.status, self.headers = head.status, head.fields
        self.parts.append(data)
        self.ended = True
        self._notify()

    def on_head(self, head: ResponseHead) -> None:
        self.status, self.headers = head.status, head.fields
        self._notify()

    def on_data(self, data: bytes) -> None:
        self.parts.append(data)
        self._notify()

    def on_end(self, trailers: Sequence[Header]) -> None:
        self.ended = True
        self._notify()

    def on_failure(self, error: TransportError, why: str) -> None:
        self.failed = why
        self._notify()

    async def more(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake

    def _notify(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.set_result(None)


async def _serve(pool: Pool, origin: Origin, scope: Message, receive: Receive, send: Send) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    reply = _Reply()
    headers = upstream(scope["headers"], frozenset())
    head = request_head(scope["method"], scope["raw_path"], origin, headers, len(body))
    call = pool.send(origin, head + body, reply)
    try:
        while not reply.status:
            await reply.more()
            if reply.failed:
                raise RuntimeError(reply.failed)
        out = downstream(reply.headers, reply.status)
        await send({"type": "http.response.start", "status": reply.status, "headers": out})
        while True:
            ended, parts, reply.parts = reply.ended, reply.parts, []
            if parts or ended:
                await send({"type": "http.response.body", "body": b"".join(parts), "more_body": not ended})
            if ended:
                return
            if not reply.parts and not reply.ended and not reply.failed:
                await reply.more()
            if reply.failed:
                raise RuntimeError(reply.failed)
    finally:
        call.cancel()
