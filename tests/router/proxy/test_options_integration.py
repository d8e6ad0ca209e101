"""Tests of request options through a whole router: redundant sends, a strategy, a repeated key."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.router.proxy.support import CHUNKED, EVENTS, chunk, sends
from tests.router.support import QUICK, Peer, Received, Script, alive, ok, router, upstream


@pytest.mark.parametrize("other", [b"one", b"two"])
async def test_a_key_that_is_there_twice_goes_to_no_agent(other: bytes) -> None:
    """Clouds join repeated fields or keep one of them, so it would be another key in each."""
    async with upstream(ok) as up, router([up.url]) as front:
        keys = [(b"idempotency-key", b"one"), (b"idempotency-key", other)]
        reply = await front.client.post("/invoke", headers=keys)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad-request")
        assert "idempotency-key: got 'one and " in reply.json()["error"]["message"]
        assert not up.asked


async def test_the_first_good_reply_of_copies_wins_and_the_others_see_their_caller_leave() -> None:
    """All three agents get the request at once; bad and slow ones do not matter."""
    left = asyncio.Event()

    async def hangs(request: Received, peer: Peer) -> None:
        if request.target != "/health":
            await peer.until_closed()
            left.set()

    async def bad(request: Received, peer: Peer) -> None:
        await peer.reply(500)

    async with (
        upstream(hangs) as a,
        upstream(bad) as b,
        upstream(ok) as c,
        router([a.url, b.url, c.url]) as front,
    ):
        reply = await front.client.post(
            "/invoke", content=b"x", headers={"x-skyfleet-redundant": "3", "x-mine": "1"}
        )
        assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "gcp/r2")
        assert reply.headers["x-skyfleet-attempts"] == "3"
        assert "x-skyfleet-hedged" not in reply.headers
        await asyncio.wait_for(left.wait(), 20)
        assert [len(one.asked) for one in (a, b, c)] == [1, 1, 1]
        assert "x-skyfleet-redundant" not in c.asked[0].headers
        status = await front.status()
        assert status["attempts"] == {"requests": 1, "retried": 0, "failed": 0}
        assert [one["inflight"] for one in status["targets"]] == [0, 0, 0]


async def test_copies_of_what_must_not_be_repeated_are_one() -> None:
    """And the reply says so."""
    async with (
        upstream(ok) as a,
        upstream(ok) as b,
        router([a.url, b.url], repeatable=False) as front,
    ):
        wish = {"x-skyfleet-redundant": "2"}
        reply = await front.client.post("/invoke", content=b"x", headers=wish)
        assert reply.headers["x-skyfleet-attempts"] == "1"
        keyed = await front.client.post("/invoke", content=b"x", headers={**wish, "idempotency-key": "1"})
        assert keyed.headers["x-skyfleet-attempts"] == "2"


async def test_a_request_may_choose_its_own_strategy() -> None:
    """For itself alone; a name that is none is a 400, and what is not granted a 403."""
    mine = replace(QUICK, allowed_overrides=frozenset({"strategy"}))
    async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=mine) as front:
        replies = [
            await front.client.get("/", headers={"x-skyfleet-strategy": "round-robin"}) for _ in range(4)
        ]
        assert {reply.status_code for reply in replies} == {200}
        assert [len(one.asked) for one in (a, b)] == [2, 2]
        assert "x-skyfleet-strategy" not in a.asked[0].headers
        wrong = await front.client.get("/", headers={"x-skyfleet-strategy": "best"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "bad-request")
        denied = await front.client.get("/", headers={"x-skyfleet-redundant": "2"})
        assert (denied.status_code, denied.json()["error"]["code"]) == (403, "not-granted")


def answers(status: int, *, headers: str) -> Script:
    async def script(request: Received, peer: Peer) -> None:
        await (alive(peer) if request.target == "/health" else peer.reply(status, b"sorry", headers=headers))

    return script


async def test_an_answer_that_its_agent_calls_an_error_goes_elsewhere_like_a_500() -> None:
    """If it may be repeated; else it is passed on. Either way the target is found by comparison."""
    wrong = answers(200, headers="x-skyfleet-outcome: error\r\n")
    for repeatable, expected in ((True, "azure/r1"), (False, "aws/r0")):
        async with (
            upstream(wrong) as a,
            upstream(ok) as b,
            router([a.url, b.url], repeatable=repeatable) as front,
        ):
            reply = await front.client.post("/invoke", content=b"x")
            assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, expected)
            for _ in range(13):
                await front.client.post("/invoke", content=b"x")
            target = await front.target("aws/r0")
            assert target["state"] == "ejected"
            assert "called its reply an error" in target["reason"]


@pytest.mark.parametrize("status", [200, 400, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("repeatable", [True, False])
async def test_the_answer_of_a_dependency_reaches_the_client_unchanged(status: int, repeatable: bool) -> None:
    """One attempt, whatever the status; after ten of them each target is as it was before."""
    told = answers(status, headers="x-skyfleet-outcome: dependency\r\nretry-after: 7\r\nx-own: 1\r\n")
    async with (
        upstream(told) as a,
        upstream(told) as b,
        router([a.url, b.url], repeatable=repeatable) as front,
    ):
        before = (await front.status())["targets"]
        for _ in range(10):
            reply = await front.client.post("/invoke", content=b"x")
            assert (reply.status_code, reply.content) == (status, b"sorry")
            assert [reply.headers[name] for name in ("retry-after", "x-own")] == ["7", "1"]
            assert reply.headers["x-skyfleet-attempts"] == "1"
        assert len(a.asked) + len(b.asked) == 10
        assert len(a.asked) > len(b.asked) > 0
        after = (await front.status())["targets"]
        for one, other in zip(before, after, strict=True):
            for name in ("state", "backoff_s", "ejections", "health_share", "share"):
                assert one[name] == other[name], name


@pytest.mark.parametrize(("outcome", "state"), [("dependency", "unknown"), ("error", "ejected")])
async def test_a_stream_that_a_dependency_broke_counts_against_no_target(outcome: str, state: str) -> None:
    """Its error event says so, since the head was sent before."""
    event = b'data: {"error": {"message": "no", "outcome": "%s"}}\n\n' % outcome.encode()
    breaks = sends(CHUNKED % EVENTS + chunk(b"data: {}\n\n"), chunk(event) + b"0\r\n\r\n")
    async with upstream(breaks) as a, upstream(ok) as b, router([a.url, b.url]) as front:
        for _ in range(14):
            reply = await front.client.post("/v1/chat/completions", content=b"x")
            if reply.headers["x-skyfleet-target"] == "aws/r0":
                assert reply.content.endswith(event)
        assert (await front.target("aws/r0"))["state"] == state
