"""Lines of a head: their ends, the request line with its version, names and values of fields."""

from __future__ import annotations

from typing import Final

from bench.http.cases import HOST, HostileRequest, Passed, Refused, get, message, post, request

_EOL: Final = "RFC 9112, section 2.2"
_START: Final = "RFC 9112, section 3"
_VERSION: Final = "RFC 9112, section 2.3"
_NAME: Final = "RFC 9112, section 5.1"
_FOLD: Final = "RFC 9112, section 5.2"
_VALUE: Final = "RFC 9110, section 5.5"
_METHOD: Final = "RFC 9110, section 9.1"
_SEEN: Final = Passed("GET", b"/x")


def _bad(name: str, sent: bytes, rests_on: str, status: int = 400) -> HostileRequest:
    return request(name, sent, rests_on, Refused(status))


def _start(name: str, line: bytes, status: int = 400, rests_on: str = _START) -> HostileRequest:
    return _bad(f"request line {name}", message(line, HOST), rests_on, status)


def _field(name: str, line: bytes, rests_on: str = _NAME) -> HostileRequest:
    return _bad(f"field {name}", get(line), rests_on)


ENDS: Final = (
    _bad("bare LFs only", b"GET /x HTTP/1.1\nHost: a\n\n", _EOL),
    _bad("bare LF after the request line", b"GET /x HTTP/1.1\nHost: a\r\n\r\n", _EOL),
    _bad("bare LF after a field", b"GET /x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", _EOL),
    _bad("bare LF as the end of the head", b"GET /x HTTP/1.1\r\nHost: a\r\n\n", _EOL),
    _bad("bare LF in a value", get(b"X-A: b\nX-C: d"), _EOL),
    _bad("bare CR in a value", get(b"X-A: b\rX-C: d"), _EOL),
    _bad("bare CR at the end of a value", b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\r\r\n\r\n", _EOL),
    _bad("bare CR in a name", get(b"X\r-A: b"), _EOL),
    _bad("bare CR before a field", b"GET /x HTTP/1.1\r\n\rHost: a\r\n\r\n", _EOL),
    _bad("bare CR instead of the end of the head", b"GET /x HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", _EOL),
    _bad("bare CR after the request line", b"GET /x HTTP/1.1\rHost: a\r\n\r\n", _EOL),
    request("empty line before the request", b"\r\n" + get(), _EOL, _SEEN),
    _bad("bare LF before the request", b"\n" + get(), _EOL),
    _bad("a thousand empty lines before the request", b"\r\n" * 1_000 + get(), _EOL),
    request("head without its end", b"GET /x HTTP/1.1\r\nHost: a\r\n", "RFC 9112, section 8"),
    request("half a request line", b"GET /x HT", "RFC 9112, section 8"),
    _bad("space before the first field", b"GET /x HTTP/1.1\r\n Host: a\r\n\r\n", _EOL),
    _bad("space before the request line", b" " + get(), _START),
)

FOLDS: Final = (
    _bad("folded value", get(b"X-A: b\r\n c"), _FOLD),
    _bad("folded with a tab", get(b"X-A: b\r\n\tc"), _FOLD),
    _bad("folded coding", post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"), _FOLD),
    _bad("folded length", post(b"Content-Length:\r\n 3", body=b"abc"), _FOLD),
    _bad(
        "a field that looks like a fold",
        post(b"X-A: b", b" Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        _FOLD,
    ),
    _bad("folded Host", b"GET /x HTTP/1.1\r\nHost: a\r\n .example\r\n\r\n", _FOLD),
    _bad("fold of nothing", get(b"X-A: b\r\n "), _FOLD),
)

STARTS: Final = (
    _start("without a version", b"GET /x"),
    _start("of HTTP/0.9 with a version", b"GET /x HTTP/0.9", 505, _VERSION),
    _bad("HTTP/0.9", b"GET /x\r\n", _START),
    _start("with HTTP/2.0", b"GET /x HTTP/2.0", 505, _VERSION),
    _start("with HTTP/2", b"GET /x HTTP/2", 400, _VERSION),
    _start("with HTTP/3.0", b"GET /x HTTP/3.0", 505, _VERSION),
    _start("with HTTP/1.2", b"GET /x HTTP/1.2", 505, _VERSION),
    _start("with HTTP/1.10", b"GET /x HTTP/1.10", 400, _VERSION),
    _start("with HTTP/01.1", b"GET /x HTTP/01.1", 400, _VERSION),
    _start("with HTTP/1,1", b"GET /x HTTP/1,1", 400, _VERSION),
    _start("with a version in small letters", b"GET /x http/1.1", 400, _VERSION),
    _start("with another protocol", b"GET /x RTSP/1.0", 400, _VERSION),
    _start("with a space behind it", b"GET /x HTTP/1.1 "),
    _start("with two spaces", b"GET  /x HTTP/1.1"),
    _start("with two spaces before the version", b"GET /x  HTTP/1.1"),
    _start("with a tab", b"GET\t/x HTTP/1.1"),
    _start("with a vertical tab", b"GET\x0b/x HTTP/1.1"),
    _start("with a space in the target", b"GET /x y HTTP/1.1"),
    _start("with two versions", b"GET /x HTTP/1.1 HTTP/1.1"),
    _start("of one word", b"GET"),
    _start("without a method", b"/x HTTP/1.1"),
    _start("with a NUL", b"GET /\x00 HTTP/1.1"),
    _start("with a NUL in the method", b"GE\x00T /x HTTP/1.1", rests_on=_METHOD),
    _start("with a colon in the method", b"GET: /x HTTP/1.1", rests_on=_METHOD),
    _start("with a slash in the method", b"GET/x /x HTTP/1.1", rests_on=_METHOD),
    _start("with a letter of two bytes in the method", "GÉT /x HTTP/1.1".encode(), rests_on=_METHOD),
    _start("with a method of 20 kB", b"A" * 20_000 + b" /x HTTP/1.1", 414, _METHOD),
    _bad("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "RFC 9113, section 3.4", 505),
    _bad("a TLS greeting", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", _START),
    _bad("the banner of SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", _START),
    _bad("a line of PROXY protocol", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get(), _START),
    request(
        "a method of its own",
        message(b"PURGE-ALL /x HTTP/1.1", HOST),
        _METHOD,
        Passed("PURGE-ALL", b"/x"),
    ),
    request(
        "a method in small letters",
        message(b"get /x HTTP/1.1", HOST),
        _METHOD,
        Passed("get", b"/x"),
        although="nginx takes capital letters only. A method is any token and cannot be misread.",
    ),
    request(
        "HTTP/1.0 with a length",
        b"POST /x HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
        _VERSION,
        Passed("POST", b"/x", b"abc"),
    ),
)

NAMES: Final = (
    _field("with a space before the colon", b"X-A : b"),
    _field("with a tab before the colon", b"X-A\t: b"),
    _bad(
        "coding with a space before the colon", post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"), _NAME
    ),
    _bad("length with a space before the colon", post(b"Content-Length : 3", body=b"abc"), _NAME),
    _bad("Host with a space before the colon", b"GET /x HTTP/1.1\r\nHost : a\r\n\r\n", _NAME),
    _field("without a colon", b"X-A"),
    _field("without a name", b": b"),
    _field("with a space in its name", b"X A: b"),
    _field("with a slash in its name", b"X/A: b"),
    _field("with a bracket in its name", b"X(A): b"),
    _field("with quotes in its name", b'"X": b'),
    _field("with a letter of one high byte in its name", b"X-\xe4: b"),
    _field("with a NUL in its name", b"X\x00A: b"),
    _field("with a DEL in its name", b"X\x7fA: b"),
    _field("with a second request line in its name", b"GET /y HTTP/1.1"),
)

VALUES: Final = (
    _field("with a NUL in its value", b"X-A: b\x00c", _VALUE),
    _field("with an ESC in its value", b"X-A: b\x1bc", _VALUE),
    _field("with a DEL in its value", b"X-A: b\x7fc", _VALUE),
    _field("with a form feed in its value", b"X-A: b\x0cc", _VALUE),
    _field("with a file separator in its value", b"X-A: b\x1cX-C: d", _VALUE),
    request(
        "field with a tab in its value",
        get(b"X-A: b\tc"),
        _VALUE,
        Passed("GET", b"/x", fields=((b"x-a", b"b\tc"),)),
    ),
    request(
        "field with high bytes in its value",
        get("X-A: bü\u2028c".encode() + b"\x85\xff"),
        _VALUE,
        Passed("GET", b"/x", fields=((b"x-a", "bü\u2028c".encode() + b"\x85\xff"),)),
    ),
    request("field with an empty value", get(b"X-A:"), _VALUE, Passed("GET", b"/x", fields=((b"x-a", b""),))),
    request(
        "field with spaces around its value",
        get(b"X-A: \t b \t "),
        _VALUE,
        Passed("GET", b"/x", fields=((b"x-a", b"b"),)),
    ),
    request(
        "field with a colon in its value",
        get(b"X-A:: b"),
        _VALUE,
        Passed("GET", b"/x", fields=((b"x-a", b": b"),)),
    ),
)

CASES: Final[tuple[HostileRequest, ...]] = (*ENDS, *FOLDS, *STARTS, *NAMES, *VALUES)
