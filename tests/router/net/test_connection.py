"""Tests of one upstream connection without a network: bytes in, events out, in any division into reads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.net.connection import Connection
from router.net.errors import TransportError
from skyfleet.asgi import Header
from skyfleet.http1.head import MARGIN_FIELDS, MAX_FIELDS, PLATFORM_FIELDS, ResponseHead

pytestmark = pytest.mark.pure

INVALID, RESET = TransportError.INVALID, TransportError.RESET
OK = b"HTTP/1.1 200 OK\r\n"


@dataclass
class Wire:
    """A transport that keeps what is written."""

    socket: socket.socket
    written: bytes = b""
    aborted: bool = False

    def get_extra_info(self, name: str) -> object:
        return self.socket

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.aborted

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True


@dataclass
class Reply:
    """A response handler that keeps the events. leaves: it cancels the exchange with its head."""

    connection: Connection
    leaves: bool = False
    interim: list[tuple[int, list[Header]]] = field(default_factory=list[tuple[int, list[Header]]])
    status: int = 0
    reason: bytes = b""
    headers: list[Header] = field(default_factory=list[Header])
    body: bytes = b""
    trailers: list[Header] | None = None
    error: tuple[TransportError, str] | None = None

    def on_informational(self, status: int, headers: list[Header]) -> None:
        self.interim.append((status, headers))

    def on_whole(self, head: ResponseHead, data: bytes) -> None:
        self.on_head(head)
        self.body += data
        self.on_end(())

    def on_head(self, head: ResponseHead) -> None:
        self.status, self.headers, self.reason = head.status, head.fields, head.reason
        if self.leaves:
            self.connection.abandon()

    def on_data(self, data: bytes) -> None:
        assert data
        self.body += data

    def on_end(self, trailers: Sequence[Header]) -> None:
        assert self.error is self.trailers is None
        self.trailers = [*trailers]

    def on_failure(self, error: TransportError, why: str) -> None:
        assert self.error is self.trailers is None
        self.error = error, why

    @property
    def known(self) -> tuple[Any, ...]:
        return self.interim, self.status, self.reason, self.headers, self.body, self.trailers, self.error


@dataclass
class Exchange:
    """One exchange on one connection. reusable: what the pool is told at its end."""

    wire: Wire
    reusable: list[bool] = field(default_factory=list[bool])

    def __post_init__(self) -> None:
        self.connection = Connection(lambda _, reusable: self.reusable.append(reusable))
        self.connection.connection_made(cast("asyncio.Transport", self.wire))

    def begin(self, *, head_only: bool = False, leaves: bool = False) -> Reply:
        reply = Reply(self.connection, leaves)
        self.connection.start(reply, b"GET / HTTP/1.1\r\n\r\n", head_only=head_only)
        return reply

    def read(self, *parts: bytes, closed: bool = False) -> None:
        for part in parts:
            if part and not self.connection.closed:
                self.connection.data_received(part)
        if closed and not self.connection.closed:
            self.connection.connection_lost(None)


@pytest.fixture
def one() -> Generator[Exchange]:
    with socket.socket() as real:
        yield Exchange(Wire(real))


def answered(one: Exchange, *parts: bytes, head_only: bool = False, closed: bool = False) -> Reply:
    reply = one.begin(head_only=head_only)
    one.read(*parts, closed=closed)
    return reply


TRAILED = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
    b"HTTP/1.1 201 Made it\r\nTransfer-Encoding: chunked\r\nX-A:  1 \r\n\r\n"
    b"2;x=y\r\nhi\r\n3\r\n yo\r\n0\r\nX-Sum: 5\r\nContent-Length: 9\r\n\r\n"
)


@given(st.lists(st.integers(0, len(TRAILED)), max_size=6))
def test_a_reply_is_the_same_in_any_division_into_reads(cuts: list[int]) -> None:
    """Interim responses, the reason phrase, the body and the trailers, which never act as head."""
    with socket.socket() as real:
        one = Exchange(Wire(real))
        at = [0, *sorted(cuts), len(TRAILED)]
        reply = answered(one, *(TRAILED[a:b] for a, b in pairwise(at)))
        assert reply.interim == [(103, [(b"link", b"</a>; rel=preload")])]
        assert (reply.status, reply.reason, reply.body) == (201, b"Made it", b"hi yo")
        assert reply.headers == [(b"transfer-encoding", b"chunked"), (b"x-a", b"1")]
        assert reply.trailers == [(b"x-sum", b"5"), (b"content-length", b"9")]
        assert one.reusable == [True]


WRONG = [
    b"HTTP/1.1 600 Odd\r\n\r\n",
    b"HTTP/1.1 099 Odd\r\n\r\n",
    b"HTTP/1.1 101 Go\r\nupgrade: x\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.10 200 OK\r\n\r\n",
    OK + b"x: 1\r\n 2\r\n\r\n",
    OK + b"x: 1\nz: 2\r\n\r\n",
    OK + b"x : 1\r\n\r\n",
    OK + b"x: \x00\r\n\r\n",
    OK + b"content-length: 1\r\ncontent-length: 1\r\n\r\na",
    OK + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    OK + b"content-length: +1\r\n\r\na",
    OK + b"transfer-encoding: chunked\r\n\r\n-1\r\n",
    OK + b"transfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
    OK + b"transfer-encoding: chunked\r\n\r\n0\r\nx : 1\r\n\r\n",
    b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    OK + b"x: %b\r\n\r\n" % (b"a" * 70_000),
    OK + b"x: 1\r\n" * (MAX_FIELDS + PLATFORM_FIELDS + MARGIN_FIELDS + 1) + b"\r\n",
    b"HTTP/1.1 102 Wait\r\n\r\n" * 101,
    b"HTTP/1.1 103 Hints\r\nlink: %b\r\n\r\n" % (b"a" * 8_000) * 9,
]


@pytest.mark.parametrize("raw", WRONG)
@pytest.mark.parametrize("step", [1, 700, 1_000_000])
def test_wrong_bytes_are_invalid_however_they_arrive(one: Exchange, raw: bytes, step: int) -> None:
    """Byte for byte, in packets, or at once; the connection is closed and not used again."""
    reply = answered(one, *(raw[at : at + step] for at in range(0, len(raw), step)), closed=True)
    assert reply.error is not None
    assert reply.error[0] is INVALID
    assert "not valid HTTP/1.1" in reply.error[1]
    assert (one.wire.aborted, one.reusable) == (True, [False])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTT",
        OK,
        OK + b"content-length: 2\r\n\r\na",
        OK + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n",
    ],
)
def test_missing_bytes_are_a_broken_connection(one: Exchange, raw: bytes) -> None:
    """Before the head, within it, and within a body."""
    reply = answered(one, raw, closed=True)
    assert reply.error is not None
    assert reply.error[0] is RESET


@pytest.mark.parametrize(
    "raw", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"\x00" * 9]
)
def test_another_service_is_a_broken_connection(one: Exchange, raw: bytes) -> None:
    """Something else listens at the target's address: no agent did anything."""
    reply = answered(one, raw, closed=True)
    assert reply.error is not None
    assert reply.error[0] is RESET


@pytest.mark.parametrize(
    ("raw", "head_only", "body", "reusable"),
    [
        (OK + b"content-length: 2\r\n\r\nhi", False, b"hi", True),
        (OK + b"content-length: 0\r\n\r\n", False, b"", True),
        (OK + b"content-length: 5\r\n\r\n", True, b"", True),
        (OK + b"transfer-encoding: chunked\r\n\r\n", True, b"", True),
        (OK + b"\r\n", True, b"", True),
        (b"HTTP/1.1 204 No\r\n\r\n", False, b"", True),
        (b"HTTP/1.1 304 Same\r\ncontent-length: 9\r\n\r\n", False, b"", True),
        (b"HTTP/1.1 205 Reset\r\ncontent-length: 0\r\n\r\n", False, b"", True),
        (b"HTTP/1.1 200\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi", False, b"hi", False),
        (
            OK + b"content-length: 2\r\nconnection: close\r\nconnection: keep-alive\r\n\r\nhi",
            False,
            b"hi",
            False,
        ),
        (OK + b"content-length: 2\r\nconnection: keep-alive\r\n\r\nhi", False, b"hi", True),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", False, b"hi", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: Keep-Alive\r\n\r\nhi", False, b"hi", True),
        (OK + b"\r\nhi", False, b"hi", False),
        (OK + b"content-length: 2\r\n\r\nhiHTTP/1.1 404 No\r\n\r\n", False, b"hi", False),
        (OK + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nx", False, b"", False),
        (OK + b"content-length: 5\r\n\r\nwrong", True, b"", False),
    ],
)
def test_where_a_body_ends_and_what_becomes_of_the_connection(
    one: Exchange, raw: bytes, head_only: bool, body: bytes, reusable: bool
) -> None:
    """RFC 9112, section 6.3; after a reply to HEAD the connection is used again, with unasked bytes never."""
    reply = answered(one, raw, head_only=head_only, closed=True)
    assert (reply.body, reply.trailers, reply.error) == (body, [], None)
    assert one.reusable[0] is reusable


def test_a_handler_that_leaves_with_the_head_gets_nothing_more(one: Exchange) -> None:
    """A loser of a race is cancelled within its own event."""
    for body in (
        b"content-length: 9\r\n\r\nhi",
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        one = Exchange(one.wire)
        reply = one.begin(leaves=True)
        one.read(OK + body)
        assert (reply.status, reply.body, reply.trailers, reply.error) == (200, b"", None, None)
        assert one.connection.closed


def test_a_second_exchange_begins_from_scratch(one: Exchange) -> None:
    """Nothing of the first one, such as its trailers, is left."""
    assert answered(one, TRAILED).trailers
    reply = answered(one, OK + b"content-length: 2\r\n\r\nhi")
    assert (reply.interim, reply.status, reply.body, reply.trailers) == ([], 200, b"hi", [])
    assert one.reusable == [True, True]
