"""Replies that are not valid HTTP/1.1, through a whole router: what an agent's bug costs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Final

import httpx
import pytest

from tests.router.proxy.support import chunk, sends
from tests.router.support import Front, Peer, Received, Script, Upstream, alive, router, upstream

OK: Final = b"HTTP/1.1 200 OK\r\n"
JSON: Final = b"content-type: application/json\r\n"
CHUNKED: Final = OK + JSON + b"transfer-encoding: chunked\r\n\r\n"
END: Final = b"content-length: 2\r\n\r\nhi"

# Wrong bytes: the agent's bug.
INVALID: Final = {
    "status 600": b"HTTP/1.1 600 Odd\r\n" + END,
    "status 999": b"HTTP/1.1 999 Odd\r\n" + END,
    "status 99": b"HTTP/1.1 99 Odd\r\n" + END,
    "folded field": OK + b"x-a: 1\r\n 2\r\n" + END,
    "bare LF": OK + b"x-a: 1\ncontent-length: 2\r\n\r\nhi",
    "space before the colon": OK + b"x-a : 1\r\n" + END,
    "a name that is no token": OK + b"x a: 1\r\n" + END,
    "no colon": OK + b"x-a\r\n" + END,
    "NUL in a value": OK + b"x-a: 1\x002\r\n" + END,
    "length and chunked": OK + b"transfer-encoding: chunked\r\n" + END,
    "two lengths": OK + b"content-length: 3\r\n" + END,
    "negative length": OK + b"content-length: -2\r\n\r\nhi",
    "another transfer coding": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "unasked switch of protocols": b"HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    "head without an end": OK + b"x-a: " + b"a" * 70_000,
    "head of 70 kB": OK + b"x-a: " + b"a" * 70_000 + b"\r\n" + END,
    "179 fields": OK + b"x-a: 1\r\n" * 179 + END,
    "endless 1xx": b"HTTP/1.1 102 Wait\r\n\r\n" * 500,
    "CR in a value": OK + b"x-a: 1\r2\r\n" + END,
    "bad chunk size": CHUNKED + b"zz\r\nhi\r\n0\r\n\r\n",
    "chunk without its end": CHUNKED + b"2\r\nhi0\r\n\r\n",
}
# Missing bytes, or another service: a broken connection.
BROKEN: Final = {
    "nothing": b"",
    "half a head": OK + b"content-len",
    "half a body": OK + JSON + b"content-length: 3\r\n\r\nhi",
    "half a chunked body": CHUNKED + chunk(b"hi"),
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
}


Three = tuple[Upstream, Upstream, Upstream]


@contextlib.asynccontextmanager
async def _three(script: Script, *, repeatable: bool = True) -> AsyncGenerator[tuple[Front, Three], None]:
    async with (
        upstream(script) as a,
        upstream(script) as b,
        upstream(script) as c,
        router([a.url, b.url, c.url], repeatable=repeatable) as front,
    ):
        yield front, (a, b, c)


def calls(ups: Three) -> int:
    return sum(len(up.asked) for up in ups)


async def states(front: Front) -> set[str]:
    return {target["state"] for target in (await front.status())["targets"]}


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("raw", INVALID.values(), ids=INVALID.keys())
async def test_an_invalid_reply_costs_one_call_and_ejects_no_target(raw: bytes, repeatable: bool) -> None:
    """Each such request is told once with 502, and nine of them change no target's state."""
    async with _three(sends(raw, close=True), repeatable=repeatable) as (front, ups):
        for number in range(1, 10):
            reply = await front.client.post("/invoke", content=b"x")
            assert (reply.status_code, reply.json()["error"]["code"]) == (502, "invalid-response")
            assert reply.headers["x-should-retry"] == "false"
            assert calls(ups) == number
        assert await states(front) <= {"unknown", "healthy"}
        assert all(target["inflight"] == 0 for target in (await front.status())["targets"])


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_connection_leads_to_another_target(raw: bytes) -> None:
    """A repeatable request is served by the next cloud."""

    async def good(request: Received, peer: Peer) -> None:
        await (alive(peer) if request.target == "/health" else peer.reply(200))

    async with (
        upstream(sends(raw, close=True)) as a,
        upstream(good) as b,
        router([a.url, b.url]) as front,
    ):
        reply = await front.client.post("/invoke", content=b"x")
        assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "azure/r1")
        assert len(a.asked) == 1


async def test_invalid_replies_of_one_target_only_are_found_by_comparison() -> None:
    """A bad build in one cloud: the other clouds answer the same requests well, so it is ejected."""

    async def good(request: Received, peer: Peer) -> None:
        headers = "endpoint-load-metrics: TEXT application_utilization=0\r\n"
        await (alive(peer) if request.target == "/health" else peer.reply(200, headers=headers))

    async with (
        upstream(sends(INVALID["folded field"])) as a,
        upstream(good) as b,
        upstream(good) as c,
        router([a.url, b.url, c.url]) as front,
    ):
        for _ in range(20):
            await front.client.post("/invoke", content=b"x")
        assert (await front.target("aws/r0"))["state"] == "ejected"
        assert len(a.asked) <= 7


async def test_wrong_bytes_after_a_part_was_forwarded_cut_the_reply() -> None:
    """Too late for a 502: the client sees that it is incomplete."""
    script = sends(OK + b"transfer-encoding: chunked\r\n\r\n", chunk(b"first"), b"zz\r\n")
    async with upstream(script) as up, router([up.url]) as front:
        with pytest.raises(httpx.RemoteProtocolError):
            await front.client.post("/invoke", content=b"x")
        assert len(up.asked) == 1
