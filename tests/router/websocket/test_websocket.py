"""Claims about `/ws` behind a real server: handshakes, many requests at once, failover, ends, resuming."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

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
from tests.router.websocket.support import STREAM, Streams, chunk, router, socket


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


async def test_the_path_is_compared_as_it_was_sent() -> None:
    """A query belongs to no path; a path that would be the router's once decoded is none of its own."""
    async with upstream(ok) as up, router([up.url]) as front:
        base = f"ws://127.0.0.1:{front.port}"
        async with connect(f"{base}/ws?token=x", proxy=None) as raw:
            assert json.loads(await raw.recv())["type"] == "session"
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{base}/%77s", proxy=None)
        reply = caught.value.response
        assert (reply.status_code, json.loads(reply.body)["error"]["code"]) == (404, "no-websocket")


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


def test_nothing_of_it_is_imported_at_the_start() -> None:
    """Neither the library nor our part, until there is a handshake."""
    code = (
        "import sys, router.app, functions.runtimes.server.options as o; o.WEBSOCKET_OPTIONS\n"
        "print([name for name in sys.modules if name.startswith(('websockets', 'router.websocket'))])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
