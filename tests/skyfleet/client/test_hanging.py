"""Tests of a router that hangs where no time limit of httpx applies, and of callers that leave meanwhile.

A name lookup has no limit in a synchronous client. A limit for each read ends no reply that comes byte by
byte.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from skyfleet.client import discovery
from skyfleet.client.discovery import DiscoveryError
from skyfleet.client.transport import AsyncTransport, Transport

URLS = ["https://a.example", "https://b.example"]
ROUTER = {"x-request-id": "1"}


class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a reply. closed: the transport has let go of its connection."""

    def __init__(self, parts: int = 1) -> None:
        self._parts, self.closed = parts, threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._parts):
            yield b" "

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._parts):
            yield b" "

    def close(self) -> None:
        self.closed.set()

    async def aclose(self) -> None:
        self.closed.set()


def test_a_question_ends_though_nothing_ends_it_below() -> None:
    """The request goes on, and what comes later is closed."""
    silent, over, late = threading.Event(), threading.Event(), Stream()

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host == "a.example" and silent.is_set():
            over.wait(60)
            return httpx.Response(200, headers=ROUTER, stream=late)
        return httpx.Response(200, headers=ROUTER, text=request.url.host)

    with httpx.Client(transport=Transport(URLS, httpx, httpx.MockTransport(handle))) as client:
        assert client.get("https://a.example/x").text == "a.example"
        silent.set()
        try:
            assert client.get("https://a.example/x").text == "b.example"
        finally:
            over.set()
        assert late.closed.wait(60)


async def test_a_question_of_an_asynchronous_client_ends_too() -> None:
    """The same."""
    silent = False

    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host == "a.example" and silent:
            await asyncio.Event().wait()
        return httpx.Response(200, headers=ROUTER, text=request.url.host)

    made = AsyncTransport(URLS, httpx, httpx.MockTransport(handle))
    async with httpx.AsyncClient(transport=made) as client, asyncio.timeout(60):
        assert (await client.get("https://a.example/x")).text == "a.example"
        silent = True
        assert (await client.get("https://a.example/x")).text == "b.example"


def test_an_interrupted_caller_leaves_no_connection() -> None:
    """Ctrl-C while it waits: the reply that comes afterwards is closed."""
    sent, over, late = threading.Event(), threading.Event(), Stream()

    def handle(_request: httpx.Request) -> httpx.Response:
        sent.set()
        over.wait(60)
        return httpx.Response(200, headers=ROUTER, stream=late)

    def ticks() -> float:
        if sent.is_set():
            raise KeyboardInterrupt
        return 0.0

    with httpx.Client(transport=Transport(URLS, httpx, httpx.MockTransport(handle), ticks)) as client:
        with pytest.raises(KeyboardInterrupt):
            client.get("https://a.example/x")
        over.set()
        assert late.closed.wait(60)


async def test_a_caller_that_is_cancelled_as_its_reply_comes_leaves_no_connection() -> None:
    """Nothing else would close it."""
    late = Stream()

    async def handle(_request: httpx.Request) -> httpx.Response:
        task.cancel()
        return httpx.Response(200, headers=ROUTER, stream=late)

    made = AsyncTransport(URLS, httpx, httpx.MockTransport(handle))
    async with httpx.AsyncClient(transport=made) as client:
        task = asyncio.create_task(client.get("https://a.example/x"))
        with pytest.raises(asyncio.CancelledError):
            await task
    assert late.closed.is_set()


async def test_a_list_that_comes_byte_by_byte_is_not_waited_for() -> None:
    """By its time as a whole."""
    times = iter(range(0, 10_000, 10))

    def handle(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=ROUTER, stream=Stream(100))

    mock = httpx.MockTransport(handle)
    with pytest.raises(DiscoveryError, match="did not arrive within 30 s"):
        discovery.discover(URLS, "sf-k", library=httpx, inner=mock, ticks=lambda: next(times))
    with pytest.raises(DiscoveryError, match="did not arrive within 30 s"):
        await discovery.async_discover(URLS, "sf-k", library=httpx, inner=mock, ticks=lambda: next(times))
