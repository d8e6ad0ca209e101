"""Claims about attempts that no client waits for any more: a client that gives up is still evidence."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from router.app import App
from router.core.balance.balancer import Balancer
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT
from router.core.request.actions import Abandoned
from router.net.pool import Pool
from router.proxy.abandoned import abandon
from router.proxy.attempt import Attempt
from router.proxy.context import Context
from router.proxy.prober import Prober
from skyfleet.contract import Strategy
from tests.router.support import (
    GROWING_MS,
    QUICK,
    Front,
    Peer,
    Received,
    alive,
    eventually,
    from_the_top,
    ok,
    router,
    served,
    settings,
    swallows,
    upstream,
)
from tests.trust import NO_CERTIFICATES

IMPATIENT = {"x-skyfleet-timeout-ms": "400"}


def noticed(front: Front) -> bool:
    """Whether a target is being asked for its health, or is out already."""
    balancer = front.app._context.balancer  # pyright: ignore[reportPrivateUsage]
    return bool(balancer.probing or balancer.out())


async def swallows_requests(request: Received, peer: Peer) -> None:
    """Its /health is fine."""
    await (alive(peer) if request.target == "/health" else peer.until_closed())


@pytest.mark.parametrize("strategy", ["weighted", "adaptive"])
async def test_a_dead_target_is_noticed_though_each_client_is_less_patient_than_the_router(
    strategy: str,
) -> None:
    """The first deadline that passes there makes the router ask; until the answer others go elsewhere."""
    async with (
        upstream(swallows) as bad,
        upstream(ok) as good,
        router([bad.url, good.url], policy=DEFAULT, repeatable=False, SKYFLEET_STRATEGY=strategy) as front,
    ):
        for deadline_ms in GROWING_MS:
            headers = {"x-skyfleet-timeout-ms": str(deadline_ms)}
            assert (await front.client.post("/invoke", headers=headers)).status_code == 504
            if noticed(front):
                break
        assert noticed(front)
        sent = len(bad.asked)
        assert {(await front.client.post("/invoke")).status_code for _ in range(19)} == {200}
        assert len(bad.asked) == sent


@pytest.mark.pure
@pytest.mark.parametrize(
    ("status", "awaited", "elapsed", "lasted", "recorded", "asked"),
    [
        (0, False, 0.04, True, [], []),
        (200, True, 0.76, True, [Outcome.CLIENT_GAVE_UP], ["a"]),
        (0, False, 0.05, True, [], ["a"]),
        (0, False, 0.75, True, [], ["a"]),
        (0, False, 0.76, True, [Outcome.CLIENT_GAVE_UP], ["a"]),
        (0, False, 0.76, False, [], ["a"]),
    ],
    ids=["too soon", "is held", "asked", "three times the delay", "later", "as expected of it"],
)
def test_what_a_client_that_gives_up_tells_of_its_target(
    status: int,
    awaited: bool,
    elapsed: float,
    lasted: bool,
    recorded: list[Outcome],
    asked: list[str],
) -> None:
    """Nothing before any reply can be there, an error only far later."""
    outcomes, probed = list[Outcome](), list[str]()
    balancer = SimpleNamespace(hedge_delay_s=lambda: 0.25)
    prober = SimpleNamespace(verify=probed.append)
    context = SimpleNamespace(balancer=balancer, prober=prober, ticks=lambda: 10.0 + elapsed)
    attempt = SimpleNamespace(key="a", started=10.0, status=status, awaited=awaited)
    attempt.censored, attempt.record, attempt.close = lambda: lasted, outcomes.append, lambda: None
    abandon(cast("Context", context), cast("Attempt", attempt), Abandoned.CLIENT_GONE)
    assert outcomes == recorded
    assert probed == asked


async def test_a_dead_target_is_noticed_though_callers_hang_up() -> None:
    """A client that hangs up counts as a deadline does."""
    async with (
        upstream(swallows) as bad,
        upstream(ok) as good,
        router([bad.url, good.url], policy=DEFAULT, repeatable=False) as front,
    ):
        for timeout_ms in GROWING_MS:
            with pytest.raises(httpx.TimeoutException):
                await front.client.post("/invoke", timeout=timeout_ms / 1000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while not noticed(front):
                        await asyncio.sleep(0.005)
            if noticed(front):
                break
        assert noticed(front)
        sent = len(bad.asked)
        assert {(await front.client.post("/invoke")).status_code for _ in range(11)} == {200}
        assert len(bad.asked) == sent


async def test_an_impatient_caller_puts_no_living_target_out() -> None:
    """It is slow for its callers alone: /health answers, no other client is worse off."""

    async def slow(request: Received, peer: Peer) -> None:
        if request.target != "/health":
            await asyncio.sleep(0.6)
        await ok(request, peer)

    async with (
        upstream(slow) as one,
        upstream(slow) as two,
        router([one.url, two.url], policy=replace(QUICK, probe_timeout_s=20.0, cold_timeout_s=20.0)) as front,
    ):
        for _ in range(10):
            reply = await front.client.post("/invoke", headers={"x-skyfleet-timeout-ms": "150"})
            assert reply.status_code == 504
        states = {target["state"] for target in (await front.status())["targets"]}
        assert not states & {"ejected", "down", "degraded"}


async def test_a_target_that_swallows_requests_behind_a_fine_health_is_derated() -> None:
    """Each passed deadline counts as an error of it, compared with the others."""
    async with (
        upstream(ok) as good,
        upstream(ok) as other,
        upstream(ok) as bad,
        router(
            [good.url, other.url, bad.url],
            policy=DEFAULT,
            repeatable=False,
            SKYFLEET_STRATEGY="round-robin",
        ) as front,
    ):
        for _ in range(60):
            assert (await front.client.post("/invoke")).status_code == 200
        bad.script = swallows_requests
        state = ""
        for _ in range(120):
            await front.client.post("/invoke", headers=IMPATIENT)
            state = (await front.target("gcp/r2"))["state"]
            if state == "degraded":
                break
        assert state == "degraded"


async def test_a_target_ejected_as_unresponsive_is_back_when_its_health_answers_after_all() -> None:
    """A cold start that took longer than the question waited: cold is not down."""
    warm = asyncio.Event()

    async def starts(request: Received, peer: Peer) -> None:
        await warm.wait()
        await ok(request, peer)

    async with (
        upstream(starts) as slow,
        upstream(ok) as good,
        router([slow.url, good.url], policy=QUICK) as front,
    ):
        for _ in range(4):
            assert (await front.client.post("/invoke")).status_code == 200
        assert (await front.target("aws/r0"))["state"] == "ejected"
        warm.set()
        async with asyncio.timeout(20):
            while (await front.target("aws/r0"))["state"] != "slow-start":
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("responds", [True, False])
@pytest.mark.parametrize("warm", [True, False])
async def test_a_response_meanwhile_counts_as_an_answer(*, responds: bool, warm: bool) -> None:
    """It is unresponsive otherwise: a warm one after `probe_timeout_s`, a cold one after `cold_timeout_s`."""
    limit_s = 1.0 if responds else 0.05  # the response must come before it
    async with upstream(swallows) as one:
        targets = settings([one.url, "http://127.0.0.1:9"]).targets
        policy = replace(QUICK, probe_timeout_s=limit_s, cold_timeout_s=30.0 if warm else limit_s)
        balancer = Balancer(targets, Strategy.WEIGHTED, policy, time.time, lambda: 0.5)
        key, pool = targets[0].key, Pool(connect_timeout_s=2)
        if warm:
            balancer.last_seen[key].checker = time.time()
        prober = Prober(pool, balancer, time.monotonic)
        prober.verify(key)
        assert balancer.avoid(time.time()) == [key]
        if responds:
            await asyncio.sleep(0.001)
            balancer.responded(key)
            assert balancer.avoid(time.time()) == []
        await eventually(lambda: not balancer.probing)
        assert balancer.out() == ([] if responds else [key])
        prober.close()
        pool.close()


async def test_a_clock_that_is_set_forth_while_a_probe_runs_drops_no_request() -> None:
    """How long it has been asked is measured by a clock that is never set."""
    ahead = 0.0

    async def slow(request: Received, peer: Peer) -> None:
        await asyncio.sleep(0.3 if request.target == "/health" else 0.8)
        await ok(request, peer)

    async with upstream(slow) as one, contextlib.AsyncExitStack() as stack:
        policy = replace(QUICK, probe_timeout_s=2.0)
        app = App(
            settings([one.url], policy=policy), clock=lambda: time.time() + ahead, entropy=from_the_top()
        )
        port = await stack.enter_async_context(served(app))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=NO_CERTIFICATES)
        )
        first = asyncio.create_task(client.post("/invoke"))
        await eventually(lambda: any(asked.target == "/health" for asked in one.received))
        ahead = 3600.0
        second = asyncio.create_task(client.post("/invoke"))
        assert [reply.status_code for reply in await asyncio.gather(first, second)] == [200, 200]
        assert len(one.asked) == 2


async def test_a_repeat_meets_the_target_where_the_first_still_runs() -> None:
    """However late that is by now, others pass it by: anywhere else the same work would begin again."""
    ran: list[int] = []

    async def works(number: int, request: Received, peer: Peer) -> None:
        if request.target != "/health":
            ran.append(number)
            await peer.until_closed()
        await alive(peer)

    async with (
        upstream(partial(works, 0)) as one,
        upstream(partial(works, 1)) as other,
        router([one.url, other.url], policy=QUICK, repeatable=False, SKYFLEET_STRATEGY="adaptive") as front,
    ):
        for number in range(4):
            ran.clear()
            headers = {"idempotency-key": f"key-{number}"}
            first = asyncio.create_task(front.client.post("/invoke", headers=headers, timeout=20))
            await eventually(lambda: bool(ran))
            await asyncio.sleep(2 * QUICK.probe_after_s)
            for repeat in range(2):
                for deadline_ms in GROWING_MS:
                    headers["x-skyfleet-timeout-ms"] = str(deadline_ms)
                    assert (await front.client.post("/invoke", headers=headers)).status_code == 504
                    if len(ran) > repeat + 1:
                        break
            first.cancel()
            assert len(ran) == 3
            assert len(set(ran)) == 1
