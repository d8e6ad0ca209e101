"""Tests of what of an agent's reply reaches the client: its reason, dates, lengths, 1xx and trailers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from skyfleet.asgi import Header
from tests.router.proxy.recorded import Recorded, forwarding, request
from tests.router.proxy.support import MARK, chunk, sends
from tests.router.support import CALM, Upstream, router, upstream

OK = b"HTTP/1.1 200 OK\r\n" + MARK.encode()
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nconnection: x-own\r\nx-own: 1\r\n\r\n"
TRAILED = (
    OK + b"transfer-encoding: chunked\r\n\r\n" + chunk(b"hi") + b"0\r\nx-sum: 1\r\nset-cookie: a=b\r\n\r\n"
)


async def answer(
    raw: bytes, *, method: str = "GET", headers: Sequence[Header] = (), close: bool = False
) -> tuple[Recorded, Upstream]:
    """What the client gets of this reply."""
    async with upstream(sends(raw, close=close)) as up, forwarding([up.url]) as ask:
        found = ask(request(method, *headers))
        async with asyncio.timeout(20):
            await found.over.wait()
        return found, up


@pytest.mark.parametrize("reason", [b"Fine, thanks", b"", "Très bien".encode()])
async def test_the_reason_phrase_reaches_the_client(reason: bytes) -> None:
    """A custom one, an empty one, and one of other bytes."""
    found, _ = await answer(b"HTTP/1.1 200 " + reason + b"\r\ncontent-length: 2\r\n\r\nhi")
    assert (found.status, found.reason, found.data) == (200, reason, b"hi")


async def test_the_agents_date_is_kept() -> None:
    """It says when the reply was made (RFC 9110, section 6.6.1)."""
    found, _ = await answer(OK + b"date: Fri, 27 Nov 2020 14:00:00 GMT\r\ncontent-length: 0\r\n\r\n")
    assert found.values(b"date") == [b"Fri, 27 Nov 2020 14:00:00 GMT"]


async def test_interim_responses_are_passed_on_without_hop_by_hop_fields() -> None:
    """103 and 102; a 100 that nothing asked for is not."""
    hundred = b"HTTP/1.1 100 Continue\r\n\r\n"
    found, _ = await answer(
        hundred + HINTS + b"HTTP/1.1 102 Wait\r\n\r\n" + OK + b"content-length: 0\r\n\r\n"
    )
    assert found.interim == [(103, [(b"link", b"</a>; rel=preload")]), (102, [])]
    assert (found.status, found.trailers) == (200, [])


async def test_interim_responses_of_rivals_are_not_passed_on() -> None:
    """Of two attempts either may give the reply, and its hints are about that reply."""
    policy = replace(CALM, allowed_overrides=frozenset({"redundant"}))
    async with (
        upstream(sends(HINTS)) as one,
        upstream(sends(HINTS + OK + b"content-length: 0\r\n\r\n")) as two,
        forwarding([one.url, two.url], policy=policy) as ask,
    ):
        found = ask(request("GET", (b"x-skyfleet-redundant", b"2")))
        async with asyncio.timeout(20):
            await found.over.wait()
        assert (found.status, found.interim) == (200, [])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [([(b"te", b"trailers")], [(b"x-sum", b"1")]), ([(b"te", b"gzip")], []), ([], [])],
)
async def test_trailers_reach_a_client_that_takes_them(headers: list[Header], expected: list[Header]) -> None:
    """They never act as head, and what may not follow a body is dropped."""
    found, _ = await answer(TRAILED, headers=headers)
    assert (found.data, found.trailers) == (b"hi", expected)
    assert found.values(b"x-sum") == found.values(b"set-cookie") == []


@pytest.mark.parametrize(
    ("method", "status", "length", "expected"),
    [
        ("HEAD", 200, b"content-length: 5\r\n", [b"5"]),
        ("HEAD", 200, b"transfer-encoding: chunked\r\n", []),
        ("HEAD", 404, b"content-length: 5\r\n", [b"5"]),
        ("GET", 304, b"content-length: 5\r\n", [b"5"]),
        ("GET", 304, b"", []),
        ("GET", 204, b"content-length: 0\r\n", []),
        ("GET", 205, b"content-length: 0\r\n", [b"0"]),
    ],
)
async def test_a_reply_without_a_body_has_the_length_that_is_right(
    method: str, status: int, length: bytes, expected: list[bytes]
) -> None:
    """RFC 9110, section 8.6: HEAD and 304 have that of the content which is not sent, 204 has none."""
    found, _ = await answer(b"HTTP/1.1 %d X\r\n%b%b\r\n" % (status, MARK.encode(), length), method=method)
    assert (found.status, found.data, found.trailers) == (status, b"", [])
    assert found.values(b"content-length") == expected
    assert found.values(b"transfer-encoding") == []


async def test_a_reply_that_ends_by_closing_is_whole() -> None:
    """A server of HTTP/1.0 knows no other end."""
    found, _ = await answer(b"HTTP/1.0 200 OK\r\nx-a: 1\r\n\r\n" + b"z" * 100_000, close=True)
    assert (found.status, len(found.data), found.trailers) == (200, 100_000, [])


async def test_a_connection_is_used_again_after_head() -> None:
    """No body follows, so nothing is left to wait for."""
    async with upstream(sends(OK + b"content-length: 5\r\n\r\n")) as up, router([up.url]) as front:
        for _ in range(3):
            assert (await front.client.head("/e")).headers["content-length"] == "5"
        assert up.connections == 1


async def test_an_agent_that_answers_before_it_has_read_the_body_is_heard() -> None:
    """It refuses a large body after its head and closes with the rest unread, which resets the connection."""

    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 422 No\r\ncontent-length: 2\r\n\r\nno")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuses, "127.0.0.1", 0, limit=1024)
    port = server.sockets[0].getsockname()[1]
    async with server, forwarding([f"http://127.0.0.1:{port}"], repeatable=False) as ask:
        for _ in range(5):
            found = ask(request("POST", body=b"x" * 6_000_000))
            async with asyncio.timeout(20):
                await found.over.wait()
            assert (found.status, found.data) == (422, b"no")
