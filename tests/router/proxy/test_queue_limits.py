"""Claims about requests that no target could serve: which target is waited for, and how long."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest

from tests.router.proxy.support import PATIENT, away, breaks
from tests.router.support import CALM, Peer, Received, alive, eventually, ok, router, swallows, upstream


async def test_no_request_waits_for_a_target_to_which_nothing_can_be_sent() -> None:
    """The purse is empty, so the untried target is no hope; the hold would last a minute."""
    policy = replace(
        PATIENT, extra_usd_per_hour=0.0, queue_timeout_s=60.0, queue_pause_s=0.1, probe_fresh_s=0.3
    )
    async with (
        upstream(breaks) as bad,
        upstream(ok) as good,
        router([bad.url, good.url], policy=policy) as front,
    ):
        reply = await asyncio.wait_for(front.client.get("/invoke"), 20)
        assert (reply.status_code, len(good.asked)) == (503, 0)


async def test_a_request_that_met_a_silent_target_and_one_that_is_away_waits_for_the_other() -> None:
    """What was silent may be running there, but a repeat does no harm."""
    async with (
        upstream(swallows) as hole,
        away(1) as gone,
        router([hole.url, gone[0].one.url], policy=PATIENT) as front,
    ):
        call = asyncio.create_task(front.client.get("/invoke"))
        await eventually(lambda: len(front.app._context.request_queue._waiting) == 1)  # pyright: ignore
        await gone[0].returns()
        assert (await call).status_code == 200


async def test_one_lost_probe_hides_no_return_from_a_request_that_waits() -> None:
    """It is probed again, and that it got no answer in time counts as an absence."""
    ran = questions = 0

    async def script(request: Received, peer: Peer) -> None:
        nonlocal ran, questions
        if request.target == "/health":
            questions += 1
            await (swallows(request, peer) if questions == 1 else alive(peer))
        else:
            ran += 1
            await (breaks if ran == 1 else ok)(request, peer)

    policy = replace(PATIENT, cold_timeout_s=30.0)
    async with upstream(script) as one, router([one.url], policy=policy) as front:
        assert (await front.client.get("/invoke")).status_code == 200
        assert ran == 2


async def test_after_the_queue_no_target_is_in_doubt_for_its_probes() -> None:
    """A target that never answers a probe that no request waits for may serve all the same."""

    async def dies(request: Received, peer: Peer) -> None:
        await (swallows if request.target == "/health" else breaks)(request, peer)

    policy = replace(PATIENT, queue_timeout_s=1.0, cold_timeout_s=30.0)
    async with (
        upstream(dies) as one,
        away(1) as gone,
        router([gone[0].one.url, one.url], policy=policy) as front,
    ):
        context = front.app._context  # pyright: ignore[reportPrivateUsage]
        assert (await front.client.get("/invoke")).status_code == 503
        await eventually(lambda: context.request_queue._timer is None)  # pyright: ignore
        assert context.balancer.avoid(time.time()) == []


async def test_a_return_is_noticed_by_the_next_round_not_when_the_last_answer_is_old() -> None:
    """An answer that serves others for a minute does not serve a request that waits."""
    policy = replace(CALM, queue_timeout_s=30.0, queue_pause_s=0.02, probe_fresh_s=60.0)
    async with away(2) as them, router([one.one.url for one in them], policy=policy) as front:
        call = asyncio.create_task(front.client.post("/invoke"))
        await eventually(lambda: len(front.app._context.request_queue._waiting) == 1)  # pyright: ignore
        await asyncio.sleep(0.1)
        await them[1].returns()
        assert (await asyncio.wait_for(call, 20)).status_code == 200


@pytest.mark.parametrize("queue_timeout_s", [0.0, 4.0])
async def test_a_target_where_it_must_not_run_too_is_passed_over_for_one_where_it_may(
    queue_timeout_s: float,
) -> None:
    """Of three agents the one in between does not declare itself repeatable."""
    async with upstream(breaks) as bad, upstream(ok) as other, upstream(ok) as good:
        targets = [
            {
                "cloud": cloud,
                "region": "r",
                "url": up.url,
                "weight": weight,
                "repeatable": up is not other,
            }
            for cloud, up, weight in (("aws", bad, 3), ("azure", other, 2), ("gcp", good, 1))
        ]
        policy = replace(PATIENT, queue_timeout_s=queue_timeout_s)
        told = json.dumps(targets)
        async with router([], policy=policy, SKYFLEET_REGION="r", SKYFLEET_TARGETS=told) as front:
            reply = await front.client.post("/invoke")
            assert (reply.status_code, len(other.asked), len(good.asked)) == (200, 0, 1)
