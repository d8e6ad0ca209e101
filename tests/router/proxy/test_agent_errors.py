"""Tests of agent errors through a whole router: no cloud is ejected for a request that fails everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from skyfleet.asgi import Header
from tests.router.proxy.support import MARK
from tests.router.support import CALM, Front, Peer, Received, alive, router, upstream


async def crashes(request: Received, peer: Peer) -> None:
    """A script: the path /crash and the key `buggy` raise in the agent; all else is answered well."""
    if request.target == "/health":
        await alive(peer)
    elif request.target.startswith("/crash") or request.headers.get("authorization") == "Bearer buggy":
        await peer.reply(500, b"sorry", headers=MARK)
    else:
        await peer.reply(200, headers=MARK)


async def states(front: Front) -> set[str]:
    return {target["state"] for target in (await front.status())["targets"]}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/crash", []),
        ("GET", "/crash?once=more", []),
        ("POST", "/invoke", [(b"authorization", b"Bearer buggy")]),
        ("GET", "/", [(b"authorization", b"Bearer buggy")]),
        ("POST", "/crash", [(b"x-skyfleet-strategy", b"cost")]),
    ],
)
@pytest.mark.parametrize("mixed", [False, True])
async def test_a_request_that_fails_everywhere_ejects_no_cloud(
    method: str, path: str, headers: Sequence[Header], mixed: bool
) -> None:
    """Nine calls that crash the agent, repeatable or not, alone or among good ones: every target keeps its
    share, and the client gets the agent's own error."""
    async with (
        upstream(crashes) as a,
        upstream(crashes) as b,
        upstream(crashes) as c,
        router([a.url, b.url, c.url], repeatable=False) as front,
    ):
        for _ in range(9):
            reply = await front.client.request(method, path, headers=[*headers])
            assert (reply.status_code, reply.content) == (500, b"sorry")
            if mixed:
                assert (await front.client.post("/invoke")).status_code == 200
        assert await states(front) <= {"unknown", "healthy"}
        assert [one["share"] for one in (await front.status())["targets"]] == pytest.approx(
            [1 / 2, 1 / 3, 1 / 6], abs=1e-3
        )


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_bad_build_in_one_cloud_is_ejected(repeatable: bool) -> None:
    """It answers all requests with 500 and the others none."""

    async def bad(request: Received, peer: Peer) -> None:
        await (alive(peer) if request.target == "/health" else peer.reply(500, headers=MARK))

    async with (
        upstream(bad) as a,
        upstream(crashes) as b,
        upstream(crashes) as c,
        router([a.url, b.url, c.url], repeatable=repeatable) as front,
    ):
        for _ in range(15):
            await front.client.post("/invoke")
        target = await front.target("aws/r0")
        assert target["state"] == "ejected"
        assert len(a.asked) <= 7
        assert target["reason"].startswith("status 500, more often than the others (ejection 1)")


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_request_that_kills_the_agent_in_all_clouds_ejects_none(repeatable: bool) -> None:
    """The platforms answer in its place, or the connection breaks; only the first failure counts."""

    async def dies(request: Received, peer: Peer) -> None:
        if request.target == "/kill":
            await peer.reply(502, b"Internal Server Error")
        elif request.target == "/break":
            peer.reset()
        else:
            await crashes(request, peer)

    async with (
        upstream(dies) as a,
        upstream(dies) as b,
        upstream(dies) as c,
        router([a.url, b.url, c.url], repeatable=repeatable) as front,
    ):
        for number in range(18):
            assert (await front.client.post("/invoke")).status_code == 200
            assert (await front.client.post(("/kill", "/break")[number % 2])).status_code >= 500
        assert await states(front) <= {"unknown", "healthy"}


@pytest.mark.parametrize("fault", ["refuses", "errors"])
async def test_a_cloud_that_goes_out_while_requests_kill_the_agent_everywhere_is_found(fault: str) -> None:
    """A failure of their class tells nothing then, but /health does."""
    out = False

    async def dies(request: Received, peer: Peer) -> None:
        if request.target == "/kill":
            peer.reset()
        else:
            await crashes(request, peer)

    async def dies_and_goes_out(request: Received, peer: Peer) -> None:
        if not out:
            await dies(request, peer)
        elif fault == "errors":
            await peer.reply(502, b"Bad Gateway")
        else:
            peer.reset()

    async with (
        upstream(dies_and_goes_out) as a,
        upstream(dies) as b,
        upstream(dies) as c,
        router([a.url, b.url, c.url], repeatable=False, policy=replace(CALM, probe_fresh_s=0.0)) as front,
    ):
        for _ in range(12):
            await front.client.post("/kill")
        assert await states(front) <= {"unknown", "healthy"}
        out = True
        async with asyncio.timeout(20):
            while (await front.target("aws/r0"))["state"] != "ejected":
                await front.client.post("/kill")
        assert [target["state"] == "ejected" for target in (await front.status())["targets"]] == [
            True,
            False,
            False,
        ]
        for _ in range(12):
            assert (await front.client.post("/invoke")).status_code == 200


async def test_an_agent_that_starts_again_after_each_such_request_is_not_out() -> None:
    """Its /health takes as long as a cold start."""
    killed = False

    async def restarts(request: Received, peer: Peer) -> None:
        nonlocal killed
        if request.target == "/kill":
            killed = True
            peer.reset()
        elif killed and request.target == "/health":
            await asyncio.sleep(0.8)
            await alive(peer, cold=True)
        else:
            await crashes(request, peer)

    policy = replace(CALM, probe_timeout_s=0.3, cold_timeout_s=30.0)
    async with (
        upstream(restarts) as a,
        upstream(restarts) as b,
        router([a.url, b.url], repeatable=False, policy=policy) as front,
    ):
        assert (await front.client.post("/invoke")).status_code == 200
        for _ in range(8):
            await front.client.post("/kill")
        await asyncio.sleep(1.0)
        assert await states(front) <= {"unknown", "healthy", "cold"}


async def test_a_client_that_is_limited_everywhere_moves_no_other_clients_requests() -> None:
    """Its agent does not say that its 429 means one client. The others are served by the weights."""

    async def limits(request: Received, peer: Peer) -> None:
        if request.headers.get("authorization") == "Bearer eager":
            await peer.reply(429, headers=f"{MARK}retry-after: 30\r\n")
        else:
            await crashes(request, peer)

    async with (
        upstream(limits) as a,
        upstream(limits) as b,
        upstream(limits) as c,
        router([a.url, b.url, c.url], repeatable=False) as front,
    ):
        refused = await front.client.post("/invoke", headers={"authorization": "Bearer eager"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
        for _ in range(12):
            assert (await front.client.post("/invoke")).status_code == 200
        assert [len(one.asked) - 1 for one in (a, b, c)] == [6, 4, 2]
        assert await states(front) == {"healthy"}
