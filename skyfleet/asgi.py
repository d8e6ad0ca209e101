"""ASGI: its types, reading a request body within a limit, sending a whole response, the lifespan protocol.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

# AWS Lambda takes 6 MB per request, the least of the three clouds; one limit for all of them.
BODY_LIMIT: Final = 6 * 1024 * 1024
# Safe methods (RFC 9110, section 9.2.1) change nothing: agents and routers ignore an Idempotency-Key on them.
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
JSON_TYPE: Final[Header] = (b"content-type", b"application/json")


class ClientDisconnected(Exception):
    """The client closed the connection before the request or its response was complete."""


class BodyTooLarge(Exception):
    """The request body exceeds the limit. declared: its content-length in bytes, if that exceeded it."""

    def __init__(self, limit: int, declared: int | None = None) -> None:
        self.limit, self.declared = limit, declared
        found = "is longer" if declared is None else f"is {declared} bytes"
        super().__init__(f"The body {found}; the limit is {limit} bytes.")


def header(scope: Scope, name: bytes) -> bytes | None:
    """The value of the first header field with this lower-case name."""
    for key, value in scope["headers"]:
        if key == name or key.lower() == name:
            return value
    return None


def header_text(scope: Scope, name: bytes) -> str:
    """The value of the first header field with this lower-case name as text; empty if there is none."""
    return (header(scope, name) or b"").decode("latin-1")


async def read_body(
    declared: bytes | None,
    receive: Receive,
    limit: int = BODY_LIMIT,
    grow: Callable[[int], None] | None = None,
) -> bytes:
    """Read the whole request body.

    declared: the value of content-length. limit: bytes. grow: called with the bytes that are here while more
    are to come. Raises BodyTooLarge as soon as the declared or the received length exceeds the limit,
    ClientDisconnected if the client leaves before the end, and what `grow` raises.
    """
    if declared is not None and declared.isdigit() and int(declared[:20]) > limit:
        raise BodyTooLarge(limit, int(declared[:20]))
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnected
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge(limit)
        if not message.get("more_body", False):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)
        if grow is not None:
            grow(size)


def json_bytes(value: object) -> bytes:
    """Compact JSON in UTF-8, the same bytes in every cloud; lone surrogates are escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def error_type(status: int) -> str:
    """The usual `type` of OpenAI's API for an error response with this status."""
    if status >= 500:
        return "server_error"
    return "rate_limit_error" if status == 429 else "invalid_request_error"


def error_json(code: str, message: str, status: int = 500) -> bytes:
    """The body of an error response in OpenAI's shape: {"error": {"code", "message", "type", "param"}}.

    The shape is that of openai-python's types/shared/error_object.py. status: of the response."""
    error = {"code": code, "message": message, "type": error_type(status), "param": None}
    return json_bytes({"error": error})


async def send_json(send: Send, status: int, body: bytes, headers: Iterable[Header] = ()) -> None:
    """Send a whole response with a JSON body. headers: in addition to content-type and content-length."""
    fields = [JSON_TYPE, (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def lifespan(
    receive: Receive, send: Send, shutdown: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Answer the lifespan protocol until its shutdown event. shutdown: awaited before that is confirmed."""
    while True:
        kind: str = (await receive())["type"]
        last = kind == "lifespan.shutdown"
        if last and shutdown is not None:
            await shutdown()
        await send({"type": f"{kind}.complete"})
        if last:
            return
