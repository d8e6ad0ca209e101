"""The relay as an ASGI callable: read the request whole, start, send what comes, notice the caller leaving.

Rules
- One future per wait: whatever has piled up by then goes out in one message.
- More than `HIGH` bytes that the server has not taken yet pause the target; below it, it goes on.
- A caller that leaves (a disconnect, a failed send, a cancelled task) cancels everything upstream.
- A reply that was cut is left without its end, on which the server closes the connection (`cuts`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import quote

from router import cuts
from router.errors import CallerError
from router.forward import Relay
from router.headers import Header, first
from router.plane import Plane, Request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Lambda takes 6 MB per request; one limit for all clouds.
MOST_BODY: Final = 6 * 1024 * 1024
# Two TCP windows of a fast path: enough to keep it busy, little to hold per request.
HIGH: Final = 262_144


class CallerGone(Exception):
    """The caller left before its request was complete; nobody is there to be answered."""


async def read_body(headers: list[Header], receive: Receive, limit: int) -> bytes:
    """The whole request body; CallerError 413 above the limit, CallerGone when it never comes."""
    announced = first(headers, b"content-length")
    if announced is not None and announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit, f"{int(announced[:20])} bytes announced")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise CallerGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit, f"at least {size} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def request_target(scope: Scope) -> bytes:
    """The request target as it was sent, without the host."""
    raw = scope.get("raw_path")
    target: bytes = raw or quote(scope["path"]).encode()
    target = target.split(b"?", 1)[0]
    query: bytes = scope.get("query_string", b"")
    return target + b"?" + query if query else target


class _Outbox:
    """An Exchange that keeps what the relay says until the server takes it."""

    def __init__(self) -> None:
        self.relay: Relay | None = None
        self._head: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._ended = False
        self._paused = False
        self._cut: str | None = None
        self._left = False
        self._wake: asyncio.Future[None] | None = None

    def head(self, status: int, headers: list[Header], /) -> None:
        self._head = {"type": "http.response.start", "status": status, "headers": headers}
        self._notify()

    def body(self, data: bytes, /) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > HIGH and not self._paused and self.relay is not None:
            self._paused = True
            self.relay.pause()
        self._notify()

    def end(self) -> None:
        self._ended = True
        self._notify()

    def abort(self, why: str, /) -> None:
        self._cut = why
        self._notify()

    def leave(self, listener: asyncio.Task[bool]) -> None:
        """The listener's end: whether the caller left."""
        if not listener.cancelled() and listener.exception() is None and listener.result():
            self._left = True
            self._notify()

    async def pump(self, send: Send) -> str | None:
        """Send until the reply is over or the caller has left; why it was cut, if it was."""
        while not self._left:
            if self._head is not None:
                head, self._head = self._head, None
                await send(head)
            elif self._parts or self._ended:
                ended = self._ended
                body = self._take()
                await send({"type": "http.response.body", "body": body, "more_body": not ended})
                if ended:
                    return None
            elif self._cut is not None:
                return self._cut
            else:
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
        return None

    def _take(self) -> bytes:
        parts, self._parts, self._size = self._parts, [], 0
        if self._paused and self.relay is not None:
            self._paused = False
            self.relay.resume()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _notify(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():
            wake.set_result(None)


async def relay(plane: Plane, request: Request, receive: Receive, send: Send) -> None:
    """Serve one request, whose body has been read."""
    outbox = _Outbox()
    outbox.relay = Relay(plane, request, outbox)
    outbox.relay.start()
    listener = asyncio.ensure_future(_left(receive))
    listener.add_done_callback(outbox.leave)
    try:
        if why := await outbox.pump(send):
            cuts.tell(request.id, why)
    except OSError:
        pass  # ASGI servers raise it from send() when the caller has left
    finally:
        listener.cancel()
        outbox.relay.gone()


async def _left(receive: Receive) -> bool:
    # Any other message after a complete body is a server's peculiarity, not a leaving caller.
    return (await receive())["type"] == "http.disconnect"


def _too_large(limit: int, found: str) -> CallerError:
    return CallerError(
        413,
        "body-too-large",
        f"The body is larger than the limit of {limit} bytes ({found}). Send less, or a link to it.",
    )
