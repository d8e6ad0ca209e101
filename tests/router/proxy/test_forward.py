"""Claims about one request's way through a router, with real sockets on both sides."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import replace

import pytest

from router.proxy.attempt import Attempt
from router.proxy.forward import Forwarder
from skyfleet import signing
from tests.router.support import (
    QUICK,
    Peer,
    Received,
    Script,
    alive,
    closed_url,
    eventually,
    keys_of,
    ok,
    router,
    swallows,
    upstream,
)


def answers(status: int, body: bytes = b'{"from": "me"}', *, headers: str = "") -> Script:
    async def script(request: Received, peer: Peer) -> None:
        await (alive(peer) if request.target == "/health" else peer.reply(status, body, headers=headers))

    return script


async def resets(request: Received, peer: Peer) -> None:
    """A script: the request is read, then the connection breaks."""
    peer.reset()


async def thinks(request: Received, peer: Peer) -> None:
    """A script: alive, but slow to reply."""
    if request.target == "/health":
        await alive(peer)
    else:
        await asyncio.sleep(0.6)
        await peer.reply(200, b'{"output": "thought"}')


async def test_a_good_reply_passes_with_headers_that_say_what_happened() -> None:
    """Target, attempts, request id and timing are on every reply; the agent's own fields stay."""
    async with (
        upstream(answers(201, b"made", headers="x-own: 1\r\nset-cookie: a\r\nset-cookie: b\r\n")) as up,
        router([up.url]) as front,
    ):
        reply = await front.client.post("/invoke?x=%20y", content=b"in", headers={"x-request-id": "abc-1"})
        assert (reply.status_code, reply.content) == (201, b"made")
        assert reply.headers["x-own"] == "1"
        assert reply.headers.get_list("set-cookie") == ["a", "b"]
        assert reply.headers["x-skyfleet-target"] == "aws/r0"
        assert reply.headers["x-skyfleet-attempts"] == "1"
        assert reply.headers["x-request-id"] == "abc-1"
        assert "upstream;dur=" in reply.headers["server-timing"]
        assert up.asked[0].target == "/invoke?x=%20y"
        assert up.asked[0].body == b"in"


async def test_a_query_that_the_adapter_of_lambda_fails_at_is_sent_encoded() -> None:
    """Otherwise such requests would put an agent on AWS out of service. The path stays as it came."""
    async with upstream(ok) as up, router([up.url]) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b'GET /a"b?q="<x>\'" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        assert [one.target for one in up.asked] == ["/a\"b?q=%22%3Cx%3E'%22"]


@pytest.mark.parametrize("script", [ok, answers(500), resets], ids=["good", "failed", "broken"])
async def test_a_finished_request_leaves_nothing_to_the_collector(script: Script) -> None:
    """What belongs to it is freed at its end: a collector that finds nothing stops no other request."""
    async with upstream(script) as up, router([up.url]) as front:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                await front.client.post("/invoke", content=b"in")
            await eventually(
                lambda: not any(isinstance(one, Forwarder | Attempt) for one in gc.get_objects())
            )
        finally:
            gc.enable()


async def test_requests_to_agents_are_signed_over_the_decoded_path() -> None:
    """What the router sends passes the agents' own check."""
    async with upstream(ok) as up, router([up.url]) as front:
        await front.client.post("/a%20b/c?q=1&r=%2F", content=b"body")
        got = up.asked[0]
        headers = [(name.encode(), value.encode()) for name, value in got.headers.items()]
        receiver = signing.Verifier(signing.Keys.parse(keys_of("agent", "aws/r0")))
        receiver.check(headers, "POST", "/a b/c", b"q=1&r=%2F", b"body", now=time.time())


async def test_a_refused_connection_goes_to_the_next_cloud_and_the_caller_never_sees_it() -> None:
    """What was not sent may always be repeated, whatever the method."""
    async with upstream(ok) as up, router([closed_url(), up.url], repeatable=False) as front:
        for _ in range(12):
            reply = await front.client.post("/invoke", content=b"x")
            assert reply.status_code == 200
            assert reply.headers["x-skyfleet-target"] == "azure/r1"
        target = await front.target("aws/r0")
        assert target["state"] == "ejected"
        assert 0 < target["ejected_s"] <= QUICK.ejection_s
        assert "refused" in target["reason"]
        status = await front.status()
        assert status["attempts"] == {"requests": 12, "retried": 3, "failed": 0}
        assert target["inflight"] == 0


@pytest.mark.parametrize("bad", [resets, answers(500), answers(502), answers(504)])
async def test_what_may_have_run_is_repeated_when_the_agent_is_repeatable(bad: Script) -> None:
    """A reset before the head, and 500, 502, 504, lead to the second cloud."""
    async with upstream(bad) as first, upstream(ok) as second, router([first.url, second.url]) as front:
        reply = await front.client.post("/invoke", content=b"x")
        assert reply.status_code == 200
        assert reply.headers["x-skyfleet-attempts"] == "2"


async def test_what_may_have_run_is_never_repeated_otherwise() -> None:
    """A POST without Idempotency-Key to an agent that does not allow repeats ends in 502 and says so."""
    async with (
        upstream(resets) as first,
        upstream(ok) as second,
        router([first.url, second.url], repeatable=False) as front,
    ):
        reply = await front.client.post("/invoke", content=b"x")
        assert reply.status_code == 502
        assert reply.json()["error"]["code"] == "may-have-run"
        assert "aws/r0" in reply.json()["error"]["message"]
        assert len(first.asked) == 1
        assert second.asked == []
        keyed = await front.client.post("/invoke", content=b"x", headers={"idempotency-key": "1"})
        assert keyed.status_code == 200
        assert (await front.client.get("/thing")).status_code == 200


@pytest.mark.parametrize("status", [429, 503])
async def test_throttled_and_unavailable_go_elsewhere_for_any_request(status: int) -> None:
    """429 and 503 say that nothing was done."""
    async with (
        upstream(answers(status)) as first,
        upstream(ok) as second,
        router([first.url, second.url], repeatable=False) as front,
    ):
        reply = await front.client.post("/invoke", content=b"x")
        assert reply.status_code == 200
        assert reply.headers["x-skyfleet-target"] == "azure/r1"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_target_that_asks_for_rest_is_left_alone_for_so_long_and_is_no_failure(status: int) -> None:
    """Retry-After goes to the balancer: no further request goes there, and its state stays as it was."""
    throttled = answers(status, headers="retry-after: 31536000\r\n")
    async with (
        upstream(throttled) as first,
        upstream(ok) as second,
        router([first.url, second.url], repeatable=False) as front,
    ):
        for _ in range(6):
            reply = await front.client.post("/invoke", content=b"x")
            assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "azure/r1")
        assert len(first.asked) == 1
        target = await front.target("aws/r0")
        assert target["state"] == "unknown"
        assert 0 < target["backoff_s"] <= 60
        assert target["inflight"] == 0


async def test_when_all_fail_the_caller_gets_the_best_reply_there_was() -> None:
    """A 429 with its Retry-After is worth more than an error of our own or a 500."""
    throttled = answers(429, b"later", headers="retry-after: 7\r\n")
    async with (
        upstream(throttled) as first,
        upstream(answers(500)) as second,
        router([first.url, second.url, closed_url()]) as front,
    ):
        reply = await front.client.post("/invoke", content=b"x")
        assert (reply.status_code, reply.content) == (429, b"later")
        assert reply.headers["retry-after"] == "7"
        assert reply.headers["x-skyfleet-target"] == "aws/r0"
        assert reply.headers["x-skyfleet-attempts"] == "3"


async def test_no_target_there_is_a_503_that_says_when_to_come_back() -> None:
    """With every target refused the error is ours, and JSON."""
    async with router([closed_url(), closed_url()]) as front:
        reply = await front.client.post("/invoke", content=b"x")
        assert reply.status_code == 503
        assert reply.json()["error"]["code"] == "no-target"
        assert 1 <= int(reply.headers["retry-after"]) <= 10
        assert reply.headers["x-skyfleet-attempts"] == "2"


async def test_panic_tries_the_least_bad_and_says_so() -> None:
    """A target that is out still serves when no other is left, with a header that says so."""
    async with (
        upstream(answers(500)) as first,
        upstream(ok) as second,
        router([first.url, second.url]) as front,
    ):
        while (await front.target("aws/r0"))["state"] != "ejected":
            await front.client.get("/")
        first.script, second.script = ok, answers(503)
        reply = await front.client.get("/")
        assert reply.status_code == 200
        assert reply.headers["x-skyfleet-target"] == "aws/r0"
        assert reply.headers["x-skyfleet-panic"] == "true"


async def test_the_last_serving_target_is_never_ejected() -> None:
    """However often it fails, one stays in and passes its own errors on."""
    async with upstream(answers(503, b"full")) as only, router([closed_url(), only.url]) as front:
        for _ in range(6):
            reply = await front.client.get("/")
            assert (reply.status_code, reply.content) == (503, b"full")
        assert (await front.target("aws/r0"))["state"] == "ejected"
        assert (await front.target("azure/r1"))["state"] == "unknown"


async def test_a_slow_target_that_lives_is_waited_for_and_never_run_twice() -> None:
    """Stalls lead to the free question, its answer to patience."""
    async with (
        upstream(thinks) as slow,
        upstream(ok) as other,
        router([slow.url, other.url], policy=QUICK) as front,
    ):
        reply = await front.client.post("/invoke", content=b"x")
        assert reply.json() == {"output": "thought"}
        assert len(slow.asked) == 1
        assert other.asked == []
        assert [one.target for one in slow.received].count("/health") >= 1
        assert (await front.target("aws/r0"))["state"] == "healthy"


async def test_one_probe_is_sent_for_all_requests_that_wait() -> None:
    """Ten stalled requests share each answer."""
    async with upstream(thinks) as slow, router([slow.url], policy=QUICK) as front:
        replies = await asyncio.gather(*(front.client.post("/invoke") for _ in range(10)))
        assert [reply.status_code for reply in replies] == [200] * 10
        assert len(slow.received) - len(slow.asked) <= 2


async def test_a_black_hole_costs_a_bounded_wait_and_is_then_avoided() -> None:
    """No head, no answer to /health: one verdict ejects, and later requests do not wait at all."""
    async with (
        upstream(swallows) as hole,
        upstream(ok) as other,
        router([hole.url, other.url], policy=QUICK) as front,
    ):
        began = time.monotonic()
        reply = await front.client.post("/invoke", content=b"x")
        assert reply.status_code == 200
        assert reply.headers["x-skyfleet-attempts"] == "2"
        assert time.monotonic() - began < 8
        for _ in range(6):
            reply = await front.client.post("/invoke", content=b"x")
            assert reply.headers["x-skyfleet-attempts"] == "1"
        assert (await front.target("aws/r0"))["state"] == "ejected"


async def test_a_black_hole_ends_in_504_when_the_request_must_not_be_repeated() -> None:
    """The caller is told that it may have run; the other cloud is not asked."""
    async with (
        upstream(swallows) as hole,
        upstream(ok) as other,
        router([hole.url, other.url], policy=QUICK, repeatable=False) as front,
    ):
        reply = await front.client.post("/invoke", content=b"x")
        assert reply.status_code == 504
        assert reply.json()["error"]["code"] == "may-have-run"
        assert other.asked == []


async def test_the_deadline_ends_a_request_that_a_living_target_never_answers() -> None:
    """Alive is not enough for ever."""

    async def never(request: Received, peer: Peer) -> None:
        await (alive(peer) if request.target == "/health" else peer.until_closed())

    quick = replace(QUICK, deadline_s=0.5)
    async with upstream(never) as up, router([up.url], policy=quick) as front:
        reply = await front.client.get("/")
        assert reply.status_code == 504
        assert (await front.target("aws/r0"))["state"] != "ejected"


async def test_a_caller_that_leaves_cancels_what_runs_upstream() -> None:
    """The agent sees the connection close while it still works."""
    left = asyncio.Event()

    async def works(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        await peer.until_closed()
        left.set()

    async with upstream(works) as up, router([up.url]) as front:
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"POST /invoke HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx")
        await eventually(lambda: bool(up.asked))
        writer.close()
        await writer.wait_closed()
        await asyncio.wait_for(left.wait(), 20)
        target = await front.target("aws/r0")
        assert target["inflight"] == 0
        assert target["state"] == "unknown"


async def test_weights_are_exact_over_600_requests() -> None:
    """3 to 2 to 1 means 300, 200 and 100."""
    async with (
        upstream(ok) as a,
        upstream(ok) as b,
        upstream(ok) as c,
        router([a.url, b.url, c.url]) as front,
    ):
        for _ in range(600):
            await front.client.get("/invoke")
        assert [len(one.asked) for one in (a, b, c)] == [300, 200, 100]
