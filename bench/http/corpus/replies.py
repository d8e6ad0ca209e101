"""What an agent, or what answers at its address, may write instead of a reply.

A whole reply that breaks a rule is the agent's fault: each agent runs the same code, so no other is asked. A
connection that ends early or that carries no HTTP/1.1 is a broken connection: another target is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.http.cases import Cut, Fails, Field, HostileReply, Reaches, each_byte, message

_STATUS: Final = "RFC 9112, section 4"
_CLASS: Final = "RFC 9110, section 15"
_NAME: Final = "RFC 9112, section 5.1"
_FOLD: Final = "RFC 9112, section 5.2"
_VALUE: Final = "RFC 9110, section 5.5"
_EOL: Final = "RFC 9112, section 2.2"
_BOTH: Final = "RFC 9112, section 6.3, rule 3"
_LENGTH: Final = "RFC 9112, section 6.3, rule 5"
_CODING: Final = "RFC 9112, section 6.1"
_CHUNK: Final = "RFC 9112, section 7.1"
_BODILESS: Final = "RFC 9112, section 6.3, rule 1"
_EARLY: Final = "RFC 9112, section 8"
_INTERIM: Final = "RFC 9110, section 15.2"
_OK: Final = b"HTTP/1.1 200 OK"
_LEN: Final = b"Content-Length: 2"
_JSON: Final = b"Content-Type: application/json"
_HI: Final = Reaches(200, b"hi")
_AGENT, _WIRE = Fails(agents_fault=True), Fails(agents_fault=False)
_SECOND: Final = message(b"HTTP/1.1 404 Not Found", b"Content-Length: 6", body=b"poison")


def _reply(
    name: str,
    sent: bytes | Sequence[bytes],
    rests_on: str,
    expected: Reaches | Fails | Cut,
    *,
    close: bool = False,
    method: str = "GET",
    although: str = "",
) -> HostileReply:
    writes = (sent,) if isinstance(sent, bytes) else tuple(sent)
    return HostileReply(name, writes, expected, rests_on, close, method, although)


def _line(
    name: str, line: bytes, expected: Reaches | Fails = _AGENT, rests_on: str = _STATUS
) -> HostileReply:
    return _reply(f"status line {name}", message(line, _LEN, body=b"hi"), rests_on, expected)


def _field(name: str, line: bytes, rests_on: str, expected: Reaches | Fails = _AGENT) -> HostileReply:
    return _reply(f"field {name}", message(_OK, _LEN, line, body=b"hi"), rests_on, expected)


def _chunks(
    name: str, body: bytes, rests_on: str = _CHUNK, expected: Reaches | Fails | Cut = _AGENT
) -> HostileReply:
    sent = message(_OK, _JSON, b"Transfer-Encoding: chunked", body=body)
    return _reply(f"chunk {name}", sent, rests_on, expected)


STATUS: Final = (
    _line("with status 99", b"HTTP/1.1 99 X", rests_on=_CLASS),
    _line("with status 099", b"HTTP/1.1 099 X", rests_on=_CLASS),
    _line("with status 600", b"HTTP/1.1 600 X", rests_on=_CLASS),
    _line("with status 999", b"HTTP/1.1 999 X", rests_on=_CLASS),
    _line("with status 000", b"HTTP/1.1 000 X", rests_on=_CLASS),
    _line("with status 2000", b"HTTP/1.1 2000 X"),
    _line("with status 20", b"HTTP/1.1 20 X"),
    _line("with a status of letters", b"HTTP/1.1 abc X"),
    _line("with a negative status", b"HTTP/1.1 -200 X"),
    _line("with HTTP/2.0", b"HTTP/2.0 200 OK", _WIRE),
    _line("with HTTP/1.2", b"HTTP/1.2 200 OK"),
    _line("of another protocol", b"ICY 200 OK", _WIRE),
    _line("with two spaces", b"HTTP/1.1  200 OK"),
    _line("without a space", b"HTTP/1.1200 OK"),
    _line("with a NUL in its reason", b"HTTP/1.1 200 O\x00K"),
    _line("with a bare CR in its reason", b"HTTP/1.1 200 O\rK", rests_on=_EOL),
    _line("without a reason", b"HTTP/1.1 200 ", _HI),
    _line("that ends after its status", b"HTTP/1.1 200", _HI),
    _line("with a long reason", b"HTTP/1.1 200 " + b"x" * 1_000, _HI),
    _line("with a status that has no name", b"HTTP/1.1 299 X", Reaches(299, b"hi")),
    _reply("a body without a head", b"hi there\r\n\r\n", _STATUS, _WIRE, close=True),
    _reply("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x28", _STATUS, _WIRE, close=True),
    _reply("no byte", (), _EARLY, _WIRE, close=True),
    _reply("half a status line", b"HTTP/1.1 20", _EARLY, _WIRE, close=True),
    _reply("half a head", b"HTTP/1.1 200 OK\r\nContent-Le", _EARLY, _WIRE, close=True),
)

FIELDS: Final = (
    _field("folded", b"X-A: b\r\n c", _FOLD),
    _field("folded with a tab", b"X-A: b\r\n\tc", _FOLD),
    _field("with a space before the colon", b"X-A : b", _NAME),
    _field("without a colon", b"X-A", _NAME),
    _field("without a name", b": b", _NAME),
    _field("with a space in its name", b"X A: b", _NAME),
    _field("with a NUL in its value", b"X-A: b\x00c", _VALUE),
    _field("with a bare CR in its value", b"X-A: b\rX-C: d", _EOL),
    _field("with a bare LF in its value", b"X-A: b\nX-C: d", _EOL),
    _field("with high bytes", "X-A: ü".encode(), _VALUE, Reaches(200, b"hi", ((b"x-a", "ü".encode()),))),
    _field(
        "that Connection names",
        b"X-A: b\r\nConnection: x-a",
        "RFC 9110, section 7.6.1",
        Reaches(200, b"hi", absent=(b"x-a", b"connection")),
    ),
    _field(
        "of the router, forged",
        b"X-Skyfleet-Target: forged-by-an-agent\r\nX-Skyfleet-Attempts: 99",
        "docs/reference/http.md",
        _HI,
    ),
    _reply("bare LFs only", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", _EOL, _AGENT),
    _reply(
        "space before the first field",
        b"HTTP/1.1 200 OK\r\n X-A: b\r\nContent-Length: 2\r\n\r\nhi",
        _EOL,
        _AGENT,
    ),
    _reply(
        "field of 70 kB",
        message(_OK, _LEN, b"X-A: " + b"b" * 70_000, body=b"hi"),
        "RFC 6585, section 5",
        _AGENT,
    ),
    _reply(
        "head that never ends",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20_000,
        "RFC 6585, section 5",
        _AGENT,
    ),
)

LENGTHS: Final = (
    _reply(
        "length and coding",
        message(_OK, b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + _SECOND),
        _BOTH,
        _AGENT,
    ),
    _reply(
        "coding and length",
        message(_OK, b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
        _BOTH,
        _AGENT,
    ),
    _field("length, another one", b"Content-Length: 3", _LENGTH),
    _reply("length as a list", message(_OK, b"Content-Length: 2, 3", body=b"hi"), _LENGTH, _AGENT),
    _reply("length with a plus", message(_OK, b"Content-Length: +2", body=b"hi"), _LENGTH, _AGENT),
    _reply("length with a minus", message(_OK, b"Content-Length: -2", body=b"hi"), _LENGTH, _AGENT),
    _reply("length of letters", message(_OK, b"Content-Length: two", body=b"hi"), _LENGTH, _AGENT),
    _reply(
        "length of 20 digits",
        message(_OK, b"Content-Length: 18446744073709551618", body=b"hi"),
        _LENGTH,
        _AGENT,
    ),
    _reply("coding gzip", message(_OK, b"Transfer-Encoding: gzip", body=b"hi"), _CODING, _AGENT, close=True),
    _reply(
        "coding identity",
        message(_OK, b"Transfer-Encoding: identity", body=b"hi"),
        _CODING,
        _AGENT,
        close=True,
    ),
    _reply(
        "coding chunked twice",
        message(_OK, b"Transfer-Encoding: chunked, chunked", body=b"2\r\nhi\r\n0\r\n\r\n"),
        _CODING,
        _AGENT,
    ),
    _reply(
        "coding in HTTP/1.0",
        message(b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\n"),
        _CODING,
        _AGENT,
        close=True,
    ),
    _reply(
        "length above the body",
        message(_OK, _JSON, b"Content-Length: 9", body=b"hi"),
        _EARLY,
        _WIRE,
        close=True,
    ),
    _reply(
        "length above a streamed body",
        message(_OK, b"Content-Type: text/plain", b"Content-Length: 100000", body=b"hi"),
        _EARLY,
        Cut(200),
        close=True,
    ),
    _reply("body above its length", message(_OK, _LEN, body=b"hi there"), _LENGTH, _HI),
    _reply("a second reply", message(_OK, _LEN, body=b"hi") + _SECOND, "RFC 9112, section 9.2", _HI),
    _reply(
        "body that ends with the connection",
        message(_OK, b"Content-Type: text/plain", body=b"hi"),
        _LENGTH,
        _HI,
        close=True,
    ),
    _reply("reply in single bytes", each_byte(message(_OK, _LEN, body=b"hi")), "RFC 9112, section 2", _HI),
)

_HI_CHUNK: Final = b"2\r\nhi\r\n"
CHUNKS: Final = (
    _chunks("size with a plus", b"+2\r\nhi\r\n0\r\n\r\n"),
    _chunks("size in C's form", b"0x2\r\nhi\r\n0\r\n\r\n"),
    _chunks("size of letters", b"two\r\nhi\r\n0\r\n\r\n"),
    _chunks("size of 2^64 + 2", b"10000000000000002\r\nhi\r\n0\r\n\r\n"),
    _chunks("size less than the data", b"1\r\nhi\r\n0\r\n\r\n"),
    _chunks("size before a bare LF", b"2\nhi\r\n0\r\n\r\n", _EOL),
    _chunks("data before a bare LF", b"2\r\nhi\n0\r\n\r\n", _EOL),
    _chunks("extension with a bare LF", b"2;a\nhi\r\n0\r\n\r\n", "RFC 9112, section 7.1.1"),
    _chunks("extension", b"2;a=b\r\nhi\r\n0;c\r\n\r\n", "RFC 9112, section 7.1.1", _HI),
    _chunks(
        "trailer that looks like a head",
        _HI_CHUNK + b"0\r\nX-Skyfleet-Outcome: error\r\nSet-Cookie: late=1\r\nContent-Length: 9\r\n\r\n",
        "RFC 9110, section 6.5.1",
        Reaches(200, b"hi", absent=(b"x-skyfleet-outcome", b"set-cookie")),
    ),
    _chunks("trailer that is folded", _HI_CHUNK + b"0\r\nX-A: b\r\n c\r\n\r\n", _FOLD),
    _reply(
        "chunks without an end",
        message(_OK, _JSON, b"Transfer-Encoding: chunked", body=_HI_CHUNK),
        _EARLY,
        _WIRE,
        close=True,
    ),
)

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
INTERIM: Final = (
    _reply("endless 100", _CONTINUE * 10_000, _INTERIM, _AGENT),
    _reply("endless 103", _HINTS * 10_000, _INTERIM, _AGENT),
    _reply("103 of 70 kB", b"HTTP/1.1 103 X\r\nLink: " + b"a" * 70_000 + b"\r\n\r\n", _INTERIM, _AGENT),
    _reply("a 100, then a reply", _CONTINUE + message(_OK, _LEN, body=b"hi"), _INTERIM, _HI),
    _reply(
        "a 102 with a length, then a reply",
        b"HTTP/1.1 102 X\r\nContent-Length: 9\r\n\r\n" + message(_OK, _LEN, body=b"hi"),
        _INTERIM,
        _HI,
    ),
    _reply(
        "a 101 that was not asked for",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhi",
        "RFC 9110, section 15.2.2",
        _AGENT,
    ),
    _reply("a 100, then nothing", _CONTINUE, _EARLY, _WIRE, close=True),
)

_NO_BODY: Final[tuple[Field, ...]] = ()
BODILESS: Final = (
    _reply("204 with a body", message(b"HTTP/1.1 204 X", _LEN, body=b"hi"), _BODILESS, Reaches(204)),
    _reply(
        "204 in chunks",
        message(b"HTTP/1.1 204 X", b"Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\n"),
        _BODILESS,
        Reaches(204),
    ),
    _reply("304 with a body", message(b"HTTP/1.1 304 X", _LEN, body=b"hi"), _BODILESS, Reaches(304)),
    _reply("HEAD with a body", message(_OK, _LEN, body=b"hi"), _BODILESS, Reaches(200), method="HEAD"),
)

CASES: Final[tuple[HostileReply, ...]] = (*STATUS, *FIELDS, *LENGTHS, *CHUNKS, *INTERIM, *BODILESS)
