"""Bodies in chunks: sizes, extensions, ends, and the fields after the last chunk."""

from __future__ import annotations

from typing import Final

from bench.http.cases import HostileRequest, Passed, Refused, chunked, each_byte, get, request, split

_CHUNK: Final = "RFC 9112, section 7.1"
_EXT: Final = "RFC 9112, section 7.1.1"
_TRAILER: Final = "RFC 9112, section 7.1.2"
_LAST: Final = b"0\r\n\r\n"
_ABC: Final = b"3\r\nabc\r\n"
# https://w4ke.info/2025/06/18/funky-chunks.html
_FUNKY: Final = "RFC 9112, section 7.1.1; 'Funky chunks' (J. Weikop, 2025)"


def _bad(name: str, body: bytes, rests_on: str = _CHUNK) -> HostileRequest:
    return request(f"chunk {name}", chunked(body), rests_on, Refused(400))


def _good(name: str, body: bytes, rests_on: str = _CHUNK, data: bytes = b"abc") -> HostileRequest:
    return request(f"chunk {name}", chunked(body), rests_on, Passed("POST", b"/x", data))


SIZES: Final = (
    _bad("size in C's form", b"0x3\r\nabc\r\n" + _LAST),
    _bad("size with a plus", b"+3\r\nabc\r\n" + _LAST),
    _bad("size with a minus", b"-3\r\nabc\r\n" + _LAST),
    _bad("size with an underscore", b"0_3\r\nabc\r\n" + _LAST),
    _bad("size after a space", b" 3\r\nabc\r\n" + _LAST),
    _bad("size before a space", b"3 \r\nabc\r\n" + _LAST),
    _bad("size before a tab", b"3\t\r\nabc\r\n" + _LAST),
    _bad("size before a NUL", b"3\x00\r\nabc\r\n" + _LAST),
    _bad("size empty", b"\r\nabc\r\n" + _LAST),
    _bad("size of no digit", b"g\r\nabc\r\n" + _LAST),
    _bad("size in Arabic digits", "٣\r\nabc\r\n".encode() + _LAST),
    _bad("size of 2^64 + 3", b"10000000000000003\r\nabc\r\n" + _LAST),
    _bad("size of 2^32 + 3", b"100000003\r\nabc\r\n" + _LAST),
    _bad("size of a thousand zeros and 3", b"0" * 1000 + b"3\r\nabc\r\n" + _LAST),
    _bad("size before a bare LF", b"3\nabc\r\n" + _LAST, "RFC 9112, section 2.2"),
    _bad("size before a bare CR", b"3\rabc\r\n" + _LAST, "RFC 9112, section 2.2"),
    _bad("size less than the data", b"2\r\nabc\r\n" + _LAST),
    _bad("size above the data", b"4\r\nabc\r\n" + _LAST),
    _good("size with zeros before it", b"0003\r\nabc\r\n" + _LAST),
    _good("size in capitals", b"A\r\n0123456789\r\n" + _LAST, data=b"0123456789"),
)

ENDS: Final = (
    _bad("data without its end", b"3\r\nabc" + _LAST),
    _bad("data before a bare LF", b"3\r\nabc\n" + _LAST, "RFC 9112, section 2.2"),
    _bad("data before a bare CR", b"3\r\nabc\r0\r\n\r\n", "RFC 9112, section 2.2"),
    _bad("data before two line ends", b"3\r\nabc\r\n\r\n" + _LAST),
    _bad("end of bare LFs", _ABC + b"0\n\n", "RFC 9112, section 2.2"),
    _bad("end with one bare LF", _ABC + b"0\r\n\n", "RFC 9112, section 2.2"),
    _bad("end with a bare CR", _ABC + b"0\r\n\rX", "RFC 9112, section 2.2"),
    _bad("end of minus zero", _ABC + b"-0\r\n\r\n"),
    _good("end of three zeros", _ABC + b"000\r\n\r\n"),
    request("chunks without an end", chunked(_ABC), "RFC 9112, section 8"),
    request("chunks that end in a half line", chunked(_ABC + b"0\r\n\r"), "RFC 9112, section 8"),
    request(
        "chunks in single bytes", each_byte(chunked(_ABC + _LAST)), _CHUNK, Passed("POST", b"/x", b"abc")
    ),
    request(
        "chunks, then a request",
        chunked(_ABC + _LAST) + get(target=b"/y"),
        "RFC 9112, section 9.3.2",
        Passed("POST", b"/x", b"abc"),
        Passed("GET", b"/y"),
    ),
    request(
        "chunks, then a request that is broken",
        chunked(_ABC + _LAST) + b"X\r\n\r\n",
        "RFC 9112, section 9.3.2",
        Passed("POST", b"/x", b"abc"),
        Refused(400),
    ),
)

EXTENSIONS: Final = (
    _good("extension", b"3;a=b\r\nabc\r\n" + _LAST, _EXT),
    _good("extension in quotes", b'3;a="b;c"\r\nabc\r\n' + _LAST, _EXT),
    _good("extension of the last", _ABC + b"0;a\r\n\r\n", _EXT),
    _bad("extension with a bare LF", b"3;a\nabc\r\n" + _LAST, _FUNKY),
    _bad("extension with a bare LF in quotes", b'3;a="\n"\r\nabc\r\n' + _LAST, _FUNKY),
    _bad("extension with a bare CR", b"3;a\rb\r\nabc\r\n" + _LAST, _FUNKY),
    _bad("extension with a NUL", b"3;a=\x00\r\nabc\r\n" + _LAST, _EXT),
    _bad("extension of 20 kB", b"3;a=" + b"b" * 20_000 + b"\r\nabc\r\n" + _LAST, _EXT),
    _bad(
        "extensions of 100 kB in all",
        b"".join(b"1;a=" + b"b" * 200 + b"\r\nx\r\n" for _ in range(500)) + _LAST,
        "RFC 9112, section 7.1.1; CVE-2023-39326",
    ),
)

_WITH_TRAILER: Final = chunked(
    _ABC + b"0\r\nX-Skyfleet-Timeout-Ms: 1\r\nX-Late: yes\r\nX-Request-Id: late\r\n\r\n",
    b"X-Request-Id: early",
    b"Trailer: X-Late",
)
_UNTOUCHED: Final = Passed(
    "POST", b"/x", b"abc", ((b"x-request-id", b"early"),), absent=(b"x-late", b"trailer")
)
_HEAD_LIKE: Final = (
    b"Content-Length: 99",
    b"Transfer-Encoding: identity",
    b"Host: other.example",
    b"Authorization: Bearer other",
    b"Connection: close, x-kept",
)


_DROPPED: Final = (
    "HAProxy refuses it. Fields behind a body are kept apart here: the head has decided the framing."
)


def _trailer(line: bytes) -> HostileRequest:
    name = line.partition(b":")[0].decode()
    sent = chunked(_ABC + b"0\r\n" + line + b"\r\n\r\n", b"X-Kept: yes")
    expected = Passed("POST", b"/x", b"abc", ((b"x-kept", b"yes"),), absent=(b"authorization",))
    although = _DROPPED if name == "Transfer-Encoding" else ""
    return request(f"trailer field {name}", sent, "RFC 9110, section 6.5.1", expected, although=although)


TRAILERS: Final = (
    request("trailer in one write with its head", _WITH_TRAILER, _TRAILER, _UNTOUCHED),
    request(
        "trailer apart from its head",
        split(_WITH_TRAILER, b"3\r\nabc", b"X-Skyfleet-Timeout"),
        _TRAILER,
        _UNTOUCHED,
    ),
    request("trailer in the last chunk's write", split(_WITH_TRAILER, b"0\r\nX"), _TRAILER, _UNTOUCHED),
    request("trailer in single bytes", each_byte(_WITH_TRAILER), _TRAILER, _UNTOUCHED),
    *(_trailer(line) for line in _HEAD_LIKE),
    request(
        "trailer, then a request",
        _WITH_TRAILER + get(target=b"/y"),
        _TRAILER,
        _UNTOUCHED,
        Passed("GET", b"/y", absent=(b"x-late",)),
    ),
    _bad("trailer without a colon", _ABC + b"0\r\nlate\r\n\r\n", _TRAILER),
    _bad(
        "trailer with a space before the colon", _ABC + b"0\r\nX-Late : yes\r\n\r\n", "RFC 9112, section 5.1"
    ),
    _bad("trailer that is folded", _ABC + b"0\r\nX-Late: yes\r\n no\r\n\r\n", "RFC 9112, section 5.2"),
    _bad("trailer with a bare LF", _ABC + b"0\r\nX-Late: yes\nX: y\r\n\r\n", "RFC 9112, section 2.2"),
    _bad("trailer with a NUL", _ABC + b"0\r\nX-Late: \x00\r\n\r\n", "RFC 9110, section 5.5"),
    _bad("trailer of 1 MB", _ABC + b"0\r\nX-Late: " + b"y" * 1_000_000 + b"\r\n\r\n", _TRAILER),
    _bad("trailer of 2,000 fields", _ABC + b"0\r\n" + b"X-Late: yes\r\n" * 2_000 + b"\r\n", _TRAILER),
)

CASES: Final[tuple[HostileRequest, ...]] = (*SIZES, *ENDS, *EXTENSIONS, *TRAILERS)
