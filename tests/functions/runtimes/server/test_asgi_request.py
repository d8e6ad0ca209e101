"""ASGI applications behind the server, over sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest

from functions.runtimes.server.connection import HttpConnection
from skyfleet.asgi import Message, Receive, Scope, Send
from tests.functions.support import serving, until


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers by path."""
    path = scope["path"]
    if path == "/fails":
        raise ValueError("on purpose")
    if path == "/nothing":
        return
    if path == "/early":
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"X-Path", b"a")]}
    if path == "/trailers":
        await send({**start, "trailers": True})
        await send({"type": "http.response.body", "body": b"ok"})
        await send({"type": "http.response.trailers", "headers": [(b"digest", b"d")]})
        return
    await send(start)
    if path == "/breaks":
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        return
    told = f"{scope['method']} {scope['raw_path']!r} {scope['query_string']!r} {len(body)}"
    await send({"type": "http.response.body", "body": told.encode()})


def answers(url: str, data: bytes, *, until_closed: bool = False) -> bytes:
    """What a client reads that sends this in one write."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(data)
        found = b""
        while until_closed or not found.endswith((b"0\r\n\r\n", b"digest: d\r\n\r\n")):
            part = client.recv(65_536)
            if not part:
                break
            found += part
        return found


def request(line: str, *fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "host: h", *fields, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (request("GET /a%20b?c=%64"), b"GET b'/a%20b' b'c=%64' 0"),
        (request("BREW /"), b"BREW b'/' b'' 0"),
        (request("POST /", "content-length: 200000", body=b"x" * 200_000), b"POST b'/' b'' 200000"),
        (
            request("PUT /", "transfer-encoding: chunked", body=b"2\r\nab\r\n1\r\nc\r\n0\r\na: b\r\n\r\n"),
            b"PUT b'/' b'' 3",
        ),
        (request("GET http://h/x"), b"GET b'/x' b'' 0"),
    ],
)
def test_an_application_gets_the_request_as_it_was_sent(sent: bytes, told: bytes) -> None:
    """Methods that no list knows, encoded paths, bodies of both framings."""
    with serving(application, http=HttpConnection) as url:
        found = answers(url, sent)
    assert found.startswith(b"HTTP/1.1 200 OK\r\nx-path: a\r\n")
    assert told in found


def test_trailers_of_an_application_come_behind_its_body() -> None:
    """ASGI's extension http.response.trailers."""
    with serving(application, http=HttpConnection) as url:
        found = answers(url, request("GET /trailers"))
    assert found.endswith(b"\r\n\r\n2\r\nok\r\n0\r\ndigest: d\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/fails", b"500", "Exception in ASGI application"),
        ("/nothing", b"500", "returned without starting response"),
        ("/breaks", b"200", "returned without completing response"),
    ],
)
def test_a_defect_of_an_application_is_logged_and_ends_its_response(
    path: str, status: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No client takes half a response for a whole one."""
    log = logging.getLogger("uvicorn.error")
    with serving(application, http=HttpConnection) as url, caplog.at_level(logging.ERROR, log.name):
        log.addHandler(caplog.handler)  # uvicorn's loggers do not propagate
        found = answers(url, request(f"GET {path}"), until_closed=True)
        log.removeHandler(caplog.handler)
    assert found.startswith(b"HTTP/1.1 " + status)
    assert (status == b"500") is (b"\r\nconnection: close\r\n" in found)
    assert not found.endswith(b"0\r\n\r\n")
    assert words in caplog.text


def test_a_client_that_writes_all_of_a_refused_body_reads_the_refusal() -> None:
    """7 MB in one write: the connection is not reset."""
    with serving(application, http=HttpConnection) as url:
        sent = request("POST /early", "content-length: 7000000", body=b"x" * 7_000_000)
        found = answers(url, sent, until_closed=True)
    assert found.startswith(b"HTTP/1.1 413 ")
    assert found.endswith(b"2\r\nno\r\n0\r\n\r\n")


def test_an_application_notices_a_client_that_leaves() -> None:
    """Its next receive says so, and its next send is not an error."""
    left: list[Any] = []

    async def waits(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        left.append((await receive())["type"])
        await send({"type": "http.response.body", "body": b"b"})
        left.append("sent")

    with serving(waits, http=HttpConnection) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(request("GET /"))
            client.recv(65_536)
        until(lambda: len(left) == 2, "the application to notice")
    assert left == ["http.disconnect", "sent"]


def test_a_slow_client_pauses_the_application() -> None:
    """What waits for the client stays far below what the application would send."""
    sent: list[int] = []

    async def sends(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            sent.append(100_000)
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})

    with serving(sends, http=HttpConnection) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(request("GET /"))
            stalled = stalls(lambda: len(sent))
            found = 0
            while part := client.recv(1 << 20):
                found += len(part)
                if part.endswith(b"0\r\n\r\n"):
                    break
    assert stalled < 500
    assert found > 100_000_000


def stalls(count: Callable[[], int]) -> int:
    """The count once it no longer grows."""
    seen = [-1, -2, -3, -4, -5, -6]

    def still() -> bool:
        seen.append(count())
        return seen[-1] > 0 and len(set(seen[-40:])) == 1 and len(seen) > 46

    until(still, "the application to pause")
    return seen[-1]
