"""Claims about the limits of `/ws`: requests at once, slow clients, floods, a process that ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, cast

import pytest
from websockets.exceptions import ConnectionClosed

from functions.runtimes.server import websocket, websocket_connection
from tests.router.support import (
    Peer,
    Received,
    eventually,
    ok,
    upstream,
)
from tests.router.websocket.support import STREAM, Streams, chunk, router, socket

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING = b"\x89\xfd" + bytes(4 + 125)


async def test_an_id_is_used_once_at_a_time() -> None:
    """A second request with the id of one under way closes the connection, as in graphql-transport-ws."""
    script = Streams()
    async with upstream(script) as up, router([up.url]) as front, socket(front) as ws:
        await ws.hear()
        await ws.ask("a")
        await ws.ask("a")
        assert (await ws.closed())[0] == 4409


async def test_requests_at_once_are_bounded() -> None:
    """One more than may be under way is refused by its id."""
    script = Streams()
    async with upstream(script) as up, router([up.url]) as front, socket(front) as ws:
        most = (await ws.hear())["max_in_flight"]
        for number in range(most):
            await ws.ask(str(number))
        for _ in range(2 * most):
            await ws.hear()
        await ws.ask("more")
        last = (await ws.answer("more"))[-1]
        assert (last["status"], last["error"]["code"]) == (429, "too-many-requests")


async def test_a_client_that_does_not_read_pauses_the_agent() -> None:
    """What an agent sends beyond the bounds waits at the agent; nothing is lost when the client reads on."""
    sent, total = 0, 3_000

    async def endless(request: Received, peer: Peer) -> None:
        nonlocal sent
        await peer.send(b"HTTP/1.1 200 OK\r\n" + STREAM.encode())
        for number in range(total):
            await peer.send(chunk(f'data: {{"n": {number}, "pad": "{"x" * 10_000}"}}\n\n'))
            sent = number
        await peer.send(b"0\r\n\r\n")

    async with (
        upstream(endless) as up,
        router([up.url]) as front,
        socket(front, max_queue=1) as ws,
    ):
        await ws.ask("a")
        previous = -1
        while sent != previous or sent == 0:
            previous = sent
            await asyncio.sleep(0.3)
        assert sent < total - 1
        await ws.hear()
        events = [one for one in await ws.answer("a") if one["type"] == "event"]
        assert [one["data"]["n"] for one in events] == list(range(total))


async def test_the_end_of_the_process_loses_no_answer() -> None:
    """New requests are refused, what runs is finished, then the connection closes with 1012."""
    script = Streams()
    async with upstream(script) as up, router([up.url]) as front, socket(front) as ws:
        await ws.hear()
        await ws.ask("a")
        for _ in range(2):
            await ws.hear()
        for connection in list(front.server.server_state.connections):
            connection.shutdown()
        await ws.ask("b")
        assert (await ws.answer("b"))[-1]["error"]["code"] == "draining"
        script.go_on.set()
        assert (await ws.answer("a"))[-1]["type"] == "complete"
        assert (await ws.closed())[0] == 1012


async def test_a_client_that_takes_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection does not stay; what it lacks is held for a while, and it goes on where it was."""
    monkeypatch.setattr(websocket_connection, "STALLED_S", 0.3)
    monkeypatch.setattr(websocket_connection, "GRACE_S", 0.1)
    total = 1_500

    async def long(request: Received, peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n" + STREAM.encode())
        for number in range(total):
            await peer.send(chunk(f'data: {{"n": {number}, "pad": "{"x" * 10_000}"}}\n\n'))
        await peer.send(b"0\r\n\r\n")

    async with upstream(long) as up, router([up.url]) as front:
        async with socket(front, max_queue=1) as ws:
            session = (await ws.hear())["session"]
            await ws.ask("a")
            seen = (await ws.hear())["seq"]
            ws.raw.transport.pause_reading()
            await eventually(lambda: not front.server.server_state.connections)
            ws.raw.transport.abort()
        async with socket(front) as ws:
            await ws.hear()
            await ws.say(type="resume", session=session, answers={"a": seen})
            assert (await ws.hear())["resumed"] is True
            first = await ws.hear()
            # More was sent than is kept of one answer, so the client is told that it cannot have all of it.
            assert (first["type"], first["error"]["code"]) == ("error", "not-held")


async def test_pings_without_a_reader_fill_no_memory() -> None:
    """While a client takes no pongs, its pings are not read."""
    async with upstream(ok) as up, router([up.url]) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        cast("Any", writer.transport).pause_reading()
        (connection,) = cast("set[Any]", front.server.server_state.connections)

        async def flood() -> None:
            for _ in range(500):
                writer.write(PING * 1_000)
                await writer.drain()

        flooding = asyncio.create_task(flood())
        await eventually(lambda: not connection.writable.is_set())
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert connection.transport.get_write_buffer_size() < 2_000_000
        assert not flooding.done()
        flooding.cancel()
        writer.transport.abort()


async def test_a_client_that_writes_all_of_a_refused_message_reads_why() -> None:
    """The rest of it is read over: a connection that closes at once would reset the close frame away."""
    size = websocket.MOST_BYTES + 8_000_000
    async with upstream(ok) as up, router([up.url]) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\xff" + size.to_bytes(8, "big") + b"mask")
        cast("Any", writer.transport).pause_reading()
        for _ in range(size // 65_536):
            writer.write(b"x" * 65_536)
            await writer.drain()
        cast("Any", writer.transport).resume_reading()
        length_and_code = (await reader.read()).rpartition(b"\x88")[2][:3]
        assert length_and_code[1:] == (1009).to_bytes(2, "big")
        writer.close()
        await eventually(lambda: not front.server.server_state.connections)


async def test_fragments_without_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They count for no limit of bytes, so their number is limited."""
    monkeypatch.setattr(websocket_connection, "MOST_FRAGMENTS", 100)
    async with upstream(ok) as up, router([up.url]) as front, socket(front) as ws:
        with contextlib.suppress(ConnectionClosed):
            await ws.raw.send(iter([""] * 200))
        assert (await ws.closed())[0] == 1009
