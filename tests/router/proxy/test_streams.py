"""Claims about reply bodies: they arrive as they are made, and a cut one never looks whole."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from tests.router.proxy.support import CHUNKED, EVENTS, JSON, chunk, sends
from tests.router.support import QUICK, Peer, Received, alive, ok, router, upstream


async def test_events_arrive_one_by_one_as_the_agent_makes_them() -> None:
    """The second event is not made before the caller has the first: nothing waits for the end."""
    go = asyncio.Event()

    async def talks(request: Received, peer: Peer) -> None:
        await peer.send(CHUNKED % EVENTS + chunk(b"event: delta\ndata: one\n\n"))
        await go.wait()
        await peer.send(chunk(b"event: done\ndata: two\n\n") + b"0\r\n\r\n")

    async with upstream(talks) as up, router([up.url]) as front:
        async with front.client.stream("POST", "/invoke") as reply:
            parts = reply.aiter_raw()
            assert await anext(parts) == b"event: delta\ndata: one\n\n"
            go.set()
            assert b"".join([part async for part in parts]) == b"event: done\ndata: two\n\n"
        assert up.connections == 1


@pytest.mark.parametrize("with_length", [False, True])
async def test_an_event_stream_that_is_cut_ends_in_an_error_event(with_length: bool) -> None:
    """Half an event is dropped, an explicit error follows, and the cut counts as a failure."""
    text = b"event: delta\ndata: one\n\nevent: delta\ndata: tw"
    if with_length:
        parts = [b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\ncontent-type: %b\r\n\r\n" % EVENTS, text]
    else:
        parts = [CHUNKED % EVENTS, chunk(text)]
    async with upstream(sends(*parts, reset=True)) as up, router([up.url]) as front:
        reply = await front.client.post("/invoke")
        first, error, rest = reply.text.split("\n\n")
        assert first == "event: delta\ndata: one"
        assert rest == ""
        name, data = error.split("\n")
        assert name == "event: error"
        assert json.loads(data.removeprefix("data: "))["error"]["code"] == "stream-cut"
        assert (await front.status())["attempts"]["failed"] == 1


async def test_any_other_reply_that_is_cut_is_seen_as_cut() -> None:
    """The caller's client reports an incomplete message instead of a short success: without a length, and
    with a length above what is held."""
    long = b"HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n"
    for head, body in ((CHUNKED % b"text/plain", chunk(b"half")), (long, b"half")):
        async with upstream(sends(head, body, reset=True)) as up, router([up.url]) as front:
            with pytest.raises(httpx.RemoteProtocolError):
                await front.client.post("/invoke")
            assert len(up.asked) == 1


async def test_a_document_of_unknown_length_that_is_cut_goes_elsewhere_too() -> None:
    """As frameworks send it that announce no length; though all of it but its end was here. What must not be
    repeated is an error that says so."""
    cut = sends(JSON + chunk(b'{"output": "half"}'), reset=True)
    async with upstream(cut) as bad, upstream(ok) as good, router([bad.url, good.url]) as front:
        reply = await front.client.post("/invoke")
        assert (reply.json(), reply.headers["x-skyfleet-attempts"]) == ({"output": "fine"}, "2")
    async with upstream(cut) as bad, router([bad.url], repeatable=False) as front:
        reply = await front.client.post("/invoke")
        assert (reply.status_code, reply.json()["error"]["code"]) == (502, "may-have-run")
        assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("kind", [b"application/json", b"text/plain", b"application/x-ndjson"])
async def test_what_may_be_long_is_passed_on_before_its_end(kind: bytes) -> None:
    """What is no document at once; a document when more has come than is held."""
    go, piece = asyncio.Event(), b"x" * 50_000

    async def grows(request: Received, peer: Peer) -> None:
        await peer.send(CHUNKED % kind + chunk(b"begun"))
        if kind == b"application/json":
            await peer.send(chunk(piece) + chunk(piece))
        await go.wait()
        await peer.send(chunk(b"done") + b"0\r\n\r\n")

    async with upstream(grows) as up, router([up.url]) as front:
        async with front.client.stream("POST", "/invoke") as reply:
            parts = reply.aiter_raw()
            first = await anext(parts)
            assert first.startswith(b"begun")
            go.set()
            rest = b"".join([part async for part in parts])
        assert first + rest == b"begun" + (2 * piece if kind == b"application/json" else b"") + b"done"


async def test_a_short_reply_that_is_cut_goes_elsewhere_before_the_client_saw_it() -> None:
    """It is passed on when it is whole, so the second cloud's whole one can take its place."""
    cut = sends(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"half", reset=True)
    async with upstream(cut) as bad, upstream(ok) as good, router([bad.url, good.url]) as front:
        reply = await front.client.post("/invoke")
        assert (reply.status_code, reply.json()) == (200, {"output": "fine"})
        assert reply.headers["x-skyfleet-attempts"] == "2"
        good.script = cut
        reply = await front.client.post("/invoke")
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no-target")
        assert "aws/r0: truncated" in reply.json()["error"]["message"]


async def test_a_stream_that_is_cut_before_its_first_event_goes_elsewhere() -> None:
    """A comment is no event; from the first event on the stream is the caller's."""
    early = sends(CHUNKED % EVENTS, chunk(b": hello\n\nretry: 1\n\ndata: on"), reset=True)
    whole = sends(CHUNKED % EVENTS, chunk(b"data: two\n\n") + b"0\r\n\r\n")
    async with upstream(early) as bad, upstream(whole) as good, router([bad.url, good.url]) as front:
        reply = await front.client.post("/invoke")
        assert (reply.text, reply.headers["x-skyfleet-attempts"]) == ("data: two\n\n", "2")


async def test_a_stream_that_only_keeps_its_connection_open_is_passed_on_for_that() -> None:
    """Comments without an event for as long as a stall, from an agent that lives: they exist to be passed
    on."""
    go = asyncio.Event()

    async def thinks(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        await peer.send(CHUNKED % EVENTS + chunk(b": thinking\n\n"))
        await go.wait()
        await peer.send(chunk(b"data: x\n\n") + b"0\r\n\r\n")

    async with upstream(thinks) as up, router([up.url], policy=QUICK) as front:
        async with front.client.stream("POST", "/invoke") as reply:
            parts = reply.aiter_raw()
            assert await anext(parts) == b": thinking\n\n"
            go.set()
            assert b"".join([part async for part in parts]) == b"data: x\n\n"
        assert len(up.asked) == 1


async def test_a_stream_that_dies_after_a_comment_goes_elsewhere() -> None:
    """Nothing of it was passed on, and its target does not answer."""

    async def dies(request: Received, peer: Peer) -> None:
        if request.target != "/health":
            await peer.send(CHUNKED % EVENTS + chunk(b": thinking\n\n"))
        await peer.until_closed()

    async with (
        upstream(dies) as bad,
        upstream(ok) as good,
        router([bad.url, good.url], policy=QUICK) as front,
    ):
        reply = await front.client.post("/invoke")
        assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "azure/r1")
        assert (await front.target("aws/r0"))["state"] == "ejected"


async def test_three_cut_streams_eject_though_each_began_well() -> None:
    """A stream is a success only after its last byte."""
    cut = sends(CHUNKED % EVENTS, chunk(b"data: x\n\n"), reset=True)
    async with upstream(cut) as bad, upstream(ok) as good, router([bad.url, good.url]) as front:
        for _ in range(6):
            await front.client.post("/invoke")
        assert (await front.target("aws/r0"))["state"] == "ejected"


async def test_all_ways_of_ending_a_body_pass_whole() -> None:
    """Chunked with extensions and trailers, by length, by an orderly close, without body, after a 103."""
    chunked = CHUNKED % b"text/plain" + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: 1\r\n\r\n"
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    cases: list[tuple[list[bytes], bool, int, bytes]] = [
        ([chunked], False, 200, b"abcde"),
        ([bytes([byte]) for byte in chunked], False, 200, b"abcde"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", b"ab", b"cd"], False, 200, b"abcd"),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"until", b" close"], True, 200, b"until close"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], False, 204, b""),
        ([b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"], False, 304, b""),
        ([early, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"], False, 200, b"ok"),
    ]
    for parts, close, status, body in cases:
        async with upstream(sends(*parts, close=close)) as up, router([up.url]) as front:
            for _ in range(2):
                reply = await front.client.post("/invoke")
                assert (reply.status_code, reply.content) == (status, body)
            assert up.connections == (2 if close else 1)


async def test_head_has_the_length_but_no_body() -> None:
    """The announced length of a HEAD reply is not waited for."""
    script = sends(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
    async with upstream(script) as up, router([up.url]) as front:
        reply = await front.client.head("/thing")
        assert reply.status_code == 200
        assert reply.headers["content-length"] == "5"
        assert (await front.client.head("/thing")).status_code == 200


async def test_large_bodies_pass_both_ways() -> None:
    """Six megabytes in, sixteen out, unchanged."""
    big = bytes(range(256)) * 4096 * 16

    async def large(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        assert len(request.body) == 6 * 1024 * 1024
        await peer.reply(200, big)

    async with upstream(large) as up, router([up.url]) as front:
        reply = await front.client.post("/invoke", content=b"x" * (6 * 1024 * 1024))
        assert reply.content == big


async def test_a_slow_reader_slows_the_agent_down_instead_of_filling_memory() -> None:
    """While the caller does not read, only what buffers hold leaves the agent."""
    written = 0
    piece = b"x" * 65_536
    pieces = 1_000

    async def floods(request: Received, peer: Peer) -> None:
        nonlocal written
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * pieces))
        for _ in range(pieces):
            await peer.send(piece)
            written += len(piece)

    async with upstream(floods) as up, router([up.url]) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port, limit=1024)
        writer.write(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n")
        before = -1
        while before != written or not written:
            before = written
            await asyncio.sleep(0.2)
        assert written < len(piece) * pieces / 2
        size = 0
        await reader.readuntil(b"\r\n\r\n")
        while size < len(piece) * pieces:
            size += len(await reader.read(1 << 20))
        writer.close()
        await writer.wait_closed()
