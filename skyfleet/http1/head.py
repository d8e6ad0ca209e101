"""The head of a request or a response: start line and fields.

Rules
- Of what RFC 9112 leaves to a recipient, only the strict reading is left: lines end with CRLF, no field is
  folded, no space precedes a colon, and one pattern describes a whole head. What nginx or HAProxy refuses is
  refused here, so a server before or behind this one cannot read a message in another way.
- The framing is decided once, with the head: a length or the chunked coding, never both and each only once
  (RFC 9112, section 6). What follows the head never changes it.
- HTTP/1.1 has exactly one Host (RFC 9112, section 3.2). A request target is a path. An absolute one is
  reduced to its path if its authority is the Host, as in HAProxy; the default port may be in one of them.
- CONNECT and TRACE are refused, as in nginx: one asks for a tunnel, the other for a copy of the fields,
  which the platform's credentials may be among.
- The limits are stated below; a head beyond them is refused with 431 (RFC 6585, section 5).

Values keep their bytes, names are in lower case, the order of the fields stays.
"""

from __future__ import annotations

import re
from typing import Final

from skyfleet.asgi import Header
from skyfleet.http1.errors import MalformedMessage
from skyfleet.values import frozen

# nginx takes lines of 8 KiB and Node heads of 16 KiB. Cloud Run takes 64 KiB for all fields.
MAX_LINE: Final = 16_384
MAX_HEAD: Final = 65_536
# HAProxy's limit is 101, that of hyper, which the Lambda Web Adapter is made of, 100.
MAX_FIELDS: Final = 100
# A platform adds fields of its own to a client's: on AWS two of them are JSON documents of a kilobyte.
PLATFORM_FIELDS: Final = 28
PLATFORM_BYTES: Final = 8_192
# An agent also gets what its router and another platform add. Without this margin, a request that a router
# accepts would be refused behind it.
MARGIN_FIELDS: Final = 50
MARGIN_BYTES: Final = 16_384
# One asks for a tunnel, the other for a copy of the fields, which credentials of the platform are among.
REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE"})
_REFUSED: Final = frozenset(method.encode() for method in REFUSED_METHODS)
# `RequestHead.length` of a body in the chunked coding.
CHUNKED: Final = -1

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_TEXT: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
_FIELDS: Final = rb"(?:%b:%b\r\n)*+" % (_TOKEN, _TEXT)
# A `#` is no part of a request target; servers that cut it there see another path (CVE-2023-45539).
_TARGET: Final = rb"[\x21\x22\x24-\x7e]++"
_REQUEST: Final = re.compile(rb"(%b) (%b) HTTP/1\.([01])\r\n(%b)" % (_TOKEN, _TARGET, _FIELDS))
_RESPONSE: Final = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: (%b))?\r\n(%b)" % (_TEXT, _FIELDS))
# Lines of fields, each with its CRLF; no value has a line end.
FIELD_LINES: Final = re.compile(_FIELDS)
# Of lines that fit `_FIELDS`: a name, and a value without the space around it.
_FIELD: Final = re.compile(rb"([^:]+):[ \t]*([^\r]*[^\r\t ]|)[ \t]*\r\n")
# RFC 9112, section 3: the start line alone, for what is said of a head that does not fit.
_REQUEST_LINE: Final = re.compile(rb"(%b) (%b) HTTP/([0-9])\.([0-9])\r\n" % (_TOKEN, _TARGET))
# A line that does not end with CRLF, or a NUL. A CR at the end may be followed by its LF.
BARE: Final = re.compile(rb"(?<!\r)\n|\r[^\n]|\x00")
# RFC 3986, section 3.2, without user information and without a comma, which joins two values of one field.
_AUTHORITY: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+;=]+)(?::[0-9]{0,5})?")
_ABSOLUTE: Final = re.compile(rb"(?i:(https?))://([^/?]+)(.*)")
_MOST_DIGITS: Final = 18
_NO_LENGTH: Final = f"Its Content-Length is no decimal number of at most {_MOST_DIGITS} digits."
_ONCE: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})


@frozen
class RequestHead:
    """target: path and query as they were sent. minor: of HTTP/1. by_name: the last field of each name.
    length: of the body in bytes, or `CHUNKED`. keep_alive: whether another request may follow."""

    method: str
    target: bytes
    minor: int
    fields: list[Header]
    by_name: dict[bytes, bytes]
    length: int
    keep_alive: bool


@frozen
class ResponseHead:
    """reason: the reason phrase, which may be empty. by_name: the first field of each name. length: of the
    body in bytes, `CHUNKED`, or None: it ends with the connection. Replies to HEAD, 204 and 304 have no body,
    whatever it says (RFC 9112, section 6.3). keep_alive: whether another response may follow."""

    status: int
    reason: bytes
    fields: list[Header]
    by_name: dict[bytes, bytes]
    length: int | None
    keep_alive: bool


def parse_request(head: bytes, *, routed: bool = False) -> RequestHead:
    """Read the head of a request. head: up to and with the CRLF of its last line, without the empty line.
    routed: a router may have added fields.

    Raises MalformedMessage."""
    match = _REQUEST.fullmatch(head)
    if match is None:
        raise _unreadable(head)
    method, target, minor, lines = match.groups()
    fields = _fields(head, lines, routed=routed)
    by_name = dict(fields)
    if len(by_name) != len(fields):
        _refuse_repeated(fields)
    if target[:1] != b"/":
        target = _path(target, by_name)
    if method in _REFUSED:
        raise MalformedMessage(f"The method {method.decode()} is not served here.", 501, "not-implemented")
    if b"host" not in by_name:
        if minor == b"1":
            raise MalformedMessage("A request in HTTP/1.1 has exactly one Host field; this one has none.")
    elif not _AUTHORITY.fullmatch(by_name[b"host"]):
        raise MalformedMessage("The value of Host is no host name with a port.")
    length = 0
    if b"content-length" in by_name or b"transfer-encoding" in by_name:
        length = _request_length(by_name, minor)
    keep_alive = minor == b"1"
    if b"connection" in by_name:
        keep_alive = keeps_alive(fields, keep_alive)
    return RequestHead(method.decode(), target, minor[0] - 0x30, fields, by_name, length, keep_alive)


def decoded_path(raw: bytes) -> str:
    """The path of a request target with its percent-encoding decoded, as ASGI's `path`."""
    path = raw.decode("ascii")
    if "%" not in path:
        return path
    from urllib.parse import unquote  # 3 ms of a cold start, for few paths

    return unquote(path)


def parse_response(head: bytes) -> ResponseHead:
    """Read the head of a response. head: as for `parse_request`. Raises MalformedMessage."""
    match = _RESPONSE.fullmatch(head)
    if match is None:
        raise _unreadable(head)
    fields = [(name.lower(), value) for name, value in _FIELD.findall(match[4])]
    by_name = dict(fields)
    if head[MAX_LINE:] or fields[MAX_FIELDS:]:
        _check_limits(head, routed=True)
    repeated = len(by_name) != len(fields)
    if repeated:
        _refuse_repeated(fields)
        by_name = dict(reversed(fields))
    length = None
    if b"transfer-encoding" in by_name:
        length = _chunked(by_name, match[1])
    elif b"content-length" in by_name:
        length = _length(by_name[b"content-length"])
    keep_alive = match[1] == b"1"
    if b"connection" in by_name and (repeated or by_name[b"connection"] != b"keep-alive" or not keep_alive):
        keep_alive = keeps_alive(fields, keep_alive)
    return ResponseHead(int(match[2]), match[3] or b"", fields, by_name, length, keep_alive)


def parse_trailers(lines: bytes) -> list[Header]:
    """Read the fields behind a chunked body, each line with its CRLF. Raises MalformedMessage."""
    if not FIELD_LINES.fullmatch(lines):
        raise MalformedMessage("A field behind the body is malformed.")
    return _fields(lines, lines)


def check_beginning(data: bytes, *, routed: bool = False) -> None:
    """Refuse the beginning of a request's head, whose end is not here yet, as soon as it cannot become one.
    routed: a router may have added fields.

    Raises MalformedMessage."""
    _check_beginning(data, _REQUEST, routed=routed)


def check_response_beginning(data: bytes, start: int = 0) -> None:
    """The same of a response. start: the bytes before it were checked. Raises MalformedMessage."""
    _check_beginning(data, _RESPONSE, routed=True, start=start)


def _check_beginning(data: bytes, head: re.Pattern[bytes], *, routed: bool, start: int = 0) -> None:
    """What is new costs a look at what is new, so single bytes are no burden."""
    if BARE.search(data, max(0, start - 1)):
        raise _unreadable(data)
    end = data.find(b"\r\n")
    if end >= 0 and end + 1 >= start and not head.fullmatch(data, 0, end + 2):
        raise _unreadable(data)
    line = len(data) - data.rfind(b"\n") - 1
    if line > MAX_LINE or len(data) > MAX_HEAD or b"\n" in data[start:]:
        _check_limits(data, routed=routed)


def _fields(head: bytes, lines: bytes, *, routed: bool = False) -> list[Header]:
    found: list[Header] = _FIELD.findall(lines)
    if len(head) > MAX_LINE or len(found) > MAX_FIELDS:
        _check_limits(head, routed=routed)
    return [(name.lower(), value) for name, value in found]


def _check_limits(head: bytes, *, routed: bool) -> None:
    most_fields, most = MAX_FIELDS + PLATFORM_FIELDS, MAX_HEAD + PLATFORM_BYTES
    if routed:
        most_fields, most = most_fields + MARGIN_FIELDS, most + MARGIN_BYTES
    lines = head.split(b"\r\n")
    if len(lines[0]) > MAX_LINE:
        what = f"Its first line is longer than {MAX_LINE} bytes."
        raise MalformedMessage(what, 414, "uri-too-long")
    if len(lines) - 2 > most_fields or len(head) > most or max(map(len, lines)) > MAX_LINE:
        raise MalformedMessage(
            f"Its header fields are too large; the limits are {most_fields} fields, {MAX_LINE} bytes a field "
            f"and {most} bytes in all.",
            431,
            "header-fields-too-large",
        )


def _refuse_repeated(fields: list[Header]) -> None:
    names = [name for name, _ in fields if name in _ONCE]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedMessage(f"The field {twice.decode()} appears twice; it may appear once.")


def _path(target: bytes, by_name: dict[bytes, bytes]) -> bytes:
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise MalformedMessage("The request target is no path; it begins with '/'.")
    scheme, authority, path = match.groups()
    if _normal(authority, scheme) != _normal(by_name.get(b"host", b""), scheme):
        raise MalformedMessage("The host of the request target is not that of the Host field.")
    return path if path[:1] == b"/" else b"/" + path


def _normal(authority: bytes, scheme: bytes) -> bytes:
    """Without the scheme's own port, which may be written or left out (RFC 3986, section 6.2.3)."""
    port = b":443" if len(scheme) == len("https") else b":80"
    return authority.lower().removesuffix(port).removesuffix(b":")


def _request_length(by_name: dict[bytes, bytes], minor: bytes) -> int:
    if b"transfer-encoding" not in by_name:
        return _length(by_name[b"content-length"])
    if b"content-length" in by_name:
        raise MalformedMessage("It has both Content-Length and Transfer-Encoding; it may have one of them.")
    if minor == b"0":
        raise MalformedMessage("HTTP/1.0 has no Transfer-Encoding; use Content-Length.")
    if by_name[b"transfer-encoding"].lower() != b"chunked":
        raise MalformedMessage("Only the transfer coding chunked is read.", 501, "not-implemented")
    return CHUNKED


def _chunked(by_name: dict[bytes, bytes], minor: bytes) -> int:
    """A response with a transfer coding."""
    if minor == b"0":
        raise MalformedMessage("a transfer coding in HTTP/1.0")
    if b"content-length" in by_name:
        raise MalformedMessage("both a length and a transfer coding")
    if by_name[b"transfer-encoding"].lower() != b"chunked":
        raise MalformedMessage("a transfer coding other than chunked")
    return CHUNKED


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > _MOST_DIGITS:
        raise MalformedMessage(_NO_LENGTH)
    return int(value)


def keeps_alive(fields: list[Header], default: bool) -> bool:
    """What the fields `connection` say of the connection (RFC 9112, section 9.3). default: of the version."""
    values = b",".join([value for name, value in fields if name == b"connection"]).lower()
    options = {option.strip() for option in values.split(b",")}
    return b"close" not in options and (default or b"keep-alive" in options)


def _unreadable(head: bytes) -> MalformedMessage:
    """Say why a head does not fit its pattern."""
    if BARE.search(head):
        return MalformedMessage("A line does not end with CRLF, or a NUL byte is in the head.")
    line = head[: head.find(b"\r\n") + 2]
    if head.startswith(b"HTTP/"):
        return MalformedMessage("Its status line or one of its fields is malformed.")
    if (found := _REQUEST_LINE.fullmatch(line)) is None:
        return MalformedMessage("The request line is not 'METHOD /path HTTP/1.1' in visible ASCII.")
    if found[3] != b"1" or found[4] not in (b"0", b"1"):
        text = f"HTTP/{found[3].decode()}.{found[4].decode()} is not served here; use HTTP/1.1."
        return MalformedMessage(text, 505, "http-version-not-supported")
    return MalformedMessage("A header field is malformed: 'name: value', no fold, no space before the colon.")
