"""Tests of the relay between the server's loop and the agent's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from functions.execution.blocked import BlockedWatch
from functions.execution.loop import agent_loop
from functions.execution.relay import AHEAD_BYTES, Relay
from functions.runner import ON_START, ReplayStored, notify_start
from tests.asgi import App, Caller, Message, Receive, Send, call, scope

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def relayed(app: App) -> Relay:
    return Relay(app, agent_loop(), BlockedWatch(agent_loop(), ()))


@dataclass(slots=True)
class Slow:
    """A client that reads nothing before it is told."""

    reads: asyncio.Event = field(default_factory=asyncio.Event)
    got: int = 0
    problem: Exception | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            await self.reads.wait()
            self.got += len(message["body"])
            if self.problem is not None:
                raise self.problem


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


async def test_a_request_and_its_reply_pass_unchanged() -> None:
    """The application runs in another thread."""
    threads: list[int] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        threads.append(threading.get_ident())
        said = await receive()
        await send({**START, "status": 201, "headers": [(b"x-own", scope["path"].encode())]})
        await send(body(said["body"], more=True))
        await send(body(b"."))

    reply = await call(relayed(app), "PUT", "/a", body=b"b")
    assert (reply.status, reply.header("x-own"), reply.body, reply.complete) == (201, "/a", b"b.", True)
    assert threads == [agent_loop().thread_id] != [threading.get_ident()]


async def test_the_disconnect_of_a_client_reaches_the_application() -> None:
    """Each that asks gets it, and it may ask again."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        first, second = await asyncio.gather(receive(), receive())
        await send({**START, "status": 200 if first == second == await receive() else 500})
        await send(body(first["type"].encode()))

    caller = Caller([b""])
    running = asyncio.create_task(relayed(app)(scope("GET", "/"), caller.receive, caller.send))
    await asyncio.sleep(0.01)
    caller.hang_up.set()
    await running
    assert (caller.reply().status, caller.reply().body) == (200, b"http.disconnect")


async def test_each_message_of_the_server_reaches_the_application() -> None:
    """A server may give a body in pieces to an application that is not behind our middleware."""
    pieces = [b"a", b"b", b"c"]

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        messages = [await receive() for _ in range(4)]
        await send(START)
        await send(body(b"".join(message.get("body", b"-") for message in messages)))

    caller = Caller(pieces)
    caller.hang_up.set()
    await relayed(app)(scope("GET", "/"), caller.receive, caller.send)
    assert caller.reply().body == b"abc-"


async def test_the_application_is_not_far_ahead_of_its_client() -> None:
    """Its `send` waits, and goes on with the client."""
    sent = 0

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(START)
        for _ in range(100):
            await send(body(bytes(AHEAD_BYTES // 4), more=True))
            sent += 1
        await send(body(b""))

    client = Slow()
    running = asyncio.create_task(relayed(app)(scope("GET", "/"), Caller([b""]).receive, client.send))
    await until(lambda: sent >= 4)
    await asyncio.sleep(0.01)
    assert sent == 4
    client.reads.set()
    await running
    assert client.got == 25 * AHEAD_BYTES


async def test_the_application_learns_that_its_client_is_gone() -> None:
    """`send` raises OSError, as the ASGI specification asks; the server gets its own exception."""
    seen: list[type[BaseException]] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        try:
            while True:
                await send(body(bytes(AHEAD_BYTES), more=True))
        except OSError as error:
            seen.append(type(error))

    client = Slow(problem=ConnectionResetError("gone"))
    client.reads.set()
    with pytest.raises(ConnectionResetError, match="gone"):
        await relayed(app)(scope("GET", "/"), Caller([b""]).receive, client.send)
    assert seen == [OSError]


async def test_a_cancelled_request_cancels_the_application_and_waits_for_it() -> None:
    """Its `finally` has run when the server goes on."""
    seen: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        try:
            seen.append("runs")
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            seen.append("ended")

    running = asyncio.create_task(relayed(app)(scope("GET", "/"), Caller([b""]).receive, Caller([]).send))
    await until(lambda: bool(seen))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen == ["runs", "ended"]


async def _raises(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (ValueError("no"), ValueError, "no"),
        (SystemExit(3), RuntimeError, "SystemExit: 3"),
        (BaseException("no"), RuntimeError, "BaseException: no"),
        (asyncio.CancelledError(), RuntimeError, "cancelled the task"),
    ],
)
async def test_an_exception_of_the_application_is_raised_to_the_server(
    error: BaseException, raised: type[Exception], words: str
) -> None:
    """One that would end a loop or a task of the server is an ordinary one there."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await _raises(error)

    with pytest.raises(raised, match=words):
        await call(relayed(app), "GET", "/")


async def test_the_hook_before_the_agent_runs_on_the_servers_loop() -> None:
    """The bucket of idempotency keys is there. What the hook raises ends the request."""
    threads: list[int] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await notify_start(scope)
        threads.append(threading.get_ident())
        await send(START)
        await send(body(b""))

    async def hook() -> None:
        threads.append(threading.get_ident())

    async def refuse() -> None:
        raise ReplayStored

    async def ask(start: Callable[[], Awaitable[None]]) -> None:
        caller = Caller([b""])
        await relayed(app)({**scope("GET", "/"), ON_START: start}, caller.receive, caller.send)

    await ask(hook)
    assert threads == [threading.get_ident(), agent_loop().thread_id]
    with pytest.raises(ReplayStored):
        await ask(refuse)


async def test_many_requests_at_once_keep_their_replies_apart() -> None:
    """Messages of one request stay in order."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        for number in range(20):
            await send(body(f"{scope['path']} {number}\n".encode(), more=True))
            if number % 5 == 0:
                await asyncio.sleep(0)
        await send(body(b""))

    relay = relayed(app)
    replies = await asyncio.gather(*(call(relay, "GET", f"/{each}") for each in range(50)))
    for each, reply in enumerate(replies):
        assert reply.body.decode().split("\n")[:-1] == [f"/{each} {number}" for number in range(20)]
