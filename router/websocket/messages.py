"""The messages of `/ws`: reading those of clients, writing ours. Pure.

The form is that of graphql-transport-ws, the protocol of this kind with the most clients: text frames with
one JSON object, a `type` in each, an `id` in each that belongs to a request, and `complete` or `error` as
the last message of each answer (github.com/enisdenjo/graphql-ws, PROTOCOL.md). Its payloads are GraphQL's;
ours are those of HTTP requests.

Rules
- A client's message that is no such object closes the connection with 4400, as there: what it meant is
  unknown. One with an id and a mistake in its request gets an `error` with that id.
- A request's path and fields have the limits of a head over HTTP (`skyfleet.http1.head`). A larger one would
  be refused by each agent's server, which would count against all targets.
- JSON in bodies and events is passed on as it was written: numbers keep their digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, cast

from router.core.errors import CallerError
from router.own_paths import OWN_PATHS
from skyfleet.asgi import Header, error_type, json_bytes
from skyfleet.http1.head import MAX_FIELDS, MAX_HEAD, MAX_LINE
from skyfleet.values import frozen

BAD_MESSAGE: Final = 4400
ID_IN_USE: Final = 4409
TAKEN_OVER: Final = 4410
MOST_ID: Final = 128
# Those that the router may forward; CONNECT and TRACE are refused over HTTP too.
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_MEMBERS: Final = frozenset({"type", "id", "method", "path", "headers", "body"})
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
# They describe a connection or a length that this message does not have.
_NOT_IN_A_MESSAGE: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
    }
    | {"forwarded", "upgrade", "x-forwarded-for"}
)
_DEFAULT_FIELDS: Final = {"accept": "text/event-stream", "content-type": "application/json"}


class BadMessage(Exception):
    """The connection is closed with this code. reason: at most 123 bytes of UTF-8 (RFC 6455, section 5.5)."""

    def __init__(self, reason: str, code: int = BAD_MESSAGE) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


@frozen
class Ask:
    """A `request`, unread but for its id."""

    id: str
    members: Mapping[str, Any]


@frozen
class Cancel:
    """The client wants no more of this answer."""

    id: str


@frozen
class Resume:
    """Go on with a former session. answers: the last `seq` that the client has of each request."""

    session: str
    answers: Mapping[str, int]


class Ping:
    """To be answered with a `pong`: pages cannot send WebSocket's own pings."""


ClientMessage = Ask | Cancel | Resume | Ping


@frozen
class Asked:
    """The request of a message. headers: with the defaults."""

    method: str
    target: bytes
    headers: list[Header]
    body: bytes


def parse(text: str) -> ClientMessage:
    """A client's message. Raises BadMessage."""
    try:
        found: object = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadMessage("The message is not JSON.") from None
    if not isinstance(found, dict):
        raise BadMessage("The message is not a JSON object.")
    members = cast("dict[str, Any]", found)
    match members.get("type"):
        case "request":
            return Ask(_id(members), members)
        case "cancel":
            return Cancel(_id(members))
        case "resume":
            return _resume(members)
        case "ping":
            return Ping()
        case _:
            raise BadMessage('The type is none of "request", "cancel", "resume", "ping".')


def _no_constant(_: str) -> NoReturn:
    raise ValueError


def _id(members: Mapping[str, Any]) -> str:
    found = members.get("id")
    if not isinstance(found, str) or not 1 <= len(found) <= MOST_ID:
        raise BadMessage(f"The id is not a string of 1 to {MOST_ID} characters.")
    return found


def _resume(members: Mapping[str, Any]) -> Resume:
    session, answers = members.get("session"), members.get("answers")
    if not isinstance(session, str) or not isinstance(answers, dict):
        raise BadMessage('A "resume" needs "session" and an object "answers".')
    for ident, seq in cast("dict[str, object]", answers).items():
        if not 1 <= len(ident) <= MOST_ID or type(seq) is not int or seq < 0:
            raise BadMessage('"answers" maps the id of each request to the last seq that was received.')
    return Resume(session, cast("dict[str, int]", answers))


def request_of(members: Mapping[str, Any]) -> Asked:
    """The HTTP request of a `request` message. Raises CallerError 400, 414 or 431."""
    if unknown := sorted(set(members) - _MEMBERS):
        raise _bad(f"{unknown[0][:40]!r} is no member of a request; they are {', '.join(sorted(_MEMBERS))}")
    method, path, fields = members.get("method", "POST"), members.get("path"), members.get("headers", {})
    if not isinstance(method, str) or method not in METHODS:
        raise _bad(f"method: got {str(method)[:20]!r}, expected one of {', '.join(sorted(METHODS))}")
    if not isinstance(path, str) or not path.startswith("/") or not path.isascii():
        raise _bad('path: expected the path and query of a URL, percent-encoded, e.g. "/invoke"')
    target = path.encode()
    if target.partition(b"?")[0] in OWN_PATHS:
        raise _bad(f"{path} is the router's own; request it over HTTP")
    headers = _fields(fields)
    _check_size(target, headers)
    body = _body(members, headers)
    return Asked(method, target, [*headers.items()], body)


def _fields(found: object) -> dict[bytes, bytes]:
    if not isinstance(found, dict):
        raise _bad("headers: expected an object of strings")
    fields = dict(_DEFAULT_FIELDS)
    for name, value in cast("dict[str, object]", found).items():
        lower = name.lower()
        if not _NAME.fullmatch(name) or not isinstance(value, str) or not value.isprintable():
            raise _bad(f"headers: {name[:40]!r} is no field with a string as its value")
        if lower in _NOT_IN_A_MESSAGE:
            raise _bad(f"headers: {lower!r} has no meaning in a message; leave it out")
        fields[lower] = value
    try:
        return {name.encode(): value.encode("latin-1") for name, value in fields.items()}
    except UnicodeEncodeError:
        raise _bad("headers: a value has characters beyond latin-1; encode them") from None


def _check_size(target: bytes, headers: Mapping[bytes, bytes]) -> None:
    if len(target) > MAX_LINE:
        raise CallerError(414, "uri-too-long", f"The path is longer than {MAX_LINE} bytes.")
    sizes = [len(name) + len(value) for name, value in headers.items()]
    if len(sizes) > MAX_FIELDS or max(sizes) > MAX_LINE or len(target) + sum(sizes) > MAX_HEAD:
        raise CallerError(
            431,
            "header-fields-too-large",
            f"The headers are too large; the limits are {MAX_FIELDS} fields, {MAX_LINE} bytes a field and "
            f"{MAX_HEAD} bytes in all.",
        )


def _body(members: Mapping[str, Any], headers: dict[bytes, bytes]) -> bytes:
    if "body" not in members:
        headers.pop(b"content-type", None)
        return b""
    body: object = members["body"]
    if isinstance(body, str) and b"json" not in headers[b"content-type"]:
        return body.encode("utf-8", "surrogatepass")
    return json_bytes(body)


def _bad(mistake: str) -> CallerError:
    return CallerError(400, "bad-request", f"{mistake}.")


# What the router sends.


def session(ident: str, hold_s: float, in_flight: int, *, resumed: bool) -> bytes:
    """The first message of a connection, and the reply to `resume`."""
    members = {"type": "session", "session": ident, "resumed": resumed}
    return json_bytes({**members, "hold_s": hold_s, "max_in_flight": in_flight})


PONG: Final = json_bytes({"type": "pong"})


def response(ident: str, seq: int, status: int, headers: Iterable[Header]) -> bytes:
    """The head of an answer."""
    return _begin("response", ident, seq) + b',"status":%d,"headers":%b}' % (status, _object(headers))


def whole(ident: str, seq: int, status: int, headers: Iterable[Header], body: bytes) -> bytes:
    """The head of an answer with its body, which is JSON or UTF-8. Raises UnicodeDecodeError."""
    told = response(ident, seq, status, headers)
    return told[:-1] + (b',"body":%b}' % as_json(body) if body else b"}")


def event(ident: str, seq: int, kind: str, data: bytes, last_id: str) -> bytes:
    """One event of a stream. kind: its type. last_id: its own id, by which its agent may know it."""
    told = _begin("event", ident, seq)
    if kind:
        told += b',"event":' + json_bytes(kind)
    if last_id:
        told += b',"event_id":' + json_bytes(last_id)
    return told + b',"data":%b}' % as_json(data)


def complete(ident: str, seq: int) -> bytes:
    """The end of a whole answer."""
    return _begin("complete", ident, seq) + b"}"


def error(ident: str, seq: int, status: int, code: str, message: str) -> bytes:
    """The end of an answer that is not whole, or of a request that was not sent."""
    found = {"code": code, "message": message, "type": error_type(status), "param": None}
    return _begin("error", ident, seq) + b',"status":%d,"error":%b}' % (status, json_bytes(found))


def as_json(data: bytes) -> bytes:
    """JSON as it is, and any other text as a JSON string. Raises UnicodeDecodeError."""
    text = data.decode()
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return json_bytes(text)
    return data


def _begin(kind: str, ident: str, seq: int) -> bytes:
    return b'{"type":"%b","id":%b,"seq":%d' % (kind.encode(), json_bytes(ident), seq)


def _object(headers: Iterable[Header]) -> bytes:
    """Repeated fields are joined by a comma (RFC 9110, section 5.3). A cookie cannot be set by a message."""
    fields: dict[str, str] = {}
    for name, value in headers:
        if name not in (b"set-cookie", b"content-length"):
            key, text = name.decode("latin-1"), value.decode("latin-1")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return json_bytes(fields)
