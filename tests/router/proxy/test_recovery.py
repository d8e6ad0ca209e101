"""Claims about how soon a router notices that a target is back, on real connections."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import count

from router.core.balance.balancer import Balancer
from router.core.health.machine import Health
from router.core.policy import DEFAULT
from tests.router.proxy.support import away
from tests.router.support import Front, Peer, Received, eventually, ok, router, upstream

# Each request has a key of its own, since requests with one key meet at one target.
KEYS = count()
# A request that waits for a silent target asks its /health soon; ejections last as long as in production.
BRISK = replace(DEFAULT, probe_after_s=0.1, probe_timeout_s=0.2, connect_timeout_s=1.0, queue_timeout_s=0.0)


def balancer(front: Front) -> Balancer:
    return front.app._context.balancer  # pyright: ignore[reportPrivateUsage]


def health(front: Front) -> Health:
    return balancer(front).settled().health["aws/r0"]


async def call(front: Front) -> None:
    assert (
        await front.client.post("/invoke", headers={"idempotency-key": f"{next(KEYS)}"})
    ).status_code == 200


async def test_a_target_that_refused_serves_again_long_before_its_ejection_ends() -> None:
    """Its own checks tell the router, while requests go elsewhere; no checker runs here."""
    async with (
        away(1) as (gone,),
        upstream(ok) as other,
        router([gone.one.url, other.url], policy=BRISK) as front,
    ):
        while health(front).status != "ejected":
            await call(front)
        await gone.returns()
        began = time.monotonic()
        while health(front).status == "ejected":
            await call(front)
            await asyncio.sleep(0.01)
        assert health(front).status == "slow-start"
        assert time.monotonic() - began < DEFAULT.ejection_s / 2
        assert health(front).ejections == 1


async def test_a_black_hole_under_load_is_one_ejection() -> None:
    """Its active requests fail one after another, before and after its end."""
    hole = asyncio.Event()

    async def swallows(request: Received, peer: Peer) -> None:
        if hole.is_set():
            await peer.until_closed()
        else:
            await ok(request, peer)

    async with (
        upstream(swallows) as one,
        upstream(ok) as other,
        router([one.url, other.url], policy=BRISK) as front,
    ):
        running: list[asyncio.Task[None]] = []

        async def load(seconds: float) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                running.append(asyncio.create_task(call(front)))
                await asyncio.sleep(0.02)

        await load(0.4)
        hole.set()
        await load(1.2)
        assert health(front).status == "ejected"
        hole.clear()
        async with asyncio.timeout(DEFAULT.ejection_s / 2):
            while health(front).status == "ejected":
                await load(0.1)
        await load(0.6)
        await asyncio.gather(*running)
        assert (health(front).status, health(front).ejections) == ("slow-start", 1)


async def test_an_instance_without_requests_sends_no_checks() -> None:
    """After those of its last request."""
    async with (
        away(1) as (gone,),
        upstream(ok) as other,
        router([gone.one.url, other.url], policy=BRISK) as front,
    ):
        while health(front).status != "ejected":
            await call(front)
        await asyncio.sleep(0.6)
        await gone.returns()
        await asyncio.sleep(0.6)
        assert health(front).status == "ejected"
        assert not gone.one.received
        await call(front)
        await eventually(lambda: health(front).status == "slow-start")
