"""Claims about total outages: what was not sent waits a while for a target to come back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from tests.router.proxy.support import MARK, PATIENT, away, breaks
from tests.router.support import GROWING_MS, Peer, Received, alive, eventually, ok, router, upstream


@pytest.mark.parametrize("repeatable", [True, False])
def test_requests_of_a_total_outage_are_answered_when_one_target_is_back(repeatable: bool) -> None:
    """Nothing was sent, so waiting is safe for any request; each runs once."""

    async def story() -> None:
        async with (
            away(3) as targets,
            router([one.one.url for one in targets], policy=PATIENT, repeatable=repeatable) as front,
        ):
            calls = [asyncio.create_task(front.client.post("/invoke", content=b"{}")) for _ in range(20)]
            await eventually(lambda: front.app._context.balancer.requests == 20)  # pyright: ignore
            await targets[1].returns()
            replies = await asyncio.gather(*calls)
            assert {reply.status_code for reply in replies} == {200}
            assert {reply.headers["x-skyfleet-target"] for reply in replies} == {"azure/r1"}
            assert any(int(reply.headers["x-skyfleet-attempts"]) > 1 for reply in replies)
            assert sum(one.target == "/invoke" for one in targets[1].one.received) == 20

    asyncio.run(story())


def test_each_target_that_comes_back_after_a_total_outage_serves_again_at_once() -> None:
    """It was no target's own fault: no ejection is served to its end, nor where no request waits."""

    async def story() -> None:
        async with (
            away(3) as targets,
            router([one.one.url for one in targets], policy=PATIENT) as front,
        ):
            call = asyncio.create_task(front.client.post("/invoke", content=b"{}"))
            for _ in range(4):
                await front.client.post("/invoke", content=b"{}", headers={"x-skyfleet-timeout-ms": "60"})
            for one in targets:
                await one.returns()
            assert (await call).status_code == 200
            balancer = front.app._context.balancer  # pyright: ignore
            await eventually(lambda: not balancer.out())

    asyncio.run(story())


def test_a_key_that_was_sent_nowhere_belongs_to_no_target() -> None:
    """Though a target refused it last. So targets that return together share the requests of an outage."""

    async def story() -> None:
        async with (
            away(3) as targets,
            router([one.one.url for one in targets], policy=PATIENT) as front,
        ):
            context = front.app._context  # pyright: ignore[reportPrivateUsage]
            known = context.balancer._affinity  # pyright: ignore[reportPrivateUsage]
            waiting = context.request_queue._waiting  # pyright: ignore[reportPrivateUsage]
            headers = {"idempotency-key": "key"}
            call = asyncio.create_task(front.client.post("/invoke", content=b"{}", headers=headers))
            await eventually(lambda: len(waiting) == 1)
            assert known.get(b"key") is None
            await asyncio.gather(*(one.returns() for one in targets))
            reply = await call
            assert known.get(b"key") == reply.headers["x-skyfleet-target"]

    asyncio.run(story())


def test_when_no_target_comes_back_the_caller_is_told_after_the_queue_timeout() -> None:
    """503 with Retry-After, as before; and no request that has left is kept."""

    async def story() -> None:
        policy = replace(PATIENT, queue_timeout_s=0.2)
        async with away(2) as targets, router([one.one.url for one in targets], policy=policy) as front:
            reply = await front.client.post("/invoke", content=b"{}")
            assert reply.status_code == 503
            assert reply.json()["error"]["code"] == "no-target"
            assert int(reply.headers["retry-after"]) >= 1

    asyncio.run(story())


def test_without_a_queue_the_caller_is_told_at_once_and_no_target_is_probed() -> None:
    """`queueTimeoutS: 0`: for callers that have a better idea than to wait."""

    async def story() -> None:
        policy = replace(PATIENT, queue_timeout_s=0)
        async with away(2) as targets, router([one.one.url for one in targets], policy=policy) as front:
            began = time.monotonic()
            reply = await front.client.post("/invoke", content=b"{}")
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no-target")
            assert time.monotonic() - began < 8
            assert not front.app._context.request_queue._waiting  # pyright: ignore
            await targets[0].returns()
            assert (await front.client.post("/invoke", content=b"{}")).status_code == 200

    asyncio.run(story())


def test_a_callers_deadline_ends_the_hold() -> None:
    """The hold never outlasts what the caller set."""

    async def story() -> None:
        async with away(2) as targets, router([one.one.url for one in targets], policy=PATIENT) as front:
            code = 0
            for deadline_ms in GROWING_MS:
                headers = {"x-skyfleet-timeout-ms": str(deadline_ms)}
                code = (await front.client.post("/invoke", content=b"{}", headers=headers)).status_code
                if code != 504:  # which says that it ended before the targets refused
                    break
            assert code == 503

    asyncio.run(story())


def test_a_held_request_does_not_run_twice_at_one_target() -> None:
    """It answers /health and resets every request; the other one refuses until the end."""

    async def story() -> None:
        async with upstream(breaks) as bad, away(1) as gone:
            policy = replace(PATIENT, queue_timeout_s=0.5)
            async with router([bad.url, gone[0].one.url], policy=policy) as front:
                reply = await front.client.post("/invoke", headers={"idempotency-key": "k"})
                assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no-target")
                assert len(bad.asked) == 1

    asyncio.run(story())


def test_a_request_that_breaks_off_wherever_it_is_sent_does_not_wait_for_targets_that_were_never_away() -> (
    None
):
    """They answer all the while, so no return would help; the queue would hold it for a minute."""

    async def story() -> None:
        policy = replace(PATIENT, queue_timeout_s=60.0)
        async with (
            upstream(breaks) as one,
            upstream(breaks) as two,
            router([one.url, two.url], policy=policy) as front,
        ):
            reply = await asyncio.wait_for(front.client.post("/invoke"), 20)
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no-target")
            assert len(one.asked) + len(two.asked) == 2
            assert not front.app._context.request_queue._waiting  # pyright: ignore

    asyncio.run(story())


def test_while_a_target_may_come_back_one_that_broke_off_and_lives_ends_no_wait() -> None:
    """The other one refuses for a while, and then serves."""

    async def story() -> None:
        async with (
            upstream(breaks) as bad,
            away(1) as gone,
            router([bad.url, gone[0].one.url], policy=PATIENT) as front,
        ):
            call = asyncio.create_task(front.client.post("/invoke"))
            await eventually(lambda: len(bad.received) > 5)
            await gone[0].returns()
            assert (await call).status_code == 200
            assert len(bad.asked) == 1

    asyncio.run(story())


def test_an_answer_from_before_the_connection_broke_is_no_sign_that_its_target_was_not_away() -> None:
    """It serves again each request that comes within `probe_fresh_s`."""

    async def story() -> None:
        one = Dies()
        one.well = True
        policy = replace(PATIENT, probe_fresh_s=0.3)
        async with upstream(one) as up, router([up.url], policy=policy) as front:
            context, heard = front.app._context, list[bool]()  # pyright: ignore[reportPrivateUsage]
            context.prober.verify("aws/r0", heard.append)
            await eventually(lambda: heard == [True])
            one.well = False
            call = asyncio.create_task(front.client.post("/invoke"))
            await eventually(lambda: len(up.received) >= 4)
            one.well = True
            assert (await call).status_code == 200
            assert one.ran == 2

    asyncio.run(story())


class Dies:
    """A script: connections break until it is well; with `by_requests` each request kills it for a while."""

    def __init__(self, *, by_requests: bool = False) -> None:
        self.well, self.by_requests, self.ran = by_requests, by_requests, 0

    async def __call__(self, request: Received, peer: Peer) -> None:
        if request.target == "/health":
            if self.well:
                await alive(peer)
            else:
                peer.reset()
                # Its cloud starts another one.
                self.well = self.by_requests
            return
        self.ran += 1
        if self.by_requests:
            self.well = False
        if self.well:
            await ok(request, peer)
        else:
            peer.reset()


def test_all_targets_die_under_a_request_that_may_be_repeated_and_one_comes_back() -> None:
    """They were away and are back, so it is sent again; one that must not be repeated never is."""

    async def story() -> None:
        one, other = Dies(), Dies()
        async with (
            upstream(one) as first,
            upstream(other) as second,
            router([first.url, second.url], policy=PATIENT, repeatable=False) as front,
        ):
            reply = await front.client.post("/invoke")
            assert (reply.status_code, reply.json()["error"]["code"]) == (502, "may-have-run")
            call = asyncio.create_task(front.client.post("/invoke", headers={"idempotency-key": "k"}))
            await eventually(lambda: one.ran + other.ran == 3)
            asked = len(first.received)
            await eventually(lambda: len(first.received) > asked + 1)
            one.well = True
            reply = await call
            assert (reply.status_code, one.ran + other.ran) == (200, 4)
            assert reply.headers["x-skyfleet-attempts"] == "3"

    asyncio.run(story())


def test_a_request_that_kills_its_agent_is_given_up_after_the_policys_attempts() -> None:
    """Holds begin no new budget."""

    async def story() -> None:
        one, other = Dies(by_requests=True), Dies(by_requests=True)
        policy = replace(PATIENT, attempts=4)
        async with (
            upstream(one) as first,
            upstream(other) as second,
            router([first.url, second.url], policy=policy, repeatable=False) as front,
        ):
            reply = await front.client.post("/invoke", headers={"idempotency-key": "k"})
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no-target")
            assert one.ran + other.ran == 4

    asyncio.run(story())


def test_agents_that_all_stopped_behind_their_clouds_doors_are_waited_for() -> None:
    """A platform's page for a function that is not running is never passed on, and nothing was run."""

    async def story() -> None:
        async def stopped(request: Received, peer: Peer) -> None:
            await peer.reply(503, b"Function host is not running.", headers="content-type: text/plain\r\n")

        marked = "endpoint-load-metrics: TEXT application_utilization=0\r\n"

        async def runs(request: Received, peer: Peer) -> None:
            if request.target == "/health":
                await alive(peer)
            else:
                await peer.reply(200, b"{}", headers=marked)

        async with (
            upstream(runs) as one,
            upstream(runs) as two,
            router([one.url, two.url], policy=PATIENT, SKYFLEET_AGENT_KIND="asgi", repeatable=False) as front,
        ):
            assert (await front.client.post("/invoke")).status_code == 200
            one.script = two.script = stopped
            call = asyncio.create_task(front.client.post("/invoke"))
            await eventually(lambda: len(one.received) + len(two.received) > 4)
            two.script = runs
            assert (await call).status_code == 200

    asyncio.run(story())


def test_a_page_of_a_platform_that_never_ends_takes_no_place_after_the_queue() -> None:
    """Its connection is closed and nothing counts as in flight when the request is over."""
    up = False

    async def door(request: Received, peer: Peer) -> None:
        if request.target == "/first" or up:
            await (alive(peer) if request.target == "/health" else peer.reply(200, headers=MARK))
        elif request.target == "/health":
            await peer.reply(503)
        else:
            await peer.send(b"HTTP/1.1 503 X\r\ncontent-length: 9\r\n\r\nthe")
            await peer.until_closed()
            closed.set()

    async def story() -> None:
        nonlocal up
        async with (
            upstream(door) as one,
            router([one.url], policy=PATIENT, SKYFLEET_AGENT_KIND="asgi") as front,
        ):
            await front.client.post("/first")
            held = asyncio.create_task(front.client.post("/invoke"))
            await eventually(lambda: any(request.target == "/health" for request in one.received))
            up = True
            assert (await held).status_code == 200
            await asyncio.wait_for(closed.wait(), 20)
            assert (await front.target("aws/r0"))["inflight"] == 0

    closed = asyncio.Event()
    asyncio.run(story())


async def test_targets_that_return_together_share_the_requests_that_waited() -> None:
    """The first answer would otherwise bring all of them to one target, which has only just started."""
    async with away(3) as targets, router([one.one.url for one in targets], policy=PATIENT) as front:
        calls = [asyncio.create_task(front.client.post("/invoke", content=b"{}")) for _ in range(60)]
        await eventually(lambda: front.app._context.balancer.requests == 60)  # pyright: ignore
        await asyncio.gather(*(one.returns() for one in targets))
        replies = await asyncio.gather(*calls)
        assert {reply.status_code for reply in replies} == {200}
        assert {reply.headers["x-skyfleet-target"] for reply in replies} == {"aws/r0", "azure/r1", "gcp/r2"}
