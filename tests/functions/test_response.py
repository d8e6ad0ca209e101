"""Tests of responses that break HTTP or the ASGI specification: errors of the agent, alike in each cloud."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from functions.response import InvalidResponse, check_head
from tests.asgi import Caller, Message, Receive, Send, call, scope
from tests.functions.support import application, signature, signed

HERE = __name__
BODY: Message = {"type": "http.response.body", "body": b"{}"}


async def broken(request: Message, receive: Receive, send: Send) -> None:
    """Breaks its response as the path says."""
    heads: dict[str, dict[str, Any]] = {
        "/status": {"status": 600},
        "/line-end": {"status": 200, "headers": [(b"x-own", b"a\r\nx-more: b")]},
        "/name": {"status": 200, "headers": [(b"x own", b"a")]},
        "/text": {"status": 200, "headers": [("x-own", "a")]},
        "/lengths": {"status": 200, "headers": [(b"content-length", b"2"), (b"content-length", b"3")]},
        "/fine": {"status": 200, "headers": [(b"content-length", b"2")]},
        "/no-fields": {"status": 200},
        "/iterated": {"status": 200, "headers": iter([(b"x-own", b"1")])},
    }
    match request["path"]:
        case "/nothing":
            return
        case "/body-first":
            await send(BODY)
        case "/waits":
            while (await receive())["type"] != "http.disconnect":
                pass
        case path:
            await send({"type": "http.response.start", **heads[path]})
            await send(BODY)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/status", "its status is 600"),
        ("/line-end", "has a line end"),
        ("/name", "is no token"),
        ("/text", "no pairs of bytes"),
        ("/lengths", "content-length"),
        ("/nothing", "returned without a response"),
        ("/body-first", "a body before the start"),
    ],
)
async def test_a_broken_response_is_an_error_of_the_agent(
    path: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the load report, by which a router knows that the cloud works. The log has the reason."""
    reply = await signed(application(f"{HERE}:broken"), "GET", path, headers={"x-request-id": "r-7"})
    assert (reply.status, reply.json["error"]["code"]) == (500, "agent-failed")
    assert reply.header("endpoint-load-metrics") is not None
    assert words in caplog.text
    assert "r-7" in caplog.text


@pytest.mark.parametrize(("path", "own"), [("/fine", None), ("/no-fields", None), ("/iterated", "1")])
async def test_a_whole_response_passes(path: str, own: str | None) -> None:
    """As it is, also fields that can be read only once."""
    reply = await signed(application(f"{HERE}:broken"), "GET", path)
    assert (reply.status, reply.body, reply.header("x-own")) == (200, b"{}", own)


async def test_no_response_is_needed_when_the_client_has_left(caplog: pytest.LogCaptureFixture) -> None:
    """An application that stops then has done nothing wrong."""
    app = application(f"{HERE}:broken")
    caller = Caller([b""])
    request = scope("GET", "/waits", b"", signature("GET", "/waits", b"", b""))
    running = asyncio.create_task(app(request, caller.receive, caller.send))
    caller.hang_up.set()
    await running
    assert caller.messages == []
    assert not caplog.records


async def test_an_unsigned_request_gets_no_answer_of_the_agent() -> None:
    """The check is behind the signature."""
    assert (await call(application(f"{HERE}:broken"), "GET", "/nothing")).status == 401


@pytest.mark.pure
@pytest.mark.parametrize("status", [True, 99, 101, 199, 600, None, 2e2, "200"])
def test_other_statuses_are_none(status: object) -> None:
    """An interim response cannot end one."""
    with pytest.raises(InvalidResponse, match="status"):
        check_head(status, ())


@pytest.mark.pure
@pytest.mark.parametrize("name", [b"", b"x:", b"x\n", "x\u00e4".encode()])
def test_other_names_are_none(name: bytes) -> None:
    """An empty one too, beside others."""
    with pytest.raises(InvalidResponse, match="token"):
        check_head(200, [(b"x-own", b"1"), (name, b"1")])


@pytest.mark.pure
def test_values_may_have_any_other_byte() -> None:
    """Latin-1, a tab, nothing."""
    check_head(204, [(b"x-own", b"\xff\t"), (b"X-Own", b""), (b"Content-Length", b"0")])
