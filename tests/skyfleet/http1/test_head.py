"""Heads of messages: what is read, what is refused, and with which status."""

from __future__ import annotations

import pytest

from skyfleet.http1.errors import MalformedMessage
from skyfleet.http1.head import (
    CHUNKED,
    MARGIN_FIELDS,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_LINE,
    PLATFORM_BYTES,
    PLATFORM_FIELDS,
    check_beginning,
    parse_request,
    parse_response,
)

pytestmark = pytest.mark.pure


def lines(*each: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in each)


def test_a_request_keeps_its_bytes() -> None:
    """Names are in lower case; values, order and repeated fields stay, and so does the target."""
    head = parse_request(
        lines(
            b"PATCH /a/../%7e//b?x=%20&x?y& HTTP/1.1",
            b"Host: router.example:8080",
            b"X-Odd:\t caf\xe9 \xff\t ",
            b"Accept: a",
            b"ACCEPT: b",
            b"Empty:",
        )
    )
    assert (head.method, head.target, head.minor) == ("PATCH", b"/a/../%7e//b?x=%20&x?y&", 1)
    assert head.fields == [
        (b"host", b"router.example:8080"),
        (b"x-odd", b"caf\xe9 \xff"),
        (b"accept", b"a"),
        (b"accept", b"b"),
        (b"empty", b""),
    ]
    assert (head.length, head.keep_alive) == (0, True)


@pytest.mark.parametrize(
    ("first", "fields", "length", "keep_alive"),
    [
        (b"GET /e? HTTP/1.1", (), 0, True),
        (b"BREW /pot HTTP/1.1", (), 0, True),
        (b"POST / HTTP/1.1", (b"Content-Length: 12",), 12, True),
        (b"POST / HTTP/1.1", (b"Transfer-Encoding: Chunked",), CHUNKED, True),
        (b"GET / HTTP/1.1", (b"Connection: x, Close",), 0, False),
        (b"GET / HTTP/1.0", (), 0, False),
        (b"GET / HTTP/1.0", (b"Connection: keep-alive",), 0, True),
        (b"GET / HTTP/1.0", (b"Connection: keep-alive", b"Connection: close"), 0, False),
    ],
)
def test_the_framing_of_a_request(
    first: bytes, fields: tuple[bytes, ...], length: int, keep_alive: bool
) -> None:
    """A length or chunks, and whether another request may follow (RFC 9112, sections 6 and 9.3)."""
    head = parse_request(lines(first, b"Host: a", *fields))
    assert (head.length, head.keep_alive) == (length, keep_alive)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://A:80/x?y", b"/x?y"),
        (b"https://a:80", b"/"),
        (b"HTTP://a:80?q", b"/?q"),
    ],
)
def test_an_absolute_target_is_reduced_to_its_path(target: bytes, path: bytes) -> None:
    """RFC 9112, section 3.2.2."""
    assert parse_request(lines(b"GET %b HTTP/1.1" % target, b"Host: a:80")).target == path


@pytest.mark.parametrize(
    ("target", "host", "same"),
    [
        (b"http://a:80/x", b"a", True),
        (b"http://a/x", b"a:80", True),
        (b"http://a:/x", b"A", True),
        (b"https://a:443/x", b"a", True),
        (b"http://[::1]:80/x", b"[::1]", True),
        (b"https://a:80/x", b"a", False),
        (b"http://a:443/x", b"a", False),
        (b"http://a:8080/x", b"a", False),
        (b"http://a:80:80/x", b"a", False),
        (b"http://a:80/x", b"a:443", False),
    ],
)
def test_a_default_port_may_be_left_out_of_an_absolute_target_or_of_its_host(
    target: bytes, host: bytes, same: bool
) -> None:
    """RFC 3986, section 6.2.3; HAProxy compares them so (src/h1.c, `h1_validate_mismatch_authority`)."""
    head = lines(b"GET %b HTTP/1.1" % target, b"Host: " + host)
    if same:
        assert parse_request(head).target == b"/x"
        return
    with pytest.raises(MalformedMessage, match="not that of the Host"):
        parse_request(head)


# Of a client's request, with what its platform adds.
MOST_FIELDS = MAX_FIELDS + PLATFORM_FIELDS
MOST_BYTES = MAX_HEAD + PLATFORM_BYTES
REFUSED = [
    (400, (b"GET /", b"Host: a")),
    (400, (b"GET  / HTTP/1.1", b"Host: a")),
    (400, (b"GET /a b HTTP/1.1", b"Host: a")),
    (400, (b"GET /caf\xc3\xa9 HTTP/1.1", b"Host: a")),
    (400, (b"GET /a#b HTTP/1.1", b"Host: a")),
    (400, (b"GET e HTTP/1.1", b"Host: a")),
    (400, (b"OPTIONS * HTTP/1.1", b"Host: a")),
    (400, (b"GET http://b/ HTTP/1.1", b"Host: a")),
    (400, (b"GET ftp://a/ HTTP/1.1", b"Host: a")),
    (400, (b"G(T / HTTP/1.1", b"Host: a")),
    (400, (b"GET / http/1.1", b"Host: a")),
    (505, (b"GET / HTTP/2.0", b"Host: a")),
    (505, (b"GET / HTTP/1.2", b"Host: a")),
    (505, (b"GET / HTTP/0.9", b"Host: a")),
    (501, (b"TRACE / HTTP/1.1", b"Host: a")),
    (501, (b"CONNECT /a HTTP/1.1", b"Host: a")),
    (400, (b"GET / HTTP/1.1",)),
    (400, (b"GET / HTTP/1.1", b"Host: a", b"Host: a")),
    (400, (b"GET / HTTP/1.1", b"Host: a b")),
    (400, (b"GET / HTTP/1.1", b"Host: u@a")),
    (400, (b"GET / HTTP/1.1", b"Host:")),
    (400, (b"GET / HTTP/1.1", b"Host: a,b")),
    (400, (b"GET / HTTP/1.1", b"Host: a:b")),
    (400, (b"GET / HTTP/1.1", b"Host: a:123456")),
    (400, (b"GET / HTTP/1.1", b"Host: a:80:81")),
    (400, (b"GET / HTTP/1.1", b"Host: [::1")),
    (400, (b"GET http:///a HTTP/1.0",)),
    (400, (b"GET / HTTP/1.1", b"Host: a", b"X : 1")),
    (400, (b"GET / HTTP/1.1", b"Host: a", b" X: 1")),
    (400, (b"GET / HTTP/1.1", b"Host: a", b"X: 1", b" 2")),
    (400, (b"GET / HTTP/1.1", b"Host: a", b": 1")),
    (400, (b"GET / HTTP/1.1", b"Host: a", b"X")),
    (400, (b"GET / HTTP/1.1", b"Host: a", b"X\xe9: 1")),
    (400, (b"GET / HTTP/1.1", b"Host: a", b"X: a\x00b")),
    (400, (b"GET / HTTP/1.1", b"Host: a", b"X: a\nY: b")),
    (400, (b"GET / HTTP/1.1", b"Host: a", b"X: a\rY: b")),
    (400, (b"GET / HTTP/1.1", b"Host: a", b"X: a\x7f")),
    (400, (b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 1", b"Content-Length: 1")),
    (400, (b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 1, 1")),
    (400, (b"POST / HTTP/1.1", b"Host: a", b"Content-Length: +1")),
    (400, (b"POST / HTTP/1.1", b"Host: a", b"Content-Length: -1")),
    (400, (b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 0x1")),
    (400, (b"POST / HTTP/1.1", b"Host: a", b"Content-Length:")),
    (400, (b"POST / HTTP/1.1", b"Host: a", b"Content-Length: " + b"1" * 19)),
    (400, (b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 1", b"Transfer-Encoding: chunked")),
    (400, (b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
    (400, (b"POST / HTTP/1.0", b"Transfer-Encoding: chunked")),
    (501, (b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: gzip, chunked")),
    (501, (b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: identity")),
    (501, (b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: \x0bchunked")),
    (431, (b"GET / HTTP/1.1", b"Host: a", b"X: " + b"a" * MAX_LINE)),
    (431, (b"GET / HTTP/1.1", b"Host: a", *[b"X: a"] * MOST_FIELDS)),
    (431, (b"GET / HTTP/1.1", b"Host: a", *[b"X: " + b"a" * 10_000] * (MOST_BYTES // 10_000 + 1))),
    (414, (b"GET /" + b"a" * MAX_LINE + b" HTTP/1.1", b"Host: a")),
]


@pytest.mark.parametrize(("status", "each"), REFUSED)
def test_a_request_is_refused(status: int, each: tuple[bytes, ...]) -> None:
    """Whatever nginx or HAProxy refuses, and all that two recipients could read differently."""
    with pytest.raises(MalformedMessage) as refused:
        parse_request(lines(*each))
    expected = 400 if status == 501 and b"\x0b" in each[-1] else status
    assert refused.value.status == expected


def test_what_a_router_accepts_is_accepted_behind_it() -> None:
    """With the fields that the router and the front ends before router and agent add."""
    largest = [b"GET / HTTP/1.1", b"Host: a", *[b"X: a"] * (MOST_FIELDS - 1)]
    assert parse_request(lines(*largest))
    longer = [*largest, *[b"Y: b"] * MARGIN_FIELDS]
    assert len(parse_request(lines(*longer), routed=True).fields) == MOST_FIELDS + MARGIN_FIELDS
    check_beginning(lines(*longer), routed=True)
    for refused, routed in ((longer, False), ([*longer, b"Z: c"], True)):
        with pytest.raises(MalformedMessage):
            parse_request(lines(*refused), routed=routed)


def test_the_beginning_of_a_head_is_refused_as_soon_as_it_cannot_become_one() -> None:
    """An endless line or a line without CRLF is not collected until a timeout."""
    for good in (b"", b"GE", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX"):
        check_beginning(good)
    for status, bad in (
        (400, b"GET /e\r\n"),
        (400, b"GET / HTTP/1.1\nHost: a"),
        (400, b"\x16\x03\x01\x00\x01\x00"),
        (505, b"PRI * HTTP/2.0\r\n"),
        (414, b"GET /" + b"a" * MAX_LINE),
        (431, b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_LINE),
        (431, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MOST_FIELDS + 2)),
    ):
        with pytest.raises(MalformedMessage) as refused:
            check_beginning(bad)
        assert refused.value.status == status, bad[:40]


def test_a_response_keeps_its_reason_and_its_bytes() -> None:
    """A reason may be empty, with or without the space before it."""
    head = parse_response(lines(b"HTTP/1.1 299 Fine, thank you", b"Set-Cookie: a=1", b"Set-Cookie: b=\xe9"))
    assert (head.status, head.reason, head.keep_alive) == (299, b"Fine, thank you", True)
    assert head.fields == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=\xe9")]
    assert parse_response(lines(b"HTTP/1.0 200 ")).reason == b""
    assert parse_response(lines(b"HTTP/1.1 200")).reason == b""


@pytest.mark.parametrize(
    "each",
    [
        (b"HTTP/1.1 20 OK",),
        (b"HTTP/1.1 2000 OK",),
        (b"HTTP/2 200 OK",),
        (b"HTTP/1.1  200 OK",),
        (b"ICY 200 OK",),
        (b"HTTP/1.1 200 OK", b"A: 1", b" 2"),
        (b"HTTP/1.1 200 OK", b"A : 1"),
        (b"HTTP/1.1 200 OK", b"A: 1\nB: 2"),
        (b"HTTP/1.1 200 OK", b"A: 1\x00"),
        (b"HTTP/1.1 200 OK", b"Content-Length: 1", b"Content-Length: 2"),
    ],
)
def test_a_response_is_refused(each: tuple[bytes, ...]) -> None:
    """Folded fields, bare line ends and repeated lengths included."""
    with pytest.raises(MalformedMessage):
        parse_response(lines(*each))


def test_the_framing_of_a_response() -> None:
    """RFC 9112, section 6.3, from its third rule on."""

    def length(*fields: bytes, version: bytes = b"1.1") -> int | None:
        return parse_response(lines(b"HTTP/%b 200 OK" % version, *fields)).length

    assert length(b"Content-Length: 5") == 5
    assert length(b"Transfer-Encoding: chunked") == CHUNKED
    assert length() is None
    for fields, version in (
        ((b"Content-Length: 5", b"Transfer-Encoding: chunked"), b"1.1"),
        ((b"Transfer-Encoding: gzip",), b"1.1"),
        ((b"Transfer-Encoding: chunked",), b"1.0"),
        ((b"Content-Length: 5, 5",), b"1.1"),
    ):
        with pytest.raises(MalformedMessage):
            length(*fields, version=version)


@pytest.mark.parametrize(
    ("version", "values", "expected"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"keep-alive"], True),
        (b"1.1", [b"Keep-Alive, x"], True),
        (b"1.1", [b"Close"], False),
        (b"1.1", [b"close", b"keep-alive"], False),
        (b"1.0", [], False),
        (b"1.0", [b"keep-alive"], True),
    ],
)
def test_whether_another_response_may_follow(version: bytes, values: list[bytes], expected: bool) -> None:
    """RFC 9112, section 9.3."""
    fields = (b"Connection: " + value for value in values)
    assert parse_response(lines(b"HTTP/%b 200 OK" % version, *fields)).keep_alive is expected
