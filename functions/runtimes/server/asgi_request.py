"""One request to an ASGI application: the scope, the two channels, and the task that runs it.

https://asgi.readthedocs.io/en/latest/specs/www.html, 2.3, with its extension for trailers.

Rules
- The body is passed as it arrives. More than `HIGH` bytes that the application has not taken pause the
  client.
- 100 Continue is sent when the application asks for a body that is not here (RFC 9110, section 10.1.1).
- A head waits for the body of the same turn of the event loop, so most responses are one write.
- An exception before the response is answered with 500; after its head the connection is closed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from functions.runtimes.server.response import InvalidResponse, Response
from skyfleet.asgi import ASGIApp, Header, Message, Scope
from skyfleet.http1.head import RequestHead, decoded_path

if TYPE_CHECKING:
    from functions.runtimes.server.connection import HttpConnection

HIGH: Final = 65_536
LOG: Final = logging.getLogger("uvicorn.error")
# uvicorn's words (uvicorn/protocols/http/httptools_impl.py), which logs are searched for.
_NOT_STARTED: Final = "ASGI callable returned without starting response."
_NOT_COMPLETED: Final = "ASGI callable returned without completing response."
_ERROR: Final = b"Internal Server Error"


def scope_of(head: RequestHead, connection: HttpConnection) -> Scope:
    """The scope of a request."""
    raw_path, _, query = head.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": f"1.{head.minor}",
        "method": head.method,
        "scheme": connection.scheme,
        "path": decoded_path(raw_path),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": head.fields,
        "client": connection.client,
        "server": connection.server,
        "state": connection.app_state.copy(),
        "extensions": {"http.response.trailers": {}},
    }


class AsgiRequest:
    """A request on its way through the application."""

    __slots__ = (
        "_connection",
        "_continue",
        "_loop",
        "_more",
        "_parts",
        "_promised",
        "_size",
        "_trailers",
        "_wake",
        "disconnected",
        "response",
    )

    def __init__(self, connection: HttpConnection, head: RequestHead, response: Response) -> None:
        self._connection, self.response = connection, response
        self._loop = connection.loop
        self._continue = head.by_name.get(b"expect", b"").lower() == b"100-continue"
        self._parts: list[bytes] = []
        self._size = 0
        self._more = True
        self._promised = False  # trailers follow the body
        self._trailers: list[Header] = []
        self._wake: asyncio.Future[None] | None = None
        self.disconnected = False

    # Called by the connection.

    def body(self, data: bytes, *, more: bool) -> bool:
        """A part of the body is here. Returns whether the client is to be paused."""
        self._parts.append(data)
        self._size += len(data)
        self._more = more
        self.wake()
        return self._size > HIGH

    def gone(self) -> None:
        """The client has left."""
        self.disconnected = True
        self.wake()

    def wake(self) -> None:
        """Something that a channel waits for has changed."""
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():
            wake.set_result(None)

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application, whose errors end here."""
        response = self.response
        try:
            await app(scope, self._receive, self._send)
        except BaseException as error:
            if not self.disconnected:
                LOG.error("Exception in ASGI application\n", exc_info=error)
                self._failed()
        else:
            if not response.over and not self.disconnected:
                LOG.error(_NOT_COMPLETED if response.started else _NOT_STARTED)
                self._failed()

    def _failed(self) -> None:
        response = self.response
        if response.started or response.over:
            response.abort()
            return
        response.keep_alive = False
        length = b"%d" % len(_ERROR)
        response.head(500, [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", length)])
        response.body(_ERROR)
        response.end()

    # The two channels.

    async def _receive(self) -> Message:
        while True:
            if self.disconnected or self.response.over:
                return {"type": "http.disconnect"}
            if self._parts:
                parts, self._parts, self._size = self._parts, [], 0
                self._connection.resume_body()
                return {"type": "http.request", "body": b"".join(parts), "more_body": self._more}
            if self._continue and self._more:
                self._continue = False
                self.response.informational(100)
            await self._wait()

    async def _wait(self) -> None:
        if self._wake is None:
            self._wake = self._loop.create_future()
        await self._wake

    async def _send(self, message: Message) -> None:
        connection = self._connection
        while connection.writing_paused and not self.disconnected:
            await self._wait()
        if self.disconnected:
            return
        kind, response = message["type"], self.response
        if not response.started:
            if kind != "http.response.start":
                raise RuntimeError(f"Expected ASGI message 'http.response.start', but got {kind!r}.")
            self._continue = False
            self._promised = bool(message.get("trailers"))
            headers: list[Any] = list(message.get("headers", ()))
            response.head(message["status"], [(bytes(name).lower(), bytes(value)) for name, value in headers])
            self._loop.call_soon(response.flush)
        elif response.over:
            raise RuntimeError(f"ASGI message {kind!r} was sent after the response was complete.")
        elif kind == "http.response.body":
            if body := message.get("body", b""):
                response.body(body)
            if not message.get("more_body", False) and not self._promised:
                response.end()
        elif kind == "http.response.trailers" and self._promised:
            self._trailers += message.get("headers", ())
            if not message.get("more_trailers", False):
                response.end(self._trailers)
        else:
            raise InvalidResponse(f"ASGI message {kind!r} was not expected here.")
