"""Claims about `/ws` behind a real server: handshakes, many requests at once, failover, ends, resuming."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
import sys
from typing import Any, cast

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from functions.runtimes.server import websocket_connection
from tests.router.support import (
    API_KEY,
    QUICK,
    Peer,
    Received,
    closed_url,
    eventually,
    ok,
    upstream,
)
from tests.router.support import router as plain_router
from tests.router.websocket.support import router, socket

STREAM = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING = b"\x89\xfd" + bytes(4 + 125)


def chunk(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


class Streams:
    """A script: each stream of events goes on when it may, and may be cut."""

    def __init__(self) -> None:
        self.go_on, self.cut = asyncio.Event(), False
        self.left = 0

    async def __call__(self, request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await ok(request, peer)
            return
        await peer.send(b"HTTP/1.1 200 OK\r\n" + STREAM.encode())
        await peer.send(chunk('event: delta\ndata: {"text": "a"}\n\n'))
        gone, told = asyncio.create_task(peer.until_closed()), asyncio.create_task(self.go_on.wait())
        await asyncio.wait([gone, told], return_when="FIRST_COMPLETED")
        left = gone.done()
        gone.cancel()
        told.cancel()
        await asyncio.wait([gone, told])
        if left:
            self.left += 1
            return
        if self.cut:
            peer.reset()
            return
        await peer.send(chunk('event: done\ndata: {"output": "ab"}\n\n') + b"0\r\n\r\n")


async def test_messages_are_requests() -> None:
    """With the reply's status, fields and body; the field with the key stays here; ids are the client's."""
    key = {"x-api-key": API_KEY, "user-agent": "a test", "authorization": "Bearer of-the-agent"}
    async with (
        upstream(ok) as up,
        router([up.url], SKYFLEET_OPEN="0") as front,
        socket(front, key, user_agent_header=None) as ws,
    ):
        session = await ws.hear()
        assert (session["type"], session["resumed"], session["hold_s"]) == ("session", False, 60)
        await ws.ask("one", {"input": "x"}, headers={"idempotency-key": "k1", "x-api-key": API_KEY})
        head, end = await ws.answer("one")
        assert (head["type"], head["status"], head["body"]) == ("response", 200, {"output": "fine"})
        assert head["headers"]["x-skyfleet-target"] == "aws/r0"
        assert (end["type"], end["seq"]) == ("complete", 2)
        (seen,) = up.asked
        assert (seen.method, seen.target, json.loads(seen.body)) == ("POST", "/invoke", {"input": "x"})
        assert seen.headers["idempotency-key"] == "k1"
        assert seen.headers["authorization"] == "Bearer of-the-agent"
        assert seen.headers["user-agent"] == "a test"
        assert "x-api-key" not in seen.headers
        assert f'host="127.0.0.1:{front.port}"' in seen.headers["x-skyfleet-forwarded"]
        assert seen.headers["x-skyfleet-signature"]


async def test_without_the_key_there_is_no_websocket() -> None:
    """401 as over HTTP; a page may bring the key as a subprotocol, which is never repeated."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        for headers in ({}, {"x-api-key": "no"}, {"authorization": "Bearer no"}):
            with pytest.raises(InvalidStatus) as caught:
                async with socket(front, headers, subprotocols=["skyfleet.v1"]):
                    pass
            reply = caught.value.response
            assert (reply.status_code, json.loads(reply.body)["error"]["code"]) == (401, "unauthorized")
            assert reply.headers["www-authenticate"].startswith("Bearer ")
        coded = base64.urlsafe_b64encode(API_KEY.encode()).decode().rstrip("=")
        offered = [f"base64url.bearer.authorization.skyfleet.{coded}", "skyfleet.v1"]
        async with socket(front, subprotocols=offered) as ws:
            assert ws.raw.subprotocol == "skyfleet.v1"
            await ws.hear()
            await ws.ask("a")
            assert (await ws.answer("a"))[-1]["type"] == "complete"
        assert not any(API_KEY in value for value in up.asked[0].headers.values())


async def test_handshakes_that_are_refused_say_why() -> None:
    """Another path, another origin: JSON over HTTP with the status."""
    async with (
        upstream(ok) as up,
        router([up.url], SKYFLEET_CORS_ORIGINS='["https://app.example"]') as front,
    ):
        with pytest.raises(InvalidStatus) as caught:
            async with socket(front, origin="https://evil.example"):
                pass
        assert json.loads(caught.value.response.body)["error"]["code"] == "origin-not-allowed"
        async with socket(front, origin="https://app.example") as ws:
            assert (await ws.hear())["type"] == "session"
        plain = await front.client.get("/ws")
        assert (plain.status_code, plain.json()["error"]["code"]) == (400, "websocket-expected")


async def test_a_cloud_without_websockets_says_so() -> None:
    """Its platform passes a handshake on as plain HTTP, if at all."""
    async with upstream(ok) as up:
        for cloud in ("aws", "azure"):
            async with plain_router([up.url], SKYFLEET_CLOUD=cloud) as front:
                upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
                reply = await front.client.get("/ws", headers=upgrade)
                error = reply.json()["error"]
                assert (reply.status_code, error["code"]) == (501, "no-websocket")
                assert f"runs on {cloud}" in error["message"]
        assert up.received == []


async def test_many_are_in_flight() -> None:
    """Answers come as they are ready; each event is a message."""
    script = Streams()
    async with upstream(script) as up, router([up.url]) as front, socket(front) as ws:
        await ws.hear()
        for number in range(20):
            await ws.ask(f"s{number}")
        begun = [await ws.hear() for _ in range(40)]
        assert {one["type"] for one in begun} == {"response", "event"}
        assert {one["id"] for one in begun} == {f"s{number}" for number in range(20)}
        script.go_on.set()
        rest = [await ws.hear() for _ in range(40)]
        done = [one for one in rest if one["type"] == "event"]
        assert all(one["event"] == "done" and one["data"] == {"output": "ab"} for one in done)
        assert len(done) == len([one for one in rest if one["type"] == "complete"]) == 20


async def test_a_lost_target_costs_no_message() -> None:
    """Before and between messages: each is tried elsewhere, as over HTTP."""
    async with (
        upstream(ok) as first,
        upstream(ok) as second,
        router([first.url, second.url]) as front,
        socket(front) as ws,
    ):
        await ws.hear()
        await ws.ask("a")
        assert (await ws.answer("a"))[0]["headers"]["x-skyfleet-target"] == "aws/r0"
    async with upstream(ok) as second, router([closed_url(), second.url]) as front, socket(front) as ws:
        await ws.hear()
        for number in range(5):
            await ws.ask(str(number))
            head, end = await ws.answer(str(number))
            assert (head["status"], head["headers"]["x-skyfleet-target"]) == (200, "azure/r1")
            assert end["type"] == "complete"


async def test_no_target_is_a_whole_answer() -> None:
    """The router's own error has its status, as over HTTP."""
    async with router([closed_url()], policy=QUICK) as front, socket(front) as ws:
        await ws.hear()
        await ws.ask("a")
        head, end = await ws.answer("a")
        assert (head["status"], head["body"]["error"]["code"]) == (503, "no-target")
        assert "retry-after" in head["headers"]
        assert end["type"] == "complete"


async def test_a_stream_that_breaks_off_says_so() -> None:
    """Its last message is `error` and never `complete`."""
    script = Streams()
    script.cut = True
    async with upstream(script) as up, router([up.url], repeatable=False) as front, socket(front) as ws:
        await ws.hear()
        await ws.ask("a")
        assert [(await ws.hear())["type"] for _ in range(2)] == ["response", "event"]
        script.go_on.set()
        last = (await ws.answer("a"))[-1]
        assert last["type"] == "error"
        assert last["error"]["code"]


async def test_a_reply_that_no_message_can_carry_is_an_error() -> None:
    """A reply or an event beyond its limit, and one that is no text; the connection stays."""

    async def large(request: Received, peer: Peer) -> None:
        if request.target == "/binary":
            await peer.reply(200, b"\xff\xfe", headers="content-type: application/octet-stream\r\n")
        elif request.target == "/reply":
            await peer.reply(200, b"x" * 7_000_000)
        elif request.target == "/event":
            await peer.send(b"HTTP/1.1 200 OK\r\n" + STREAM.encode())
            await peer.send(chunk("data: 1\n\n"))
            await peer.send(chunk("data: " + "x" * 2_000_000 + "\n\n"))
        else:
            await ok(request, peer)

    codes = {"/reply": "reply-too-large", "/event": "event-too-large", "/binary": "reply-not-text"}
    async with upstream(large) as up, router([up.url]) as front, socket(front) as ws:
        await ws.hear()
        for path, code in codes.items():
            await ws.ask(path, path=path)
            assert (await ws.answer(path))[-1]["error"]["code"] == code
        await ws.ask("more")
        assert (await ws.answer("more"))[-1]["type"] == "complete"
        assert all(one["inflight"] == 0 for one in (await front.status())["targets"])


async def test_a_client_that_comes_back_resumes() -> None:
    """What arrived while it was gone, and what still runs; another session's answers are not held."""
    script = Streams()
    async with upstream(script) as up, router([up.url]) as front:
        async with socket(front) as ws:
            session = (await ws.hear())["session"]
            await ws.ask("a")
            assert [(await ws.hear())["seq"] for _ in range(2)] == [1, 2]
            ws.raw.transport.abort()
        script.go_on.set()
        async with socket(front) as ws:
            await ws.hear()
            await ws.say(type="resume", session=session, answers={"a": 1, "b": 0})
            again = await ws.hear()
            assert (again["session"], again["resumed"]) == (session, True)
            lost = await ws.hear()
            assert (lost["id"], lost["status"], lost["error"]["code"]) == ("b", 410, "not-held")
            rest = await ws.answer("a")
            assert [(one["type"], one["seq"]) for one in rest] == [
                ("event", 2),
                ("event", 3),
                ("complete", 4),
            ]
            await ws.ask("c")
            assert (await ws.answer("c"))[-1]["type"] == "complete"
        async with socket(front) as ws:
            await ws.hear()
            await ws.say(type="resume", session="0" * 32, answers={"a": 4})
            assert (await ws.hear())["resumed"] is False
            assert (await ws.hear())["error"]["code"] == "not-held"
        assert len(up.asked) == 2


async def test_a_client_that_cancels_stops_the_agent() -> None:
    """The answer ends with an error, and the other requests go on."""
    script = Streams()
    async with upstream(script) as up, router([up.url]) as front, socket(front) as ws:
        await ws.hear()
        await ws.ask("a")
        await ws.ask("b")
        for _ in range(4):
            await ws.hear()
        await ws.say(type="cancel", id="a")
        await ws.say(type="cancel", id="unknown")
        last = await ws.hear()
        assert (last["id"], last["type"], last["error"]["code"]) == ("a", "error", "cancelled")
        await eventually(lambda: script.left == 1)
        script.go_on.set()
        assert (await ws.answer("b"))[-1]["type"] == "complete"


async def test_mistakes() -> None:
    """In a request: an error of its id. In a message: the connection closes with a code that says why."""
    async with upstream(ok) as up, router([up.url]) as front:
        async with socket(front) as ws:
            await ws.hear()
            await ws.ask("a", path="/health")
            assert (await ws.answer("a"))[-1]["error"]["code"] == "bad-request"
            await ws.ask("b", headers={"x-skyfleet-strategy": "best"})
            assert (await ws.answer("b"))[-1]["status"] == 400
            await ws.say(type="ping")
            assert await ws.hear() == {"type": "pong"}
            await ws.raw.send("{")
            assert await ws.closed() == (4400, "The message is not JSON.")
        async with socket(front) as ws:
            await ws.raw.send(b"{}")
            assert (await ws.closed())[0] == 1003
        async with socket(front) as ws:
            with contextlib.suppress(ConnectionClosed):
                await ws.raw.send("x" * (7 * 1024 * 1024))
            assert (await ws.closed())[0] == 1009
    assert up.received == []


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


async def test_fragments_without_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They count for no limit of bytes, so their number is limited."""
    monkeypatch.setattr(websocket_connection, "MOST_FRAGMENTS", 100)
    async with upstream(ok) as up, router([up.url]) as front, socket(front) as ws:
        with contextlib.suppress(ConnectionClosed):
            await ws.raw.send(iter([""] * 200))
        assert (await ws.closed())[0] == 1009


def test_nothing_of_it_is_imported_at_the_start() -> None:
    """Neither the library nor our part, until there is a handshake."""
    code = (
        "import sys, router.app, functions.runtimes.server.options as o; o.WEBSOCKET_OPTIONS\n"
        "print([name for name in sys.modules if name.startswith(('websockets', 'router.websocket'))])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
