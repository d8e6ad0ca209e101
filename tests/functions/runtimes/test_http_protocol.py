"""Tests of the protocol that writes the head of a response with its body."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Callable
from typing import Any, cast

import pytest

from functions.runtimes.http_protocol import HeadBuffer, HttpProtocol
from tests.asgi import Message, Receive, Send
from tests.functions.support import serving


class Transport:
    """Records what is written; its own turn of the event loop comes when the test says so."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False
        self.soon: list[Callable[[], object]] = []

    def get_extra_info(self, name: str) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def set_protocol(self, protocol: object) -> None: ...

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        """The next turn of the loop."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


@pytest.fixture
def transport() -> Transport:
    """The transport under a buffer."""
    return Transport()


@pytest.fixture
def buffer(transport: Transport) -> HeadBuffer:
    """A buffer of a connection that has just opened."""
    return HeadBuffer(cast("asyncio.Transport", transport), cast("asyncio.AbstractEventLoop", transport))


def test_a_head_and_its_body_are_one_write(buffer: HeadBuffer, transport: Transport) -> None:
    """The parts after it go out as they come, and the next response begins with a head again."""
    for _ in range(2):
        buffer.write(b"head ")
        buffer.write(b"body ")
        buffer.write(b"more ")
        buffer.expect_head()
        transport.turn()
    assert transport.written == [b"head body ", b"more "] * 2


def test_a_head_without_a_body_goes_out_in_the_next_turn(buffer: HeadBuffer, transport: Transport) -> None:
    """A stream's client sees the head although the first event is far away."""
    buffer.write(b"head ")
    assert transport.written == []
    transport.turn()
    buffer.write(b"event ")
    assert transport.written == [b"head ", b"event "]


@pytest.mark.parametrize("end", ["close", "expect_head"])
def test_a_held_head_goes_out_before_the_end(end: str, buffer: HeadBuffer, transport: Transport) -> None:
    """The connection closes after it, and the head of the next response stays apart from it."""
    buffer.write(b"head ")
    getattr(buffer, end)()
    assert transport.written == [b"head "]
    assert transport.closed is (end == "close")


async def _app(scope: Message, receive: Receive, send: Send) -> None:
    """Answers with a length, in chunks, without a body, or with what it received."""
    path = scope["path"]
    body = b""
    while path == "/echo":
        message: dict[str, Any] = dict(await receive())
        body += message["body"]
        if not message["more_body"]:
            break
    parts = {"/length": [b"abc"], "/chunks": [b"ab", b"c"], "/echo": [body], "/none": [b""]}[path]
    headers = [(b"content-length", b"%d" % len(b"".join(parts)))] if path != "/chunks" else []
    await send({"type": "http.response.start", "status": 204 if path == "/none" else 200, "headers": headers})
    for number, part in enumerate(parts):
        await send({"type": "http.response.body", "body": part, "more_body": number < len(parts) - 1})


def test_every_kind_of_response_passes_whole_on_one_connection() -> None:
    """With a length, chunked, without a body, to HEAD, and after `100 Continue`."""
    with serving(_app, HttpProtocol) as url:
        found = _talk(int(url.rsplit(":", 1)[1]))
    assert found == [
        (200, b"abc"),
        (200, b"abc"),
        (204, b""),
        (200, b""),
        (200, b"x" * 100_000),
        (200, b"abc"),
    ]


def _talk(port: int) -> list[tuple[int, bytes]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    found: list[tuple[int, bytes]] = []
    asked: list[tuple[str, str, bytes | None, dict[str, str]]] = [
        ("GET", "/length", None, {}),
        ("GET", "/chunks", None, {}),
        ("GET", "/none", None, {}),
        ("HEAD", "/length", None, {}),
        ("POST", "/echo", b"x" * 100_000, {"expect": "100-continue"}),
        ("GET", "/length", None, {"connection": "close"}),
    ]
    for method, path, body, headers in asked:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        found.append((reply.status, reply.read()))
    connection.close()
    return found
