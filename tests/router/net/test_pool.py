"""Claims about connections to targets: reuse, staleness, limits, TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from router.net.errors import FetchError, TransportError
from router.net.fetch import FetchRequest, FetchResponse, fetch
from router.net.pool import Pool
from skyfleet.asgi import Header
from skyfleet.http1.head import ResponseHead
from skyfleet.origin import Origin
from tests.router.support import QUICK, Peer, Received, alive, eventually, ok, router, upstream

TLS: Final = Path(__file__).parent / "tls"


async def get(pool: Pool, port: int, *, path: str = "/", timeout_s: float = 5) -> FetchResponse:
    return await fetch(pool, FetchRequest(Origin(False, "127.0.0.1", port), "GET", path), timeout_s=timeout_s)


async def test_connections_are_kept_and_used_again() -> None:
    """Twenty requests in a row share one connection; ten at once open at most ten."""
    async with upstream(ok) as up, router([up.url]) as front:
        for _ in range(20):
            await front.client.get("/x")
        assert up.connections == 1
        await asyncio.gather(*(front.client.get("/x") for _ in range(10)))
        assert up.connections <= 10


async def test_a_connection_that_the_target_closed_is_never_used_again() -> None:
    """A POST that must not be repeated survives a keep-alive connection closed while idle."""

    async def closes(request: Received, peer: Peer) -> None:
        await peer.reply(200)
        peer.writer.close()

    async with upstream(closes) as up, router([up.url], repeatable=False) as front:
        for _ in range(20):
            assert (await front.client.post("/x", content=b"y")).status_code == 200
        assert up.connections == 20


@pytest.mark.parametrize(
    "more",
    [b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nbad", b"HTTP/1.1 200 OK\r\nx-of: se", b"HTT"],
)
async def test_bytes_after_a_response_belong_to_no_request(more: bytes) -> None:
    """A second response in the same read changes nothing of the first, and its connection is not reused."""

    async def answers_twice(request: Received, peer: Peer) -> None:
        peer.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi" + more)

    async with upstream(answers_twice) as up:
        pool = Pool(connect_timeout_s=1)
        for number in (1, 2):
            reply = await get(pool, up.port)
            assert (reply.status, reply.body) == (200, b"hi")
            assert up.connections == number
        pool.close()


async def test_the_kernel_knows_of_a_close_that_the_loop_has_not_seen() -> None:
    """After a freeze the first request meets a dead connection before the loop has read its end."""
    peers: list[Peer] = []

    async def keeps(request: Received, peer: Peer) -> None:
        peers.append(peer)
        await peer.reply(200)

    async with upstream(keeps) as up:
        pool = Pool(connect_timeout_s=2)
        try:
            await get(pool, up.port)
            peers[0].writer.close()
            await peers[0].writer.wait_closed()
            # No await in between: the pool's side has not had a turn of the loop to read the close.
            reply = await get(pool, up.port)
            assert reply.status == 200
            assert up.connections == 2
        finally:
            pool.close()


async def test_idle_connections_age_by_the_wall_clock() -> None:
    """A sandbox frozen for a minute opens a new connection, whatever the monotonic clock says."""
    now = 1000.0
    async with upstream(ok) as up:
        pool = Pool(connect_timeout_s=2, clock=lambda: now)
        try:
            await get(pool, up.port)
            now += 3.9
            await get(pool, up.port)
            assert up.connections == 1
            now += 60
            await get(pool, up.port)
            assert up.connections == 2
        finally:
            pool.close()


async def test_a_response_before_its_request_closes_the_connection() -> None:
    """Unrequested bytes on an idle connection close it and never become the next response."""

    async def talks(request: Received, peer: Peer) -> None:
        await peer.reply(200, b"first")
        await peer.reply(200, b"smuggled")

    async with upstream(talks) as up:
        pool = Pool(connect_timeout_s=2)
        try:
            for _ in range(5):
                assert (await get(pool, up.port)).body == b"first"
        finally:
            pool.close()


async def test_a_fetch_has_one_timeout_and_closes_what_it_opened() -> None:
    """A target that does not answer costs the timeout, and its connection is closed."""
    closed = asyncio.Event()

    async def silent(request: Received, peer: Peer) -> None:
        await peer.until_closed()
        closed.set()

    async with upstream(silent) as up:
        pool = Pool(connect_timeout_s=2)
        began = time.monotonic()
        with pytest.raises(FetchError, match="no answer within"):
            await get(pool, up.port, timeout_s=0.1)
        assert time.monotonic() - began < 20
        await asyncio.wait_for(closed.wait(), 20)
        pool.close()


async def test_a_fetch_refuses_a_reply_above_its_limit() -> None:
    """A large response to a probe cannot exhaust the memory."""

    async def large(request: Received, peer: Peer) -> None:
        await peer.reply(200, b"x" * 2_000_000)

    async with upstream(large) as up:
        pool = Pool(connect_timeout_s=2)
        with pytest.raises(FetchError, match="larger than"):
            await get(pool, up.port)
        pool.close()


async def test_tls_is_spoken_and_verified() -> None:
    """A trusted certificate is used with keep-alive; to one that is not trusted nothing is sent."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    async with upstream(ok, tls=serving) as up:
        trusting = Pool(connect_timeout_s=5, tls=ssl.create_default_context(cafile=TLS / "cert.pem"))
        request = FetchRequest(Origin(True, "localhost", up.port), "GET", "/")
        for _ in range(3):
            assert (await fetch(trusting, request, timeout_s=5)).status == 200
        assert up.connections == 1
        trusting.close()
        strict = Pool(connect_timeout_s=5)
        with pytest.raises(FetchError, match="connect: SSLCertVerificationError"):
            await fetch(strict, request, timeout_s=5)
        strict.close()
        assert len(up.received) == 3


async def test_a_name_that_hangs_takes_one_thread_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forty requests to a name that the resolver never answers share one lookup; other names still work."""
    resolve, released = socket.getaddrinfo, threading.Event()
    asked: list[object] = []

    def hangs(host: str, *rest: Any, **more: Any) -> object:  # noqa: ANN401 - getaddrinfo's own
        if host == "gone.invalid":
            asked.append(host)
            released.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return resolve("127.0.0.1" if host == "there.invalid" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)

    async with upstream(ok) as up:
        pool = Pool(connect_timeout_s=2)
        gone = FetchRequest(Origin(False, "gone.invalid", 80), "GET", "/")
        waiting = [asyncio.create_task(fetch(pool, gone, timeout_s=10)) for _ in range(40)]
        await eventually(lambda: bool(asked))
        named = FetchRequest(Origin(False, "there.invalid", up.port), "GET", "/")
        assert (await fetch(pool, named, timeout_s=5)).status == 200
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all("no connection within 2 s" in str(result) for result in results)
        assert asked == ["gone.invalid"]
        released.set()
        pool.close()


async def test_connections_to_one_origin_are_limited() -> None:
    """Beyond the limit nothing is sent, and the failure says so; a free connection is reused."""
    go = asyncio.Event()

    async def waits(request: Received, peer: Peer) -> None:
        await go.wait()
        await peer.reply(200)

    async with upstream(waits) as up:
        pool = Pool(connect_timeout_s=5, max_connections=2)
        running = [asyncio.create_task(get(pool, up.port)) for _ in range(2)]
        await eventually(lambda: len(up.received) == 2)
        with pytest.raises(FetchError, match="overflow"):
            await get(pool, up.port)
        go.set()
        await asyncio.gather(*running)
        assert (await get(pool, up.port)).status == 200
        assert up.connections == 2
        pool.close()


async def test_a_probe_is_exempt_from_the_connection_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slow requests that use all connections are waited for, since the probe of /health still succeeds."""
    monkeypatch.setattr("router.app.Pool", partial(Pool, max_connections=3))

    async def slow(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        await asyncio.sleep(0.5)
        await peer.reply(200)

    async with upstream(slow) as one, router([one.url], policy=QUICK) as front:
        replies = await asyncio.gather(*(front.client.post("/invoke") for _ in range(3)))
        assert [reply.status_code for reply in replies] == [200, 200, 200]
        assert len(one.asked) == 3
        assert len(one.received) > 3
        assert (await front.target("aws/r0"))["state"] == "healthy"


class _Ended:
    """A response handler that waits for the end."""

    def __init__(self) -> None:
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_informational(self, status: int, headers: list[Header], /) -> None: ...

    def on_whole(self, head: ResponseHead, data: bytes, /) -> None:
        self.on_end(())

    def on_head(self, head: ResponseHead, /) -> None: ...

    def on_data(self, data: bytes, /) -> None: ...

    def on_end(self, trailers: Sequence[Header], /) -> None:
        self.end.set_result(None)

    def on_failure(self, error: TransportError, why: str, /) -> None:
        self.end.set_exception(RuntimeError(why))


async def test_an_exchange_that_is_paused_before_its_connection_is_open_can_go_on() -> None:
    """The connection is opened paused, and reads from the resume on."""
    replied = asyncio.Event()

    async def replies(request: Received, peer: Peer) -> None:
        await peer.reply(200)
        replied.set()

    async with upstream(replies) as up:
        pool, handler = Pool(connect_timeout_s=2), _Ended()
        try:
            origin = Origin(False, "127.0.0.1", up.port)
            exchange = pool.send(origin, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", handler)
            exchange.pause()
            await replied.wait()
            assert not handler.end.done()
            exchange.resume()
            async with asyncio.timeout(20):
                await handler.end
        finally:
            pool.close()
