"""A client that leaves cancels the work upstream, in every phase of its request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from tests.router.proxy.support import CHUNKED, EVENTS, PATIENT, away, chunk
from tests.router.support import CALM, Front, Peer, Received, alive, eventually, router, upstream

HEAD: Final = b"POST /invoke HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"
WHOLE: Final = HEAD + b"\r\nhi"


@dataclass
class Agent:
    """A script that sends a beginning and works on until its caller closes. endless: it sends all the while.
    stuck: its caller does not read."""

    beginning: bytes = b""
    endless: bool = False
    stuck: bool = False
    working: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        self.working += 1
        await peer.send(self.beginning)
        while self.endless and not peer.writer.transport.is_closing():
            self.stuck = peer.writer.transport.get_write_buffer_size() > 0
            await peer.send(chunk(b"x" * 65_536))
        await peer.until_closed()
        self.gone.set()


@contextlib.asynccontextmanager
async def client(front: Front, request: bytes) -> AsyncGenerator[asyncio.StreamReader, None]:
    """A client that leaves at the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(request)
    try:
        yield reader
    finally:
        writer.transport.abort()


async def idle(front: Front) -> None:
    """Wait until no request is active at any target."""
    async with asyncio.timeout(20):
        while any(target["inflight"] for target in (await front.status())["targets"]):
            await asyncio.sleep(0.01)


@pytest.fixture(params=[False, True], ids=["direct", "asgi"])
def asgi(request: pytest.FixtureRequest) -> bool:
    """How the server calls the router."""
    return bool(request.param)


SEND_EVENTS: Final = CHUNKED % EVENTS
BYTES: Final = CHUNKED % b"application/octet-stream"


@pytest.mark.parametrize(
    ("beginning", "shown"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: application/json\r\n\r\n12", b""),
        (SEND_EVENTS, b""),
        (SEND_EVENTS + chunk(b"data: 1\n\n"), b"data: 1"),
        (BYTES + chunk(b"first"), b"first"),
    ],
    ids=["wait", "small reply", "stream before its first event", "stream", "body"],
)
@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_reply_that_no_client_waits_for_is_cancelled(
    beginning: bytes, shown: bytes, repeatable: bool, asgi: bool
) -> None:
    """The agent's connection is closed, no other target is asked, and no request stays active."""
    agent, other = Agent(beginning), Agent()
    async with (
        upstream(agent) as a,
        upstream(other) as b,
        router([a.url, b.url], repeatable=repeatable, policy=replace(CALM, hedge="off"), asgi=asgi) as front,
    ):
        async with client(front, WHOLE) as reader:
            await eventually(lambda: agent.working == 1)
            if shown:
                await reader.readuntil(shown)
        await asyncio.wait_for(agent.gone.wait(), 20)
        await idle(front)
        assert (len(a.asked), len(b.asked)) == (1, 0)


async def test_a_client_that_stops_reading_and_leaves_is_noticed(asgi: bool) -> None:
    """The upstream connection is paused then, and closed all the same."""
    agent = Agent(BYTES, endless=True)
    async with upstream(agent) as up, router([up.url], asgi=asgi) as front:
        async with client(front, WHOLE) as reader:
            await reader.readuntil(b"\r\n\r\n")
            await eventually(lambda: agent.stuck)
        await asyncio.wait_for(agent.gone.wait(), 20)
        await idle(front)


async def test_every_attempt_of_a_request_is_cancelled(asgi: bool) -> None:
    """Redundant sends: each agent notices."""
    one, two = Agent(), Agent()
    asked = HEAD + b"x-skyfleet-redundant: 2\r\n\r\nhi"
    policy = replace(CALM, allowed_overrides=frozenset({"redundant"}))
    async with (
        upstream(one) as a,
        upstream(two) as b,
        router([a.url, b.url], policy=policy, asgi=asgi) as front,
    ):
        async with client(front, asked):
            await eventually(lambda: one.working == two.working == 1)
        await asyncio.wait_for(asyncio.gather(one.gone.wait(), two.gone.wait()), 20)
        await idle(front)


async def test_a_connection_that_is_being_opened_is_given_up(asgi: bool) -> None:
    """A target that accepts and never answers the TLS handshake: its socket is closed at once."""
    opened, closed = asyncio.Event(), asyncio.Event()

    async def accepts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        opened.set()
        while await reader.read(65_536):
            pass
        closed.set()
        writer.close()

    server = await asyncio.start_server(accepts, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    policy = replace(CALM, connect_timeout_s=60.0)
    async with server, router([f"https://127.0.0.1:{port}"], policy=policy, asgi=asgi) as front:
        async with client(front, WHOLE):
            await asyncio.wait_for(opened.wait(), 20)
        await asyncio.wait_for(closed.wait(), 20)
        await idle(front)


async def test_a_client_that_leaves_within_its_body_reaches_no_agent(asgi: bool) -> None:
    """The body is read before anything is sent, so there is nothing to cancel."""
    agent = Agent()
    async with upstream(agent) as up, router([up.url], asgi=asgi) as front:
        async with client(front, HEAD + b"\r\nh"):
            await asyncio.sleep(0.1)
        assert (await front.client.get("/health")).status_code == 200
        assert up.asked == []
        await idle(front)


async def test_a_queued_request_of_a_client_that_left_is_never_sent(asgi: bool) -> None:
    """No target can be reached and the client leaves; when the target returns, only another client's request
    is sent."""
    async with away(1) as (target,), router([target.one.url], policy=PATIENT, asgi=asgi) as front:
        queue = front.app._context.request_queue._waiting  # pyright: ignore
        async with client(front, WHOLE):
            await eventually(lambda: len(queue) == 1)
        await eventually(lambda: not queue)
        call = asyncio.create_task(front.client.post("/invoke", content=b"stays"))
        await eventually(lambda: len(queue) == 1)
        await target.returns()
        assert (await call).status_code == 200
        assert [one.body for one in target.one.asked] == [b"stays"]
