"""Tests of the bound on the bodies that one router instance holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import pytest

from router.app import App
from router.core.errors import CallerError
from router.proxy.held import MOST_HELD, UNCOUNTED, HeldBodies, HeldBody
from skyfleet.asgi import BODY_LIMIT, BodyTooLarge, Message
from tests.router.proxy.support import CHUNKED, EVENTS, chunk, sends
from tests.router.support import (
    API_KEY,
    Front,
    Peer,
    Received,
    alive,
    eventually,
    ok,
    router,
    settings,
    upstream,
)

LARGE: Final = 1_000_000
HEAD: Final = b"POST /e HTTP/1.1\r\nhost: x\r\n"


def test_the_bytes_of_all_bodies_are_bounded() -> None:
    """What one gives back another may have; no body shrinks by a smaller report of its size."""
    bodies = HeldBodies(3 * LARGE)
    one, two = HeldBody(bodies), HeldBody(bodies)
    one.grow(LARGE)
    one.grow(10)
    two.grow(2 * LARGE)
    assert bodies.size == 3 * LARGE
    with pytest.raises(CallerError) as refused:
        one.grow(LARGE + 1)
    assert (refused.value.status, refused.value.code) == (503, "too-many-bodies")
    assert dict(refused.value.fields) == {b"retry-after": b"1", b"x-should-retry": b"true"}
    assert bodies.size == 3 * LARGE
    two.release()
    two.release()
    one.grow(LARGE + 1)
    assert bodies.size == LARGE + 1
    with pytest.raises(BodyTooLarge):
        one.grow(BODY_LIMIT + 1)
    one.release()
    assert bodies.size == 0
    assert MOST_HELD >= 10 * BODY_LIMIT


@contextlib.asynccontextmanager
async def sending(front: Front, data: bytes) -> AsyncGenerator[asyncio.StreamReader]:
    """A client that leaves at the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(data)
    try:
        yield reader
    finally:
        writer.transport.abort()


async def test_a_declared_body_counts_before_it_is_read() -> None:
    """The client that fits is told to go on, the one that does not gets 503 instead of 100 Continue; the
    place is given back when the first one leaves."""
    waiting = HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % LARGE
    async with upstream(ok) as up, router([up.url]) as front:
        bodies = front.app.bodies
        bodies.most = LARGE + 10
        async with sending(front, waiting) as first:
            assert await first.readuntil(b"\r\n") == b"HTTP/1.1 100 Continue\r\n"
            assert bodies.size == LARGE
            async with sending(front, waiting) as second:
                answer = await second.readuntil(b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"retry-after: 1\r\n" in answer
            assert (await front.client.post("/e", content=b"x" * UNCOUNTED)).status_code == 200
        await eventually(lambda: bodies.size == 0)
        assert (await front.client.post("/e", content=b"x" * LARGE)).status_code == 200
        assert bodies.size == 0
        assert [len(one.body) for one in up.asked] == [UNCOUNTED, LARGE]


async def test_a_chunked_body_counts_as_it_grows() -> None:
    """Beyond the bound it is refused without having reached an agent."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 65_536

    async with upstream(ok) as up, router([up.url]) as front:
        front.app.bodies.most = LARGE
        reply = await front.client.post("/e", content=endless())
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "too-many-bodies")
        assert reply.headers["x-should-retry"] == "true"
        assert up.asked == []
        await eventually(lambda: front.app.bodies.size == 0)


async def test_clients_that_vanish_within_their_bodies_leave_nothing() -> None:
    """Declared and chunked."""
    async with upstream(ok) as up, router([up.url]) as front:
        bodies = front.app.bodies
        async with contextlib.AsyncExitStack() as clients:
            for _ in range(5):
                await clients.enter_async_context(
                    sending(front, HEAD + b"content-length: %d\r\n\r\nx" % LARGE)
                )
                part = chunk(b"x" * 70_000) + b"9\r\n"
                await clients.enter_async_context(
                    sending(front, HEAD + b"transfer-encoding: chunked\r\n\r\n" + part)
                )
            await eventually(lambda: bodies.size == 5 * (LARGE + 70_000))
        await eventually(lambda: bodies.size == 0)
        assert up.asked == []


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_body_is_let_go_when_no_other_attempt_can_need_it(repeatable: bool) -> None:
    """With the head of the reply, unless another target may have to resume the stream."""
    script = sends(CHUNKED % EVENTS + chunk(b"data: 1\n\n"))
    async with upstream(script) as up, router([up.url], repeatable=repeatable) as front:
        bodies = front.app.bodies
        async with front.client.stream("POST", "/e", content=b"x" * LARGE) as reply:
            assert reply.status_code == 200
            assert bodies.size == (LARGE if repeatable else 0)
        await eventually(lambda: bodies.size == 0)


@pytest.mark.parametrize("status", [200, 422, 429, 500])
async def test_a_body_reaches_the_next_target_as_it_was(status: int) -> None:
    """It is held for as long as another attempt may follow, and counts once."""
    body = bytes(range(256)) * 20_000

    async def answers(request: Received, peer: Peer) -> None:
        await (alive(peer) if request.target == "/health" else peer.reply(status))

    async with upstream(answers) as one, upstream(answers) as two, router([one.url, two.url]) as front:
        reply = await front.client.post("/e", content=body)
        assert reply.status_code == status
        assert all(asked.body == body for asked in (*one.asked, *two.asked))
        assert len(one.asked) + len(two.asked) == (2 if status in (429, 500) else 1)
        assert front.app.bodies.size == 0


async def test_an_asgi_server_is_bounded_too() -> None:
    """As on Azure: declared or not, refused or not, nothing is left."""
    async with upstream(ok) as up:
        app = App(settings([up.url]))
        app.bodies.most = 3 * LARGE
        sent: list[Message] = []
        parts = [b"x" * LARGE] * 4

        async def receive() -> Message:
            part = parts.pop()
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Message = {
            "type": "http",
            "method": "POST",
            "path": "/e",
            "raw_path": b"/e",
            "query_string": b"",
            "headers": [(b"host", b"x"), (b"authorization", f"Bearer {API_KEY}".encode())],
        }
        await app(scope, receive, send)
        assert sent[0]["status"] == 503
        parts, sent = [b"x" * LARGE] * 3, []
        await app(scope, receive, send)
        assert sent[0]["status"] == 200
        assert len(up.asked[0].body) == 3 * LARGE
        assert app.bodies.size == 0
        await app.close()
