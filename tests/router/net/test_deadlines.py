"""Claims about times that others set: a caller's deadline, a target's Retry-After, a timer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from router.core.request.classify import parse_retry_after
from router.net.deadlines import Deadlines
from tests.router.support import GROWING_MS, QUICK, Peer, Received, alive, ok, router, upstream

# Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples.
THEN = 784_111_777.0


@pytest.mark.pure
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"120", 120.0),
        (b" 0 ", 0.0),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 7.0),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", 7.0),
        (b"Sun Nov  6 08:49:37 1994", 7.0),
        (b"Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        (b"9" * 400, 999_999_999_999.0),
        (b"-5", None),
        (b"soon", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"Sun, 06 Foo 1994 08:49:37 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: bytes | None, seconds: float | None) -> None:
    """What is neither counts as if nothing was said."""
    assert parse_retry_after(value, THEN - 7) == seconds


async def never(request: Received, peer: Peer) -> None:
    """A script: alive, but without a reply."""
    await (alive(peer) if request.target == "/health" else peer.until_closed())


@pytest.mark.parametrize("field", [{"x-skyfleet-timeout-ms": "200"}, {"grpc-timeout": "200m"}])
async def test_a_callers_deadline_ends_its_request_and_blames_no_target(field: dict[str, str]) -> None:
    """504 `deadline`, long before the router's own, and the agent sees its caller leave."""
    patient = replace(QUICK, probe_after_s=30.0, deadline_s=600.0)
    async with upstream(never) as up, router([up.url], policy=patient) as front:
        began = time.monotonic()
        reply = await front.client.get("/", headers=field)
        assert 0.19 <= time.monotonic() - began < 60
        assert (reply.status_code, reply.json()["error"]["code"]) == (504, "deadline")
        assert reply.headers["retry-after"] == "1"
        target = await front.target("aws/r0")
        assert (target["state"], target["inflight"]) == ("unknown", 0)


async def test_the_deadline_counts_from_the_requests_arrival() -> None:
    """A body that takes its time leaves nothing of it: no agent is asked."""

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(0.2)
        yield b"y"

    async with upstream(ok) as up, router([up.url]) as front:
        wish = {"x-skyfleet-timeout-ms": "100"}
        reply = await front.client.post("/", content=slowly(), headers=wish)
        assert (reply.status_code, reply.json()["error"]["code"]) == (504, "deadline")
        assert "nothing was sent" in reply.json()["error"]["message"]
        assert up.asked == []


async def test_agents_are_told_what_is_left_of_a_callers_deadline() -> None:
    """In milliseconds, less with each attempt; and nothing when the caller set none."""

    async def fails(request: Received, peer: Peer) -> None:
        await asyncio.sleep(0.05)
        await peer.reply(500)

    async with upstream(fails) as a, upstream(ok) as b, router([a.url, b.url]) as front:
        wish = {"x-skyfleet-timeout-ms": "60000", "grpc-timeout": "1H"}
        assert (await front.client.get("/", headers=wish)).status_code == 200
        first, second = (int(one.asked[0].headers["x-skyfleet-timeout-ms"]) for one in (a, b))
        assert 0 < second <= first - 40 < 60_000
        assert "grpc-timeout" not in a.asked[0].headers
        b.received.clear()
        await front.client.get("/")
        assert all("x-skyfleet-timeout-ms" not in one.headers for one in b.asked)


async def test_a_deadline_in_the_middle_of_a_stream_ends_it_with_an_error_event() -> None:
    """It began well, and the caller must not take it for whole; the target did nothing wrong."""

    async def talks(request: Received, peer: Peer) -> None:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n"
        await peer.send(head + b"b\r\ndata: one\n\n\r\n")
        await peer.until_closed()

    async with upstream(talks) as up, router([up.url]) as front:
        text = ""
        for deadline_ms in GROWING_MS:
            reply = await front.client.post("/invoke", headers={"x-skyfleet-timeout-ms": str(deadline_ms)})
            text = reply.text
            if reply.status_code != 504:  # which says that it ended before its first event
                break
        event, error, _ = text.split("\n\n")
        assert event == "data: one"
        data = error.removeprefix("event: error\ndata: ")
        assert json.loads(data)["error"]["code"] == "deadline"
        target = await front.target("aws/r0")
        assert (target["state"], target["inflight"]) == ("unknown", 0)


async def test_a_deadline_in_the_middle_of_any_other_reply_aborts_it() -> None:
    """A short success would be a lie."""

    async def half(request: Received, peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\nhalf")
        await peer.until_closed()

    async with upstream(half) as up, router([up.url]) as front:
        for deadline_ms in GROWING_MS:
            try:
                reply = await front.client.get("/", headers={"x-skyfleet-timeout-ms": str(deadline_ms)})
            except httpx.RemoteProtocolError:
                return
            assert reply.status_code == 504  # it ended before the reply's head
    pytest.fail("no reply had begun within its deadline")


class _Due:
    def __init__(self, due: float, seen: list[tuple[float, float]]) -> None:
        self.due, self._seen = due, seen

    def overdue(self, now: float) -> None:
        self._seen.append((self.due, now))
        self.due += 1000


async def test_the_timer_fires_for_the_earliest_deadline_first() -> None:
    """A deadline that is added later but due sooner moves it forward; a far one costs nothing."""
    seen: list[tuple[float, float]] = []
    deadlines, now = Deadlines(time.monotonic), time.monotonic()
    for wait in (float("inf"), 60.0, 0.12, 0.03, 0.09):
        deadlines.add(_Due(now + wait, seen))
    gone = _Due(now + 0.05, seen)
    deadlines.add(gone)
    deadlines.discard(gone)
    async with asyncio.timeout(20):
        while len(seen) < 3:
            await asyncio.sleep(0.005)
    deadlines.close()
    assert sorted(round(due - now, 2) for due, _ in seen) == [0.03, 0.09, 0.12]
    assert all(at >= due for due, at in seen)
