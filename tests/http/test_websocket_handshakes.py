"""Requests that ask for a WebSocket and are none, or not yet, against the server of Google's router."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Generator

import pytest

from bench.http.cases import get, message, post
from bench.http.wire import Conversation, Seen, converse
from functions.runtimes.server.options import WEBSOCKET_OPTIONS
from skyfleet.asgi import Message, Receive, Send, lifespan
from tests.http.support import Setup, running, serving

_FIELDS = (
    *(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)
_GOOD = get(*_FIELDS, target=b"/ws")
_NEXT = get(target=b"/next")


@pytest.fixture
def setup() -> Generator[Setup]:
    """A router whose end is a part of each test: a broken handshake must not break it."""
    with running(websockets=True) as one:
        yield one
        assert [reply.status for reply in _said(one, get(b"Connection: close")).replies()] == [200]


def _said(setup: Setup, *writes: bytes) -> Conversation:
    return converse(setup.port, writes, patience_s=20)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post(*_FIELDS, b"Content-Length: 3", target=b"/ws", body=b"abc"), 405),
        (get(*_FIELDS, b"Content-Length: 3", target=b"/ws") + b"abc", 400),
        (get(*_FIELDS, b"Transfer-Encoding: chunked", target=b"/ws") + b"0\r\n\r\n", 400),
        (message(b"GET /ws HTTP/1.0", *_FIELDS), 400),
        (get(b"Connection: no-upgrade", *_FIELDS[1:], target=b"/ws"), 400),
        (get(_FIELDS[0], b"Upgrade: h2c", *_FIELDS[2:], target=b"/ws"), 400),
        (_GOOD + _NEXT, 400),
    ],
    ids=["POST", "a length", "chunks", "HTTP/1.0", "another option", "h2c", "bytes behind it"],
)
def test_what_is_no_handshake_is_a_plain_request(sent: bytes, status: int, setup: Setup) -> None:
    """The upgrade is ignored (RFC 9110, section 7.8), and the connection goes on as HTTP."""
    reply, *_ = _said(setup, sent).replies()
    assert (reply.status, "error" in json.loads(reply.body)) == (status, True)
    followed = [one.target for one in setup.upstream.take() if isinstance(one, Seen)]
    kept = [] if b"HTTP/1.0" in sent else [b"/sentinel"]
    assert followed == ([b"/next", *kept] if sent.endswith(_NEXT) else kept)


@pytest.mark.parametrize(
    "line", [b"X-A: " + b"b" * 9_000, b"Upgrade: h2c"], ids=["a long field", "h2c first"]
)
def test_a_handshake_that_the_library_refuses_is_answered(line: bytes, setup: Setup) -> None:
    """Its limits are narrower than the server's, and it reads all values of `upgrade`."""
    talk = _said(setup, get(line, *_FIELDS, target=b"/ws"))
    assert [reply.status for reply in talk.replies()] in ([426], [431])
    assert talk.closed


def test_a_client_that_does_not_wait_for_its_handshake_is_left() -> None:
    """RFC 6455, section 4.1. The application has not answered yet, and hears that the client is gone."""
    asked, told = threading.Event(), threading.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        assert (await receive())["type"] == "websocket.connect"
        asked.set()
        assert (await receive())["type"] == "websocket.disconnect"
        told.set()

    with serving(app, WEBSOCKET_OPTIONS) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(_GOOD)
            assert asked.wait(5)
            client.sendall(_NEXT)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(65_536) == b""
        assert told.wait(5)
