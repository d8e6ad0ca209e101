"""The relay as an ASGI callable: read the request whole, start, send what comes, notice the caller leaving.

Rules
- One future per wait: whatever has piled up by then goes out in one message.
- One task beside a request, which hears whether the caller left. Where Python can (3.12) it begins at once,
  without a turn of the loop.
- More than `HIGH` bytes that the server has not taken yet pause the target; below it, it goes on.
- A caller that leaves (a disconnect, a failed send, a cancelled task) cancels everything upstream.
- A reply that was cut is left without its end, on which the server closes the connection (`cuts`).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Final
from urllib.parse import quote

from router.core.errors import CallerError
from router.net.fields import Header
from router.proxy import cuts
from router.proxy.context import Plane, Request
from router.proxy.forward import Relay

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


async def read_body(announced: bytes | None, receive: Receive, limit: int) -> bytes:
    """The whole request body; CallerError 413 above the limit, CallerGone when it never comes. announced: its
    content-length."""
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
        if not message.get("more_body", False):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)


def request_target(scope: Scope) -> bytes:
    """The request target as it was sent, without the host."""
    raw = scope.get("raw_path")
    target: bytes = raw or quote(scope["path"]).encode()
    if b"?" in target:
        target = target.split(b"?", 1)[0]
    query: bytes = scope.get("query_string", b"")
    return target + b"?" + query if query else target


class _Outbox:
    """An Exchange that keeps what the relay says until the server takes it."""

    __slots__ = ("_cut", "_ended", "_head", "_left", "_parts", "_paused", "_size", "_wake", "relay")

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
        if self._wake is not None:
            self._notify()

    def body(self, data: bytes, /) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > HIGH and not self._paused and self.relay is not None:
            self._paused = True
            self.relay.pause()
        if self._wake is not None:
            self._notify()

    def end(self) -> None:
        self._ended = True
        if self._wake is not None:
            self._notify()

    def abort(self, why: str, /) -> None:
        self._cut = why
        self._notify()

    def leave(self) -> None:
        """The caller has left."""
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
    outbox.relay = one = Relay(plane, request, outbox)
    one.start()
    listener = _beside(_listen(receive, outbox))
    try:
        if why := await outbox.pump(send):
            cuts.tell(request.id, why)
    except OSError:
        pass  # ASGI servers raise it from send() when the caller has left
    finally:
        listener.cancel()
        one.gone()
        outbox.relay = None  # a cycle of what belongs to one request waits for the garbage collector


async def _listen(receive: Receive, outbox: _Outbox) -> None:
    """Any other message after a complete body is a server's peculiarity, no leaving caller; an error too."""
    try:
        message = await receive()
    except Exception:
        return
    if message["type"] == "http.disconnect":
        outbox.leave()


def _beside(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, eager_start=True)
    return loop.create_task(work)


def _too_large(limit: int, found: str) -> CallerError:
    return CallerError(
        413,
        "body-too-large",
        f"The body is larger than the limit of {limit} bytes ({found}). Send less, or a link to it.",
    )
