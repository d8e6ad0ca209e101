"""Claims about how soon a router notices that a target is back, on real connections."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import count

from router.core.balance.balancer import Balancer
from router.core.health.machine import Health
from router.core.health.slowness import Slowness
from router.core.policy import DEFAULT
from tests.router.proxy.support import away
from tests.router.support import Front, Peer, Received, eventually, ok, router, upstream

# Each request has a key of its own, since requests with one key meet at one target.
KEYS = count()
# A request that waits for a silent target asks its /health soon. Ejections and slow starts outlast each test.
BRISK = replace(
    DEFAULT,
    probe_after_s=0.1,
    probe_timeout_s=0.2,
    connect_timeout_s=1.0,
    queue_timeout_s=0.0,
    ejection_s=300.0,
    slow_start_s=300.0,
)


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
        async with asyncio.timeout(60):
            while health(front).status == "ejected":
                await call(front)
                await asyncio.sleep(0.01)
        assert (health(front).status, health(front).ejections) == ("slow-start", 1)


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
        async with asyncio.timeout(60):
            while health(front).status != "ejected":
                await load(0.1)
            await load(0.6)
            hole.clear()
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
        prober = front.app._context.prober  # pyright: ignore[reportPrivateUsage]
        await eventually(lambda: prober._requests == balancer(front).requests and not prober._tasks)  # pyright: ignore
        await gone.returns()
        await asyncio.sleep(0.6)
        assert health(front).status == "ejected"
        assert not gone.one.received
        await call(front)
        await eventually(lambda: health(front).status == "slow-start")


class SlowHealth:
    """A script whose /health waits for `open`; without patience it breaks off instead."""

    def __init__(self) -> None:
        self.open, self.breaks = asyncio.Event(), False
        self.waiting = self.most = 0

    async def __call__(self, request: Received, peer: Peer) -> None:
        if request.target == "/health" and not self.open.is_set():
            if self.breaks:
                peer.reset()
                return
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            await asyncio.wait([asyncio.create_task(self.open.wait())], timeout=0.2)
            self.waiting -= 1
        await ok(request, peer)


async def test_health_checks_show_that_a_slow_target_is_fast_again() -> None:
    """They run beside each other, few at a time, and keep no request away from the target. A broken one only
    makes room for the next."""
    script = SlowHealth()
    async with upstream(script) as one, router([one.url]) as front:
        known, prober = balancer(front), front.app._context.prober  # pyright: ignore[reportPrivateUsage]
        await call(front)
        known.slow["aws/r0"] = Slowness(known.clock())
        script.breaks = True
        prober.watch()
        for _ in range(8):
            checks = len(one.received)
            known.request_began()
            await eventually(lambda before=checks: len(one.received) > before)
        assert known.slow["aws/r0"].checks == 0
        script.breaks = False
        while known.slow["aws/r0"].checks < 4:
            known.request_began()
            assert not known.probing
            await asyncio.sleep(0.01)
        assert 2 <= script.most <= 5
        assert known.slow["aws/r0"].least_ms >= 190
        script.open.set()
        while known.slow:
            known.request_began()
            await asyncio.sleep(0.01)


async def test_requests_begin_the_checks_of_a_slow_target() -> None:
    """No attempt has failed there that would begin them."""
    async with upstream(ok) as one, upstream(ok) as other, router([one.url, other.url]) as front:
        await call(front)
        balancer(front).slow["aws/r0"] = Slowness(balancer(front).clock())
        while not any(request.target == "/health" for request in one.received):
            await call(front)
