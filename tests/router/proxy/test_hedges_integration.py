"""Claims about hedges: a slow request is sent a second time, and the first good reply wins."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from tests.router.support import (
    QUICK,
    Front,
    Peer,
    Received,
    Script,
    alive,
    eventually,
    ok,
    router,
    swallows,
    upstream,
)

HEDGED = replace(QUICK, hedge="on", probe_after_s=1.0, probe_timeout_s=1.0, learn_s=1e-6)


async def learned(front: Front) -> int:
    """Enough good replies that a delay is known, and whole cycles of two or three targets: then it is the
    first one's turn again. Returns how many were hedged already."""
    replies = [await front.client.get("/invoke") for _ in range(30)]
    assert {reply.status_code for reply in replies} == {200}
    return sum("x-skyfleet-hedged" in reply.headers for reply in replies)


def long_after(front: Front, at_least_s: float) -> float:
    """A time (s) that is long after the learned delay of hedges, which grows on a loaded machine."""
    learned_s = front.app._context.balancer.hedge_delay_s()  # pyright: ignore[reportPrivateUsage]
    assert learned_s is not None
    return max(at_least_s, 4 * learned_s)


def slow(after_s: float) -> Script:
    async def script(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
        else:
            await asyncio.sleep(after_s)
            await peer.reply(200, b'{"output": "late"}')

    return script


async def test_a_slow_request_is_answered_by_the_hedge_and_the_slow_target_sees_its_caller_leave() -> None:
    """Well before the slow reply or a stall; no request stays active, no blame, the slowness counts."""
    left = asyncio.Event()

    async def hangs(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        await peer.until_closed()
        left.set()

    async with (
        upstream(ok) as a,
        upstream(ok) as b,
        router([a.url, b.url, b.url], policy=HEDGED) as front,
    ):
        await learned(front)
        before = await front.target("aws/r0")
        a.script = hangs
        reply = await front.client.post("/invoke", content=b"x")
        assert (reply.status_code, reply.headers["x-skyfleet-hedged"]) == (200, "true")
        assert reply.headers["x-skyfleet-attempts"] == "2"
        assert reply.headers["x-skyfleet-target"] != "aws/r0"
        await asyncio.wait_for(left.wait(), 20)
        after = await front.target("aws/r0")
        assert (after["state"], after["inflight"]) == ("healthy", 0)
        assert after["latency_ms"] > before["latency_ms"]
        assert (await front.status())["attempts"]["failed"] == 0


async def test_a_primary_that_is_faster_after_all_wins_and_the_hedge_is_closed() -> None:
    """The hedge is not blamed."""
    async with (
        upstream(ok) as a,
        upstream(ok) as b,
        router([a.url, b.url], policy=HEDGED) as front,
    ):
        await learned(front)
        a.script, b.script = slow(long_after(front, 0.4)), swallows
        reply = await front.client.post("/invoke", content=b"x")
        assert (reply.json(), reply.headers["x-skyfleet-target"]) == ({"output": "late"}, "aws/r0")
        assert reply.headers["x-skyfleet-hedged"] == "true"
        other = await front.target("azure/r1")
        assert (other["state"], other["inflight"]) == ("healthy", 0)


async def test_a_dead_target_that_always_loses_to_hedges_is_found_unresponsive() -> None:
    """Hedges answer each client long before a stall, so no client waits for the probe."""
    async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=HEDGED) as front:
        await learned(front)
        a.script = swallows
        reply = await front.client.post("/invoke", content=b"x")
        assert reply.headers["x-skyfleet-target"] == "azure/r1"
        states: list[Any] = []
        async with asyncio.timeout(20):
            while "ejected" not in states:
                states.append((await front.target("aws/r0"))["state"])
                await asyncio.sleep(0.02)
        assert states[0] == "healthy"


async def test_while_a_target_is_in_doubt_new_requests_go_elsewhere() -> None:
    """From the first hedge that was faster until it answers: no other request needs a hedge, and what must
    not be repeated does not get lost there. When no other target is left, it is tried all the same."""
    patient = replace(HEDGED, probe_timeout_s=30.0, probe_after_s=30.0)
    async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=patient) as front:
        await learned(front)
        a.script, seen = swallows, len(a.asked)
        replies = [await front.client.post("/invoke") for _ in range(12)]
        assert {reply.headers["x-skyfleet-target"] for reply in replies} == {"azure/r1"}
        assert len(a.asked) == seen + 1
        assert (await front.target("aws/r0"))["state"] == "healthy"

        async def fails(request: Received, peer: Peer) -> None:
            await peer.reply(503)

        a.script, b.script = ok, fails
        assert (await front.client.post("/invoke")).headers["x-skyfleet-target"] == "aws/r0"


async def test_what_must_not_be_repeated_is_never_hedged() -> None:
    """However slow it is."""
    async with (
        upstream(ok) as a,
        upstream(ok) as b,
        router([a.url, b.url], policy=HEDGED, repeatable=False) as front,
    ):
        await learned(front)
        seen = len(b.asked)
        a.script = slow(0.4)
        reply = await front.client.post("/invoke", content=b"x")
        assert (reply.json(), reply.headers["x-skyfleet-attempts"]) == ({"output": "late"}, "1")
        assert "x-skyfleet-hedged" not in reply.headers
        assert len(b.asked) == seen


async def test_strategies_that_promise_shares_are_not_hedged_unless_told() -> None:
    """`auto` hedges with those that learn."""
    auto = replace(HEDGED, hedge="auto")
    async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=auto) as front:
        await learned(front)
        a.script = b.script = slow(long_after(front, 0.3))
        plain = await front.client.post("/invoke", content=b"x")
        assert plain.headers["x-skyfleet-attempts"] == "1"
        wish = {"x-skyfleet-strategy": "latency"}
        learning = await front.client.post("/invoke", content=b"x", headers=wish)
        assert learning.headers["x-skyfleet-attempts"] == "2"


async def test_hedges_are_a_small_share_of_the_requests() -> None:
    """When all targets are slow, the burst is spent and then nothing but the share is added."""
    few = replace(HEDGED, hedge_burst=2.0)
    async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=few) as front:
        hedged = await learned(front)
        a.script = b.script = slow(long_after(front, 0.15))
        replies = [await front.client.post("/invoke") for _ in range(12)]
        assert {reply.status_code for reply in replies} == {200}
        hedged += sum("x-skyfleet-hedged" in reply.headers for reply in replies)
        assert 2 <= hedged <= 2 + 0.03 * 42


async def test_a_caller_that_leaves_closes_both() -> None:
    """Neither agent works on without a client."""
    left: list[str] = []

    def hangs(name: str) -> Script:
        async def script(request: Received, peer: Peer) -> None:
            if request.target == "/health":
                await alive(peer)
                return
            await peer.until_closed()
            left.append(name)

        return script

    async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=HEDGED) as front:
        await learned(front)
        a.script, b.script = hangs("a"), hangs("b")
        seen = len(b.asked)
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"GET /invoke HTTP/1.1\r\nhost: x\r\n\r\n")
        await eventually(lambda: len(b.asked) > seen)
        writer.close()
        await writer.wait_closed()
        await eventually(lambda: sorted(left) == ["a", "b"])
        for key in ("aws/r0", "azure/r1"):
            target = await front.target(key)
            assert (target["state"], target["inflight"]) == ("healthy", 0)


async def test_a_reply_that_has_begun_in_time_is_not_hedged() -> None:
    """Its head came before the delay, although its end comes long after."""

    async def begins(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n")
        await asyncio.sleep(0.4)
        await peer.send(b'{"output": "late"}')

    even = slow(0.04)
    async with upstream(even) as a, upstream(even) as b, router([a.url, b.url], policy=HEDGED) as front:
        await learned(front)
        a.script = b.script = begins
        reply = await front.client.post("/invoke", content=b"x")
        assert (reply.status_code, reply.json()) == (200, {"output": "late"})
        assert "x-skyfleet-hedged" not in reply.headers
        assert reply.headers["x-skyfleet-attempts"] == "1"
