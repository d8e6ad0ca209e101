"""ASGI as this room uses it: its types, reading a body within the limit, sending one whole reply.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from functions.errors import FunctionError, TooLarge

Scope = MutableMapping[str, Any]
ASGIMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[ASGIMessage]]
Send = Callable[[ASGIMessage], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

# The smallest of the clouds' limits on a request: AWS Lambda's 6 MB. The same everywhere, so that no cloud
# takes what another refuses.
BODY_LIMIT: Final = 6 * 1024 * 1024

# An entry of a scope: awaited right before the agent starts on a request that is valid (`begin`).
BEGIN: Final = "skyfleet.begin"

JSON_TYPE: Final = (b"content-type", b"application/json")


class ClientGone(Exception):
    """The caller closed the connection; there is nobody to answer."""


class AnswersElsewhere(Exception):
    """Raised by `begin`: the agent must not start, and whoever put BEGIN into the scope answers."""


async def begin(scope: Scope) -> None:
    """The agent is about to start: whoever wants to know or to stop it (a remembered reply) is told."""
    told: Callable[[], Awaitable[None]] | None = scope.get(BEGIN)
    if told is not None:
        await told()


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key.lower() == name:
            return value.decode("latin-1")
    return None


async def read_body(scope: Scope, receive: Receive, limit: int = BODY_LIMIT) -> bytes:
    """The whole body; TooLarge as soon as the declared or the received length passes the limit."""
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared[:20]) > limit:
        raise TooLarge(limit, int(declared[:20]))
    chunks: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        length += len(chunk)
        if length > limit:
            raise TooLarge(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def json_bytes(value: object) -> bytes:
    """Compact JSON in UTF-8, the same bytes in every cloud; lone surrogates are escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def error_json(code: str, message: str) -> bytes:
    """The one shape of every error we send."""
    return json_bytes({"error": {"code": code, "message": message}})


async def send_reply(send: Send, status: int, body: bytes, headers: Iterable[Header] = (JSON_TYPE,)) -> None:
    """One whole reply."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, error: FunctionError) -> None:
    """An error as one whole reply."""
    await send_reply(send, error.status, error_json(error.code, str(error)), [JSON_TYPE, *error.headers])
