"""The response on the wire: framing, interim responses, trailers, and what may not be written."""

from __future__ import annotations

import pytest

from functions.runtimes.server.response import InvalidResponse, Response
from skyfleet.asgi import Header
from skyfleet.http1.body import Decoder
from skyfleet.http1.head import RequestHead

LENGTH: Header = (b"content-length", b"2")


class Wire:
    """A connection that records."""

    default_fields: tuple[Header, ...] = ((b"date", b"D"),)

    def __init__(self, *, joins_fields: bool = False) -> None:
        self.joins_fields = joins_fields
        self.body: Decoder | None = None
        self.writes: list[bytes] = []
        self.complete: bool | None = None

    def write(self, data: bytes, /) -> None:
        self.writes.append(data)

    def response_over(self, *, complete: bool) -> None:
        self.complete = complete


def response(wire: Wire, method: str = "GET", minor: int = 1, *, keep_alive: bool = True) -> Response:
    return Response(wire, RequestHead(method, b"/", minor, [], {}, 0, keep_alive))


def test_a_length_is_kept_and_other_bodies_are_chunked() -> None:
    """The head goes with the first part."""
    wire = Wire()
    one = response(wire)
    one.head(200, [LENGTH])
    one.body(b"ok")
    one.end()
    assert wire.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: D\r\n\r\nok"]
    assert wire.complete
    wire = Wire()
    one = response(wire)
    one.head(200, [(b"date", b"own")])
    one.body(b"o")
    one.body(b"")
    one.body(b"k" * 10)
    one.end([(b"digest", b"d")])
    assert wire.writes == [
        b"HTTP/1.1 200 OK\r\ndate: own\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n",
        b"a\r\nkkkkkkkkkk\r\n",
        b"0\r\ndigest: d\r\n\r\n",
    ]


@pytest.mark.parametrize("joins", [False, True])
def test_repeated_fields_are_joined_for_a_platform_that_takes_one(*, joins: bool) -> None:
    """All but `set-cookie`, whose values have commas of their own."""
    wire = Wire(joins_fields=joins)
    own = [(b"link", b"a"), (b"set-cookie", b"x"), (b"vary", b"v"), (b"link", b"b"), (b"set-cookie", b"y")]
    one = response(wire)
    one.head(200, [*own, (b"content-length", b"0"), (b"date", b"D")])
    one.end()
    lines = wire.writes[0].split(b"\r\n")[1:-2]
    if joins:
        assert lines == [
            *(b"link: a, b", b"vary: v", b"content-length: 0", b"date: D"),
            *(b"set-cookie: x", b"set-cookie: y"),
        ]
    else:
        assert lines == [*(b"%b: %b" % field for field in own), b"content-length: 0", b"date: D"]


def test_a_head_goes_alone_if_nothing_follows_at_once() -> None:
    """The first event of a stream may take long."""
    wire = Wire()
    one = response(wire)
    one.head(299, [LENGTH], b"Fine")
    assert wire.writes == []
    one.flush()
    one.flush()
    assert wire.writes == [b"HTTP/1.1 299 Fine\r\ncontent-length: 2\r\ndate: D\r\n\r\n"]


@pytest.mark.parametrize(
    ("method", "status", "fields", "head"),
    [
        ("HEAD", 200, [LENGTH], b"200 OK\r\ncontent-length: 2\r\ndate: D\r\n\r\n"),
        ("HEAD", 200, [], b"200 OK\r\ndate: D\r\n\r\n"),
        ("GET", 304, [LENGTH], b"304 Not Modified\r\ncontent-length: 2\r\ndate: D\r\n\r\n"),
        (
            "GET",
            205,
            [(b"content-length", b"0")],
            b"205 Reset Content\r\ncontent-length: 0\r\ndate: D\r\n\r\n",
        ),
        ("GET", 204, [LENGTH], b"204 No Content\r\ndate: D\r\n\r\n"),
        ("GET", 599, [(b"content-length", b"0")], b"599 \r\ncontent-length: 0\r\ndate: D\r\n\r\n"),
    ],
)
def test_a_response_without_a_body(method: str, status: int, fields: list[Header], head: bytes) -> None:
    """HEAD and 304 keep the length that they speak of; 204 has none (RFC 9110, sections 8.6 and 15.3.5)."""
    wire = Wire()
    one = response(wire, method)
    one.head(status, fields)
    one.body(b"" if status in (205, 599) else b"ignored")
    one.end()
    assert b"".join(wire.writes) == b"HTTP/1.1 " + head
    assert wire.complete


def test_http_1_0_gets_no_chunks_and_no_interim_response() -> None:
    """Its body ends with the connection; a known length may keep it (RFC 9112, sections 6.3 and 9.3)."""
    wire = Wire()
    one = response(wire, minor=0)
    one.informational(103, [])
    one.head(200, [])
    one.body(b"a")
    one.end()
    assert b"".join(wire.writes) == b"HTTP/1.1 200 OK\r\ndate: D\r\nconnection: close\r\n\r\na"
    assert wire.complete is False
    wire = Wire()
    one = response(wire, minor=0)
    one.head(200, [LENGTH])
    one.body(b"ok")
    one.end()
    assert b"connection: keep-alive\r\n" in wire.writes[0]
    assert wire.complete


def test_interim_responses_come_before_the_head() -> None:
    """Afterwards they are left out."""
    wire = Wire()
    one = response(wire)
    one.informational(103, [(b"link", b"</a>")])
    one.head(200, [LENGTH])
    one.informational(103, [])
    one.body(b"ok")
    assert wire.writes[0] == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    assert len(wire.writes) == 2


def test_hop_by_hop_fields_of_an_application_are_not_written() -> None:
    """But it may close the connection."""
    wire = Wire()
    one = response(wire)
    one.head(
        200, [LENGTH, (b"transfer-encoding", b"chunked"), (b"connection", b"x, Close"), (b"keep-alive", b"1")]
    )
    one.body(b"ok")
    one.end()
    assert b"".join(wire.writes) == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: D\r\nconnection: close\r\n\r\nok"
    )
    assert wire.complete is False


@pytest.mark.parametrize(
    "field",
    [
        (b"a b", b"c"),
        (b"a", b"b\r\nset-cookie: c"),
        (b"a\r\nb", b"c"),
        (b"a", b"b\x00"),
        (b"", b"c"),
        (b"content-length", b"-1"),
    ],
)
def test_no_field_breaks_out_of_its_line(field: Header) -> None:
    """Nothing of such a head is written."""
    wire = Wire()
    with pytest.raises(InvalidResponse):
        response(wire).head(200, [field])
    assert wire.writes == []


def test_a_body_of_another_length_is_an_error() -> None:
    """A longer one is not written; a shorter one closes the connection."""
    wire = Wire()
    one = response(wire)
    one.head(200, [LENGTH])
    with pytest.raises(InvalidResponse):
        one.body(b"long")
    assert wire.writes == []
    with pytest.raises(InvalidResponse):
        response_of_length_two(wire := Wire())
    assert wire.complete is False


def response_of_length_two(wire: Wire) -> None:
    one = response(wire)
    one.head(200, [LENGTH])
    one.body(b"o")
    one.end()


def test_a_response_that_breaks_off_has_no_end() -> None:
    """The connection closes behind what was sent, and the log says why."""
    wire = Wire()
    one = response(wire)
    one.head(200, [])
    one.body(b"a")
    one.abort("id-7 It broke off.")
    one.body(b"b")
    one.end()
    assert (len(wire.writes), wire.complete) == (1, False)
