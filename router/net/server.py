"""The server's side of one request, as ASGI: read the body, send what comes, notice the client leaving.

Azure and preflights need it; the server on AWS and Google takes all other requests of a router directly.

Rules
- One future per wait: everything that arrived by then is sent in one message.
- One task beside a request notices that the client leaves. It begins when the upstream calls `listen`: a task
  costs more than most replies take.
- More than `HIGH` bytes that the server has not taken pause the target; below it, the target goes on.
- A client that leaves (a disconnect, a failed send, a cancelled task) cancels everything upstream.
- A truncated reply is left without its end. uvicorn, which Azure's extension runs, then closes the
  connection, so that no client takes the reply for complete. An exception would do the same and leave a long
  traceback.
- ASGI has no reason phrase and no interim responses, and uvicorn has not its extension for trailers: they are
  dropped. It adds a `date` of its own, so the agent's is dropped too. It takes a length for that of the body,
  so a 304 has none.
- A truncated reply is logged in one line; uvicorn's own line about it, which names nothing, is suppressed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final, Protocol

from skyfleet.asgi import Header, Message, Receive, Scope, Send
from skyfleet.http1.direct import Handler
from skyfleet.http1.lines import fields_of

# Two TCP windows of a fast path: enough to keep it busy, little to hold per request.
HIGH: Final = 262_144
LOG: Final = logging.getLogger("skyfleet.router")
# What an ASGI server adds itself, or takes for the framing of a body that is not there.
_SERVERS: Final = frozenset({b"date"})
_NOT_MODIFIED: Final = _SERVERS | {b"content-length"}
# uvicorn's line about a reply without its end.
_UVICORNS: Final = "ASGI callable returned without completing response."
# Set in the context of one request, which uvicorn's line about it shares.
_logged: Final = ContextVar("logged", default=False)


class Upstream(Handler, Protocol):
    """What serves one request. It may call the outbox from `start` on."""

    def start(self) -> None: ...


def request_target(scope: Scope) -> tuple[bytes, bytes]:
    """The request target as it was sent, without the host, and its query."""
    target: bytes = scope.get("raw_path") or _quoted(scope["path"])
    if b"?" in target:
        target = target.split(b"?", 1)[0]
    query: bytes = scope["query_string"]
    return (target + b"?" + query if query else target), query


def _quoted(path: str) -> bytes:
    # Few servers leave out raw_path, and the import takes 3 ms of a cold start.
    from urllib.parse import quote

    return quote(path).encode()


class Outbox:
    """The client's side of one request: keeps the reply until the server takes it. upstream: what serves
    it."""

    __slots__ = (
        "_cut",
        "_ended",
        "_head",
        "_left",
        "_listener",
        "_parts",
        "_paused",
        "_receive",
        "_size",
        "_wake",
        "upstream",
    )

    def __init__(self) -> None:
        self._receive: Receive | None = None
        self._listener: asyncio.Task[None] | None = None
        self.upstream: Upstream | None = None
        self._head: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._ended = False
        self._paused = False
        self._cut: str | None = None
        self._left = False
        self._wake: asyncio.Future[None] | None = None

    def informational(self, status: int, headers: Iterable[Header], /) -> None:
        """Dropped."""

    def whole(self, status: int, fields: bytes, body: bytes, reason: bytes, /, *, dated: bool) -> None:
        self.head(status, fields_of(fields))
        self.body(body)
        self.end()

    def head(self, status: int, headers: list[Header], reason: bytes = b"", /) -> None:
        dropped = _NOT_MODIFIED if status == 304 else _SERVERS
        headers = [header for header in headers if header[0] not in dropped]
        self._head = {"type": "http.response.start", "status": status, "headers": headers}
        if self._wake is not None:
            self._notify()

    def body(self, data: bytes, /) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > HIGH and not self._paused and self.upstream is not None:
            self._paused = True
            self.upstream.pause()
        if self._wake is not None:
            self._notify()

    def end(self, trailers: Iterable[Header] = (), /) -> None:
        self._ended = True
        if self._wake is not None:
            self._notify()

    def abort(self, why: str, /) -> None:
        self._cut = why
        self._notify()

    def flush(self) -> None:
        """`serve` sends all that is here."""

    def leave(self) -> None:
        """The client has left."""
        self._left = True
        self._notify()

    async def serve(self, upstream: Upstream, receive: Receive, send: Send) -> None:
        """Serve one request, whose body has been read: until the reply is over or the client has left."""
        self.upstream, self._receive = upstream, receive
        upstream.start()
        try:
            while not self._left:
                if self._head is not None:
                    head, self._head = self._head, None
                    await send(head)
                elif self._parts or self._ended:
                    ended = self._ended
                    await send({"type": "http.response.body", "body": self._take(), "more_body": not ended})
                    if ended:
                        break
                elif self._cut is not None:
                    log_truncated(self._cut)
                    break
                else:
                    self._wake = asyncio.Future()
                    await self._wake
        except OSError:
            pass  # ASGI servers raise it from send() when the client has left
        finally:
            if self._listener is not None:
                self._listener.cancel()
            upstream.gone()
            self.upstream = None  # a cycle of what belongs to one request waits for the garbage collector

    def listen(self) -> None:
        """Notice from now on when the client leaves."""
        if self._receive is not None:
            work = _listen(self._receive, self)
            self._listener = asyncio.get_running_loop().create_task(work)

    def _take(self) -> bytes:
        parts, self._parts, self._size = self._parts, [], 0
        if self._paused and self.upstream is not None:
            self._paused = False
            self.upstream.resume()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _notify(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():
            wake.set_result(None)


def log_truncated(why: str) -> None:
    """Log a truncated reply in one line. why: with the id of its request."""
    LOG.warning("%s The client sees it truncated.", " ".join(why.split()))
    _logged.set(True)


def quieten_uvicorn() -> None:
    """Suppress uvicorn's line about a truncated reply that was logged here; all its other lines stay."""
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg != _UVICORNS or not _logged.get()


async def _listen(receive: Receive, outbox: Outbox) -> None:
    """Any other message after a complete body, or an error, does not mean that the client left."""
    try:
        message = await receive()
    except Exception:
        return
    if message["type"] == "http.disconnect":
        outbox.leave()
