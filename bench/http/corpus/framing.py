"""Length of a request's body: Content-Length and Transfer-Encoding, each alone, both, and in odd forms."""

from __future__ import annotations

from typing import Final

from bench.http.cases import HOST, HostileRequest, Passed, Refused, chunked, get, message, post, request

_CL: Final = "RFC 9110, section 8.6"
_CL_LIST: Final = "RFC 9112, section 6.3, rule 5"
_TE: Final = "RFC 9112, section 6.1"
_BOTH: Final = "RFC 9112, section 6.3, rule 3"
_NOT_FINAL: Final = "RFC 9112, section 6.3, rule 4"
_TAB: Final = (
    "nginx takes no tab for white space around a value and refuses it. No recipient reads another value."
)
_ABC: Final = b"3\r\nabc\r\n0\r\n\r\n"
_HIDDEN: Final = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
_PASSED: Final = Passed("POST", b"/x", b"abc", absent=(b"transfer-encoding",))


def _length(name: str, value: bytes, rests_on: str = _CL) -> HostileRequest:
    return request(f"length {name}", post(b"Content-Length: " + value, body=b"abc"), rests_on, Refused(400))


def _coding(name: str, value: bytes, status: int, rests_on: str = _TE) -> HostileRequest:
    sent = post(b"Transfer-Encoding: " + value, body=_ABC)
    return request(f"coding {name}", sent, rests_on, Refused(status))


BOTH: Final = (
    request(
        "Content-Length before Transfer-Encoding",
        post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=_HIDDEN),
        _BOTH,
        Refused(400),
    ),
    request(
        "Transfer-Encoding before Content-Length",
        post(b"Transfer-Encoding: chunked", b"Content-Length: 6", body=_HIDDEN),
        _BOTH,
        Refused(400),
    ),
    request(
        "Content-Length 0 with Transfer-Encoding",
        post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=_ABC),
        _BOTH,
        Refused(400),
    ),
    request(
        "both, the length right",
        post(b"Content-Length: 13", b"Transfer-Encoding: chunked", body=_ABC),
        _BOTH,
        Refused(400),
    ),
    request(
        "both, the length named by Connection",
        post(
            b"Connection: content-length", b"Content-Length: 6", b"Transfer-Encoding: chunked", body=_HIDDEN
        ),
        _BOTH,
        Refused(400),
    ),
    request(
        "both, the coding named by Connection",
        post(
            b"Connection: transfer-encoding",
            b"Content-Length: 6",
            b"Transfer-Encoding: chunked",
            body=_HIDDEN,
        ),
        _BOTH,
        Refused(400),
    ),
    request(
        "both, the coding empty",
        post(b"Transfer-Encoding:", b"Content-Length: 3", body=b"abc"),
        _BOTH,
        Refused(400),
    ),
    request(
        "both, the coding unknown",
        post(b"Transfer-Encoding: xchunked", b"Content-Length: 3", body=b"abc"),
        _BOTH,
        Refused(400),
    ),
    request(
        "both, the coding identity",
        post(b"Transfer-Encoding: identity", b"Content-Length: 3", body=b"abc"),
        _BOTH,
        Refused(400),
    ),
    request(
        "both in HTTP/1.0",
        message(
            b"POST /x HTTP/1.0",
            HOST,
            b"Content-Length: 6",
            b"Transfer-Encoding: chunked",
            body=_HIDDEN,
        ),
        _TE,
        Refused(400),
    ),
)

LENGTHS: Final = (
    _length("with a plus", b"+3"),
    _length("with a minus", b"-3"),
    _length("minus zero", b"-0"),
    _length("in hexadecimal", b"0x3"),
    _length("with a fraction", b"3.0"),
    _length("with an exponent", b"3e0"),
    _length("with an underscore", b"0_3"),
    _length("with letters behind it", b"3abc"),
    _length("of two numbers", b"3 3"),
    _length("empty", b""),
    _length("in Arabic digits", "٣".encode()),
    _length("with a NUL behind it", b"3\x00", rests_on="RFC 9110, section 5.5"),
    _length("with a vertical tab before it", b"\x0b3", rests_on="RFC 9110, section 5.5"),
    _length("twice in a list", b"3, 3", rests_on=_CL_LIST),
    _length("as a list of two", b"3, 4", rests_on=_CL_LIST),
    _length("with an empty element", b"3,", rests_on=_CL_LIST),
    _length("of 2^64 + 3", b"18446744073709551619"),
    _length("of 30 digits", b"4294967299" * 3),
    request(
        "two lengths, equal",
        post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
        _CL_LIST,
        Refused(400),
    ),
    request(
        "two lengths, the first less",
        post(b"Content-Length: 0", b"Content-Length: 3", body=b"abc"),
        _CL_LIST,
        Refused(400),
    ),
    request(
        "two lengths, the second less",
        post(b"Content-Length: 3", b"content-length: 0", body=b"abc"),
        _CL_LIST,
        Refused(400),
    ),
    request("length with zeros before it", post(b"Content-Length: 003", body=b"abc"), _CL, _PASSED),
    request(
        "length with spaces around it",
        post(b"Content-Length:   3 \t", body=b"abc"),
        "RFC 9110, section 5.6.3",
        _PASSED,
        although=_TAB,
    ),
    request(
        "length in a GET",
        get(b"Content-Length: 3") + b"abc",
        "RFC 9110, section 9.3.1",
        Passed("GET", b"/x", b"abc"),
    ),
    request("length above what comes", (post(b"Content-Length: 4", body=b"abc"),), "RFC 9112, section 8"),
    request(
        "length zero, then a request",
        post(b"Content-Length: 0") + get(target=b"/y"),
        "RFC 9112, section 9.3.2",
        Passed("POST", b"/x"),
        Passed("GET", b"/y"),
    ),
    request(
        "length named by Connection",
        post(b"Connection: content-length", b"Content-Length: 3", body=b"abc"),
        "RFC 9110, section 7.6.1",
        _PASSED,
    ),
    request(
        "length with an underscore in its name",
        post(b"Content_Length: 99", b"Content-Length: 3", body=b"abc"),
        "RFC 3875, section 4.1.18",
        Passed("POST", b"/x", b"abc", ((b"content-length", b"3"),)),
    ),
)

CODINGS: Final = (
    _coding("unknown", b"xchunked", 501),
    _coding("identity", b"identity", 501),
    _coding("gzip", b"gzip", 501),
    _coding("gzip, then chunked", b"gzip, chunked", 501),
    _coding("chunked, then gzip", b"chunked, gzip", 501, _NOT_FINAL),
    _coding("chunked, then identity", b"chunked, identity", 501, _NOT_FINAL),
    _coding("chunked twice", b"chunked, chunked", 501),
    _coding("with an empty element", b",chunked", 501),
    _coding("with a parameter", b"chunked;q=1", 501),
    _coding("in quotes", b'"chunked"', 501),
    _coding("with a letter of two bytes", "chunĸed".encode(), 501),
    _coding("empty", b"", 501),
    _coding("with a vertical tab before it", b"\x0bchunked", 400, "RFC 9110, section 5.5"),
    _coding("with a NUL behind it", b"chunked\x00", 400, "RFC 9110, section 5.5"),
    _coding("with a bare CR before it", b"\rchunked", 400, "RFC 9112, section 2.2"),
    request(
        "two codings, the first identity",
        post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=_ABC),
        _TE,
        Refused(400),
    ),
    request(
        "two codings, the second identity",
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=_ABC),
        _NOT_FINAL,
        Refused(400),
    ),
    request(
        "two codings, both chunked",
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=_ABC),
        _TE,
        Refused(400),
    ),
    request(
        "chunked in HTTP/1.0",
        message(b"POST /x HTTP/1.0", HOST, b"Transfer-Encoding: chunked", body=_ABC),
        _TE,
        Refused(400),
    ),
    request("coding in capitals", post(b"TRANSFER-ENCODING: CHUNKED", body=_ABC), _TE, _PASSED),
    request(
        "coding after a tab",
        post(b"Transfer-Encoding:\tchunked", body=_ABC),
        "RFC 9110, section 5.6.3",
        _PASSED,
        although=_TAB,
    ),
    request(
        "coding before spaces",
        post(b"Transfer-Encoding: chunked  ", body=_ABC),
        "RFC 9110, section 5.6.3",
        _PASSED,
    ),
    request("coding in a GET", get(b"Transfer-Encoding: chunked") + _ABC, _TE, Passed("GET", b"/x", b"abc")),
    request("coding named by Connection", chunked(_ABC, b"Connection: transfer-encoding"), _TE, _PASSED),
    request(
        "coding with an underscore in its name",
        post(b"Transfer_Encoding: chunked", b"Content-Length: 3", body=b"abc"),
        "RFC 3875, section 4.1.18",
        _PASSED,
    ),
)

CASES: Final[tuple[HostileRequest, ...]] = (*BOTH, *LENGTHS, *CODINGS)
