"""Tests of how often the official OpenAI client sends one request on its defaults: as often as is harmless.

It repeats twice by itself (openai-python, `DEFAULT_MAX_RETRIES`), unless it is told otherwise.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx2 as httpx  # the HTTP client of the openai package
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI, InternalServerError

from tests.router.proxy.support import CHUNKED, EVENTS, JSON, MARK, breaks, chunk, sends
from tests.router.support import Front, Peer, Received, Script, alive, closed_url, router, upstream
from tests.trust import NO_CERTIFICATES

# The client waits no longer between two attempts.
SOON: Final = "retry-after-ms: 5\r\n"
HALF: Final = b'{"output": "half"}'


def answers(status: int, fields: str = "") -> Script:
    async def script(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
        else:
            await peer.reply(status, b'{"error": {"code": "x"}}', headers=MARK + SOON + fields)

    return script


@contextlib.asynccontextmanager
async def sdk(front: Front) -> AsyncGenerator[AsyncOpenAI, None]:
    """The client as its documentation shows it, with this router's address."""
    async with (
        httpx.AsyncClient(trust_env=False, verify=NO_CERTIFICATES) as http,
        AsyncOpenAI(base_url=f"http://127.0.0.1:{front.port}/v1", api_key="k", http_client=http) as client,
    ):
        yield client


async def chat(client: AsyncOpenAI, **more: Any) -> Any:  # noqa: ANN401 - what the client takes and returns
    messages: Any = [{"role": "user", "content": "book a table"}]
    create: Any = client.chat.completions.create
    return await create(model="m", messages=messages, **more)


@pytest.mark.parametrize(
    ("script", "repeatable", "times"),
    [
        (breaks, False, 1),
        (sends(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", HALF, reset=True), False, 1),
        (sends(JSON, chunk(HALF), reset=True), False, 1),
        (answers(408), False, 1),
        (answers(409), False, 1),
        (answers(500), False, 1),
        (answers(500), True, 3),
        (answers(500, "x-should-retry: true\r\n"), False, 3),
        (answers(502, "x-skyfleet-outcome: dependency\r\n"), False, 1),
        (answers(429), False, 3),
        (answers(429, "x-skyfleet-outcome: dependency\r\nx-should-retry: false\r\n"), False, 1),
        (answers(400), True, 1),
    ],
    ids=[
        "reset",
        "cut-length",
        "cut-document",
        "408",
        "409",
        "500",
        "500-repeatable",
        "500-its-agent-says",
        "502-dependency",
        "429",
        "429-quota",
        "400",
    ],
)
async def test_the_official_client_repeats_what_is_harmless_and_nothing_else(
    script: Script, repeatable: bool, times: int
) -> None:
    """The number of requests that reach the agent."""
    async with upstream(script) as up, router([up.url], repeatable=repeatable) as front, sdk(front) as client:
        with pytest.raises(APIStatusError):
            await chat(client)
        assert len(up.asked) == times


async def test_what_all_targets_answer_alike_is_not_repeated() -> None:
    """The client's library would send both requests again, twice."""
    async with (
        upstream(answers(500)) as a,
        upstream(answers(500)) as b,
        router([a.url, b.url]) as front,
        sdk(front) as client,
    ):
        with pytest.raises(InternalServerError):
            await chat(client)
        assert len(a.asked) + len(b.asked) == 2


async def test_a_keyed_request_is_not_repeated_for_its_stored_reply() -> None:
    """The key makes a repeat harmless and useless."""
    async with upstream(answers(500)) as up, router([up.url]) as front, sdk(front) as client:
        with pytest.raises(InternalServerError):
            await chat(client, extra_headers={"idempotency-key": "k1"})
        assert len(up.asked) == 1


async def test_a_stream_that_breaks_is_an_error_and_no_second_request() -> None:
    """The client raises the error of the last event."""
    half = sends(CHUNKED % EVENTS + chunk(b'data: {"choices": []}\n\n'), reset=True)
    async with (
        upstream(half) as up,
        router([up.url], repeatable=False) as front,
        sdk(front) as client,
    ):
        stream = await chat(client, stream=True)
        with pytest.raises(APIError) as raised:
            _ = [chunk async for chunk in stream]
        assert (raised.value.code, raised.value.type) == ("stream-cut", "server_error")
        assert len(up.asked) == 1


async def test_what_was_sent_nowhere_may_be_sent_again() -> None:
    """The error of the router says so, and when."""
    async with router([closed_url()], repeatable=False) as front:
        reply = await front.client.post("/v1/chat/completions", json={})
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no-target")
        assert reply.headers["x-should-retry"] == "true"
        assert int(reply.headers["retry-after"]) > 0
