"""Sizes of heads and bodies, and several requests on one connection."""

from __future__ import annotations

from typing import Final

from bench.http.cases import HOST, HostileRequest, Local, Passed, Refused, get, message, post, request, split

_SIZE: Final = "RFC 6585, section 5"
_URI: Final = "RFC 9110, section 15.5.15"
_BODY: Final = "RFC 9110, section 15.5.14"
_PIPELINE: Final = "RFC 9112, section 9.3.2"
_LARGER: Final = (
    "The peers' buffers are smaller. The limit here is stated in docs/limits.md, and nothing can be misread."
)
# With Host: 100 of a client, and 28 that its platform may add.
_FIELD_128: Final = tuple(b"X-%d: y" % n for n in range(127))


def _head(name: str, sent: bytes, status: int = 431, rests_on: str = _SIZE) -> HostileRequest:
    return request(name, sent, rests_on, Refused(status))


HEADS: Final = (
    _head("field of 1 MB", get(b"X-A: " + b"b" * 1_000_000)),
    _head("field line above 16 KiB", get(b"X-A: " + b"b" * 16_384)),
    _head("field name of 20 kB", get(b"X-" + b"a" * 20_000 + b": b")),
    _head("field that never ends", b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: " + b"b" * 100_000),
    _head("100,000 fields", get(*(b"X-%d: y" % n for n in range(100_000)))),
    _head("129 fields", get(*_FIELD_128, b"X-Last: y")),
    _head("100,000 fields of one name", get(*(b"X: y" for _ in range(100_000)))),
    _head("head above 72 KiB", get(*(b"X-%d: %b" % (n, b"y" * 15_000) for n in range(5)))),
    _head("2,000 fields that never end", b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 2_000),
    _head("target of 1 MB", get(target=b"/" + b"x" * 1_000_000), 414, _URI),
    _head("target of 20 kB", get(target=b"/" + b"x" * 20_000), 414, _URI),
    _head("query of 20 kB", get(target=b"/?" + b"x" * 20_000), 414, _URI),
    _head("request line that never ends", b"GET /" + b"x" * 100_000, 414, _URI),
    request(
        "128 fields",
        get(*_FIELD_128),
        _SIZE,
        Passed("GET", b"/x", fields=((b"x-126", b"y"),)),
        although=_LARGER,
    ),
    request(
        "field line of 15 kB",
        get(b"X-A: " + b"b" * 15_000),
        _SIZE,
        Passed("GET", b"/x", fields=((b"x-a", b"b" * 15_000),)),
        although=_LARGER,
    ),
    request(
        "head of 50 kB",
        get(*(b"X-%d: %b" % (n, b"y" * 10_000) for n in range(5))),
        _SIZE,
        Passed("GET", b"/x", fields=((b"x-4", b"y" * 10_000),)),
        although=_LARGER,
    ),
    request(
        "target of 8,000 bytes",
        get(target=b"/" + b"x" * 7_999),
        "RFC 9112, section 3",
        Passed("GET", b"/" + b"x" * 7_999),
        although=_LARGER,
    ),
)

BODIES: Final = (
    request("length above the limit", post(b"Content-Length: 7000000"), _BODY, Refused(413)),
    request(
        "length above the limit, with an expectation",
        post(b"Content-Length: 7000000", b"Expect: 100-continue"),
        "RFC 9110, section 10.1.1",
        Refused(413),
    ),
    request(
        "body of 7 MB, written before anything is read",
        post(b"Content-Length: 7000000", body=b"x" * 7_000_000),
        "RFC 9112, section 9.6",
        Refused(413),
    ),
    request(
        "chunks of 7 MB, written before anything is read",
        post(b"Transfer-Encoding: chunked", body=b"6acfc0\r\n" + b"x" * 7_000_000 + b"\r\n0\r\n\r\n"),
        "RFC 9112, section 9.6",
        Refused(413),
    ),
    request(
        "body to an own path",
        post(b"Content-Length: 3", body=b"abc", target=b"/health"),
        "RFC 9110, section 15.5.6",
        Local(405),
    ),
)

_GET_Y: Final = get(target=b"/y")
_POST: Final = post(b"Content-Length: 3", body=b"abc")
_PASSED: Final = Passed("POST", b"/x", b"abc")


def _behind(name: str, broken: bytes, status: int = 400) -> HostileRequest:
    """A valid POST with something broken behind it, in one write: the POST was run, so it is answered."""
    return request(f"behind a POST: {name}", _POST + broken, _PIPELINE, _PASSED, Refused(status))


PIPELINES: Final = (
    request("two requests in one write", _POST + _GET_Y, _PIPELINE, _PASSED, Passed("GET", b"/y")),
    request(
        "two requests, cut in the second",
        split(_POST + _GET_Y, b"/y HTTP"),
        _PIPELINE,
        _PASSED,
        Passed("GET", b"/y"),
    ),
    request(
        "twenty requests in one write",
        b"".join(get(target=b"/%d" % n) for n in range(20)),
        _PIPELINE,
        *(Passed("GET", b"/%d" % n) for n in range(20)),
    ),
    _behind("a line of no request", b"X\r\n\r\n"),
    _behind("a request with two lengths", post(b"Content-Length: 3", b"Content-Length: 4", body=b"abc")),
    _behind(
        "a request with length and coding",
        post(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"abc"),
    ),
    _behind("a request with a bare LF", b"GET /y HTTP/1.1\nHost: a\n\n"),
    _behind(
        "a request with a bad chunk", post(b"Transfer-Encoding: chunked", body=b"+3\r\nabc\r\n0\r\n\r\n")
    ),
    _behind("a request without Host", message(b"GET /y HTTP/1.1")),
    _behind("a request of HTTP/2.0", message(b"GET /y HTTP/2.0", HOST), 505),
    _behind("a field that is too long", get(b"X-A: " + b"b" * 20_000), 431),
    _behind("bytes of no protocol", b"\x00\x01\x02\x03\r\n\r\n"),
    request(
        "behind a broken request: a valid one",
        get(b"X-A : b") + _GET_Y,
        "RFC 9112, section 2.2",
        Refused(400),
    ),
    request(
        "behind a closing request: another",
        get(b"Connection: close") + _GET_Y,
        "RFC 9112, section 9.6",
        Passed("GET", b"/x"),
    ),
    request(
        "behind HTTP/1.0: another",
        b"GET /x HTTP/1.0\r\n\r\n" + _GET_Y,
        "RFC 9112, section 9.3",
        Passed("GET", b"/x"),
    ),
)

CASES: Final[tuple[HostileRequest, ...]] = (*HEADS, *PIPELINES, *BODIES)
