"""Tests of the ingress: how it forwards requests and replies, with sockets and a scripted instance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emulator.desired.model import CLOUDS, Address, Cloud, Function
from emulator.runtime.active_faults import ActiveFaults
from emulator.runtime.ingress.connections import LOOK_S
from emulator.runtime.ingress.ingress import Backend, Ingress
from emulator.runtime.instances.http_client import exchange
from emulator.runtime.instances.processes import Log
from emulator.runtime.types import Call, Instance, Outcome, Reply

GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
MIB = 1024 * 1024


@dataclass(slots=True)
class Upstream:
    """An instance that answers each connection by `script` and keeps the heads and bodies that it got."""

    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    heads: list[bytes] = field(default_factory=list[bytes])
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    base: str = ""
    pid: int = 1
    alive: bool = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            await self.script(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            self.lost.set()
        finally:
            writer.close()

    def exchange(self, call: Call) -> AbstractAsyncContextManager[Reply]:
        return exchange(self.base, call)

    async def event(self, name: str, payload: bytes) -> Outcome:
        raise AssertionError("no event is sent")

    def on_end(self, then: Callable[[], None]) -> None:
        """It does not end."""

    async def ended_within(self, seconds: float) -> bool:
        return False

    def kill(self) -> None:
        """Nothing to end."""

    async def stop(self) -> None:
        """Nothing to end."""


@dataclass(frozen=True, slots=True)
class Front:
    """An open ingress."""

    port: int
    upstream: Upstream

    async def ask(self, request: bytes, *, half_close: bool = False) -> bytes:
        """All that comes back on one connection; %H in the request is the Host field."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request.replace(b"%H", b"host: 127.0.0.1:%d\r\nconnection: close" % self.port))
        if half_close:
            writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


async def well(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GOOD)
    await writer.drain()


@asynccontextmanager
async def front(
    folder: Path,
    cloud: Cloud,
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] = well,
) -> AsyncGenerator[Front]:
    upstream = Upstream(script)
    behind_it = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.base = f"http://127.0.0.1:{behind_it.sockets[0].getsockname()[1]}"
    spare = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = int(spare.sockets[0].getsockname()[1])
    spare.close()
    spec = Function(
        *("k", cloud, "here", "f", "agent", folder, "hash", "entry", dict[str, str](), port, None, "p"),
        *(512, 30.0, 1, 1, "python3.13"),
        addresses=(Address("f.example.localhost"),),
    )

    @asynccontextmanager
    async def lease() -> AsyncGenerator[Instance]:
        yield upstream

    ingress = Ingress(port, Backend(lambda: spec, lease, ActiveFaults(), lambda: 0.5, Log(folder / "log")))
    await ingress.listener.open()
    try:
        yield Front(port, upstream)
    finally:
        await ingress.listener.close()
        behind_it.close()


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_octets_of_fields_pass_as_they_are(cloud: Cloud, tmp_path: Path) -> None:
    """latin-1, UTF-8 and what is neither, in both directions, names and values."""
    odd = b"caf\xe9 caf\xc3\xa9 \xff"

    async def odd_reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx-out: " + odd + b"\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()

    async with front(tmp_path, cloud, odd_reply) as ingress:
        said = await ingress.ask(b"GET / HTTP/1.1\r\n%H\r\nx-in: " + odd + b"\r\n\r\n")
        assert b"\r\nx-out: " + odd + b"\r\n" in said
        assert b"\r\nx-in: " + odd + b"\r\n" in ingress.upstream.heads[0]


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_half_closed_client_gets_its_reply(cloud: Cloud, tmp_path: Path) -> None:
    """It has sent all of its request and still reads, for as long as the function takes."""
    go = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await well(reader, writer)

    async with front(tmp_path, cloud, late) as ingress:
        for request in (
            b"GET / HTTP/1.1\r\n%H\r\n\r\n",
            b"POST / HTTP/1.1\r\n%H\r\ncontent-length: 1\r\n\r\nx",
        ):
            go.clear()
            asyncio.get_running_loop().call_later(3.5 * LOOK_S, go.set)
            said = await ingress.ask(request, half_close=True)
            assert said.startswith(b"HTTP/1.1 200 OK\r\n")
            assert said.endswith(b"ok")


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_client_that_is_gone_is_seen_except_by_lambda(cloud: Cloud, tmp_path: Path) -> None:
    """Azure and Google end the request, which the function sees; Lambda lets the function finish."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await reader.read()
        ended.set()

    async with front(tmp_path, cloud, waits) as ingress:
        _, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: f.example.localhost\r\n\r\n")
        await begun.wait()
        writer.close()
        done, _ = await asyncio.wait(
            [asyncio.ensure_future(ended.wait())], timeout=0.5 if cloud == "aws" else 5
        )
        assert bool(done) is (cloud != "aws")


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_limits_come_before_the_invitation_to_send(cloud: Cloud, tmp_path: Path) -> None:
    """A client that waits for 100 Continue with too large a body is told 413 at once, and nothing runs."""
    async with front(tmp_path, cloud) as ingress:
        size = 200 * MIB
        head = b"POST / HTTP/1.1\r\n%%H\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % size
        said = await ingress.ask(head)
        assert said.startswith(b"HTTP/1.1 413 ")
        assert ingress.upstream.heads == []


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_client_that_waits_is_invited_to_send(cloud: Cloud, tmp_path: Path) -> None:
    """The front end answers the expectation; the function does not hear of it."""

    async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(5) == b"12345"
        await well(reader, writer)

    async with front(tmp_path, cloud, takes) as ingress:
        reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
        writer.write(b"PUT / HTTP/1.1\r\nhost: f.example.localhost\r\nexpect: 100-continue\r\n")
        writer.write(b"content-length: 5\r\nconnection: close\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"12345")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        assert b"expect" not in ingress.upstream.heads[0]


@pytest.mark.parametrize(
    ("target", "status", "passed"),
    [
        (b"http://f.example.localhost/a?b=1", 200, b"/a?b=1"),
        (b"HTTP://f.example.localhost:9", 200, b"/"),
        (b"https://f.example.localhost?b", 200, b"/?b"),
        (b"http://elsewhere.example/a", 404, b""),
        (b"http:///a", 400, b""),
        (b"ftp://f.example.localhost/a", 400, b""),
        (b"*", 400, b""),
    ],
)
async def test_a_whole_url_as_target_names_host_and_path(
    target: bytes, status: int, passed: bytes, tmp_path: Path
) -> None:
    """Its host counts, not the Host field (RFC 9112, section 3.2.2); what is no target is a bad request."""
    async with front(tmp_path, "gcp") as ingress:
        said = await ingress.ask(b"OPTIONS %b HTTP/1.1\r\n%%H\r\n\r\n" % target)
        assert int(said.split()[1]) == status
        heads = ingress.upstream.heads
        assert [head.partition(b"\r\n")[0] for head in heads] == (
            [b"OPTIONS %b HTTP/1.1" % passed] if passed else []
        )
        assert all(b"\r\nhost: f.example.localhost" in head for head in heads)


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_broken_connection_repeats_nothing(cloud: Cloud, tmp_path: Path) -> None:
    """Not even a GET: it may have run, and repeating is the router's decision."""

    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Closes after the head."""

    async with front(tmp_path, cloud, breaks) as ingress:
        for _ in range(2):
            assert (await ingress.ask(b"GET / HTTP/1.1\r\n%H\r\n\r\n")).startswith(b"HTTP/1.1 502 ")
        assert len(ingress.upstream.heads) == 2


@pytest.mark.parametrize(("cloud", "status"), [("aws", 200), ("azure", 200), ("gcp", 405)])
async def test_google_passes_no_trace(cloud: Cloud, status: int, tmp_path: Path) -> None:
    """cloud.google.com/run/docs/issues: TRACE and CONNECT do not reach a service."""
    async with front(tmp_path, cloud) as ingress:
        assert int((await ingress.ask(b"TRACE / HTTP/1.1\r\n%H\r\n\r\n")).split()[1]) == status
        assert len(ingress.upstream.heads) == (status == 200)


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"2\r\nok\r\n0\r\n\r\n",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"d\r\nuntil the end\r\n0\r\n\r\n"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_every_way_to_end_a_reply_is_understood(reply: bytes, body: bytes, tmp_path: Path) -> None:
    """Interim replies are passed over; length, chunks and the end of the connection each end one."""

    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()

    async with front(tmp_path, "azure", says) as ingress:
        said = await ingress.ask(b"GET / HTTP/1.1\r\n%H\r\n\r\n")
        assert said.partition(b"\r\n\r\n")[2] == body
        assert b"link" not in said


async def test_a_reply_that_breaks_off_is_not_closed_as_whole(tmp_path: Path) -> None:
    """The caller's connection ends without the last chunk."""

    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
        await writer.drain()

    async with front(tmp_path, "azure", says) as ingress:
        reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: f.example.localhost\r\n\r\n")
        assert await reader.readuntil(b"2\r\nok\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_reply_to_head_has_a_length_and_no_body(tmp_path: Path) -> None:
    """The instance sends none, and none is waited for."""

    async def head_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
        await reader.read()

    async with front(tmp_path, "azure", head_only) as ingress:
        said = await ingress.ask(b"HEAD / HTTP/1.1\r\n%H\r\n\r\n")
        assert b"content-length: 2\r\n" in said.lower()
        assert said.endswith(b"\r\n\r\n")


async def test_a_large_upload_streams_and_an_early_reply_arrives(tmp_path: Path) -> None:
    """An instance that answers before it has read the body is heard."""

    async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await well(reader, writer)
        await reader.read()

    async with front(tmp_path, "azure", at_once) as ingress:
        head = b"POST / HTTP/1.1\r\n%%H\r\ncontent-length: %d\r\n\r\n" % (8 * MIB)
        assert (await ingress.ask(head + b"x" * (8 * MIB))).startswith(b"HTTP/1.1 200 OK\r\n")
