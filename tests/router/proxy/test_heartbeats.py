"""Heartbeats and `Last-Event-ID` through a router behind its server: what the client of a stream gets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from skyfleet.sse import PING
from tests.router.proxy.support import CHUNKED, EVENTS, chunk, sends
from tests.router.support import CALM, Peer, Received, Script, alive, router, upstream

OFTEN = replace(CALM, heartbeat_s=0.05)
FIRST, LAST = b"data: one\n\n", b"data: two\n\n"
GZIP = CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n") % EVENTS


def pauses(go: asyncio.Event, head: bytes = CHUNKED % EVENTS, first: bytes = FIRST) -> Script:
    """Sends the head with the begin of a body, and the rest when it is told to."""

    async def script(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        await peer.send(head + chunk(first))
        await go.wait()
        await peer.send(chunk(LAST) + b"0\r\n\r\n")

    return script


async def test_a_silent_stream_gets_comments_and_ends_as_the_agent_ends_it() -> None:
    """Between the events, also while a part of the next event is here."""
    go = asyncio.Event()
    script = pauses(go, first=FIRST + b"data: ha")
    async with upstream(script) as up, router([up.url], policy=OFTEN) as front:
        async with front.client.stream("POST", "/invoke") as reply:
            parts = reply.aiter_raw()
            got = await anext(parts)
            while got.count(PING) < 2:
                got += await anext(parts)
            go.set()
            got += b"".join([part async for part in parts])
        assert got.replace(PING, b"") == FIRST + b"data: ha" + LAST
        assert got.startswith(FIRST + PING)
        assert got.endswith(PING + b"data: ha" + LAST)
        assert (await front.status())["attempts"]["failed"] == 0


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        (CHUNKED % EVENTS, {"x-skyfleet-heartbeat": "off"}),
        (CHUNKED % b"application/x-ndjson", {}),
        (GZIP, {}),
    ],
    ids=["off", "no event stream", "compressed"],
)
async def test_other_bodies_get_no_comments(head: bytes, fields: Mapping[str, str]) -> None:
    """A second stream beside it shows that comments were due."""
    go = asyncio.Event()
    async with (
        upstream(pauses(go, head)) as up,
        upstream(pauses(go)) as loud,
        router([up.url], policy=OFTEN) as front,
        router([loud.url], policy=OFTEN) as beside,
        front.client.stream("POST", "/invoke", headers=fields) as quiet,
        beside.client.stream("POST", "/invoke") as other,
    ):
        heard = b""
        async for part in other.aiter_raw():
            heard += part
            if heard.count(PING) == 3:
                go.set()
        assert b"".join([part async for part in quiet.aiter_raw()]) == FIRST + LAST
        assert "x-skyfleet-heartbeat" not in up.asked[0].headers


async def test_a_stream_that_breaks_in_its_silence_ends_in_an_error_event() -> None:
    """A comment does not make it look whole."""
    go = asyncio.Event()

    async def breaks(request: Received, peer: Peer) -> None:
        await peer.send(CHUNKED % EVENTS + chunk(FIRST))
        await go.wait()
        peer.reset()

    async with upstream(breaks) as up, router([up.url], policy=OFTEN, repeatable=False) as front:
        got = b""
        async with front.client.stream("POST", "/invoke") as reply:
            async for part in reply.aiter_raw():
                got += part
                if PING in got:
                    go.set()
        first, _, error = got.replace(PING, b"").partition(FIRST)
        assert first == b""
        assert error.startswith(b'event: error\ndata: {"error":{"code":"stream-cut"')


async def test_the_last_event_id_goes_to_each_agent_that_is_asked() -> None:
    """A client that reconnects names the last event it has. The stream that breaks off is resumed by the same
    request, so both targets begin after that event, and the client gets each of the others once."""
    text = b"id: 8\ndata: eight\n\n"
    broken = sends(CHUNKED % EVENTS, chunk(text), reset=True)
    whole = sends(CHUNKED % EVENTS, chunk(text + b"id: 9\ndata: nine\n\n") + b"0\r\n\r\n")
    async with upstream(broken) as bad, upstream(whole) as good, router([bad.url, good.url]) as front:
        reply = await front.client.get("/events", headers={"last-event-id": "7"})
        assert reply.text == "id: 8\ndata: eight\n\nid: 9\ndata: nine\n\n"
        assert [up.asked[0].headers["last-event-id"] for up in (bad, good)] == ["7", "7"]


async def test_an_agent_that_begins_elsewhere_does_not_resume_a_stream() -> None:
    """It does not know the event that the client named, and begins at the first one: another reply."""
    broken = sends(CHUNKED % EVENTS, chunk(b"id: 8\ndata: eight\n\n"), reset=True)
    other = sends(CHUNKED % EVENTS, chunk(b"id: 1\ndata: one\n\n") + b"0\r\n\r\n")
    async with upstream(broken) as bad, upstream(other) as good, router([bad.url, good.url]) as front:
        reply = await front.client.get("/events", headers={"last-event-id": "7"})
        assert reply.text.startswith("id: 8\ndata: eight\n\nevent: error\n")
        assert "stream-cut" in reply.text
