"""Claims about a router instance that ends: it refuses what is new, and what runs never looks complete."""

from __future__ import annotations

import asyncio
import json

from tests.router.proxy.support import CHUNKED, EVENTS, chunk
from tests.router.support import Peer, Received, alive, ok, router, upstream


async def test_from_sigterm_on_requests_are_refused_and_health_is_unready() -> None:
    """In a way that clients repeat at another instance or router; no agent is asked."""
    async with upstream(ok) as up, router([up.url]) as front:
        front.app.drain()
        health = await front.client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "draining")
        refused = await front.client.post("/invoke")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert (refused.headers["x-should-retry"], refused.headers["retry-after"]) == ("true", "1")
        assert health.headers["connection"] == refused.headers["connection"] == "close"
        assert up.asked == []


async def test_what_outlives_its_router_never_looks_complete() -> None:
    """A stream ends in an error event; a request without a reply in an error that says what may be done."""
    begun = asyncio.Event()

    async def slow(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        if request.target == "/stream":
            await peer.send(CHUNKED % EVENTS + chunk(b"data: one\n\n"))
        begun.set()
        await peer.until_closed()

    async with upstream(slow) as up, router([up.url], repeatable=False) as front:
        waiting = asyncio.create_task(front.client.post("/invoke"))
        await begun.wait()
        async with front.client.stream("POST", "/stream") as reply:
            parts = reply.aiter_raw()
            assert await anext(parts) == b"data: one\n\n"
            front.app.drain()
            front.app.expire()
            rest = b"".join([part async for part in parts])
        assert rest.startswith(b"event: error\ndata: ")
        assert json.loads(rest.partition(b"data: ")[2])["error"]["code"] == "draining"
        failed = await waiting
        assert (failed.status_code, failed.json()["error"]["code"]) == (503, "draining")
        assert failed.headers["x-should-retry"] == "false"
        assert "may have run" in failed.json()["error"]["message"]
