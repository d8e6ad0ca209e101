"""One HTTP/1.1 connection of a client: everything between its bytes and the application.

The process, the sockets, the lifespan protocol and the end on a signal are the server's: uvicorn's on Google,
with this as its protocol class (`Config(http=HttpConnection)`, 0.54), `runner` on AWS.

Rules
- One request after another: what is pipelined behind a request stays unread until its response is over. So a
  malformed request never takes the answer of the one before it.
- A router is called directly (`skyfleet.http1.direct`), without a task and a scope. Its own paths, and all
  other applications, are called by ASGI.
- A request that is answered before its body was read: the response is sent, and what still arrives is read
  over for a while. A connection that closes at once would reset the response away (RFC 9112, section 9.6).
- One timer a connection. It is set again only for an earlier end; if it fires too early, it is set for the
  rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from functions.runtimes.draining import IDLE_S
from functions.runtimes.server.address import address
from functions.runtimes.server.asgi_request import AsgiRequest, scope_of
from functions.runtimes.server.host import Config, ServerState
from functions.runtimes.server.response import Response
from functions.runtimes.server.websocket import is_handshake
from skyfleet.asgi import BODY_LIMIT, JSON_TYPE, Header, error_json
from skyfleet.http1.body import Decoder, decoder
from skyfleet.http1.direct import Accept, Begin, Handler, Refusal
from skyfleet.http1.errors import MalformedMessage
from skyfleet.http1.head import RequestHead, check_beginning, parse_request

# Seconds for a whole head, from its first byte: HAProxy's documentation advises 10, nginx waits 60.
HEAD_S: Final = 20.0
# Seconds between two reads of a body (nginx: 60), and for all of it: no request of a function takes longer.
BODY_READ_S: Final = 30.0
BODY_S: Final = 230.0
# Seconds in which a client takes none of a response that waits for it (nginx's send_timeout).
WRITE_S: Final = 60.0
# Seconds between two reads, and in all, for which a refused body is read over (nginx's lingering_close).
LINGER_READ_S: Final = 5.0
LINGER_S: Final = 30.0
# A response that waits for its client is bounded by two TCP windows of a fast path.
_HIGH: Final = 262_144
# Bytes of requests behind the present one.
_MOST_PIPELINED: Final = 65_536
_LOOK: Final = 1_024  # bytes of a head
_CONTINUE: Final = b"100-continue"


class HttpConnection(asyncio.Protocol):
    """A client's connection. The arguments are those of uvicorn's protocol classes."""

    joins_fields = False

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._config, self._state = config, server_state
        self.app_state = app_state
        self.loop = _loop or asyncio.get_event_loop()
        self._time = self.loop.time
        self._app = cast("Any", config).loaded_app
        self._accept: Accept | None = getattr(self._app, "accept", None)
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int | None] | None = None
        self.scheme = "https" if config.ssl else "http"
        self._buffer = b""  # a head that is not complete, or requests behind the present one
        self._checked = 0  # bytes of that head which were looked at
        self._response: Response | None = None
        self.body: Decoder | None = None  # of the present request, until it is complete
        self._parts: list[bytes] = []  # of a body that is passed on as a whole
        self._size = 0
        self._begin: Begin | None = None
        self._handler: Handler | None = None
        self._asgi: AsgiRequest | None = None
        self._ending = self._lingering = self._reading_paused = self.writing_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._last = 0.0
        self._unsent = 0

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_HIGH)
        self._state.connections.add(self)
        self.client = address(transport.get_extra_info("peername"))
        self.server = address(transport.get_extra_info("sockname"))
        self._peer = self.client[0] if self.client else ""
        self._wait(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or this side has closed."""
        self._state.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._response is not None:
            self._response.lost()
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        if self._response is None:
            self._read_head(self._buffer + data if self._buffer else data)
        elif self.body is not None:
            self._read_body(data)
        elif self._lingering:
            self._deadline = min(self._time() + LINGER_READ_S, self._last)
        else:
            self._buffer += data
            if len(self._buffer) > _MOST_PIPELINED:
                self._pause()

    def eof_received(self) -> bool:
        """The client writes no more: to a server it has left, as to nginx."""
        return False

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self.writing_paused = True
        self._unsent = self._transport.get_write_buffer_size()
        self._wait(WRITE_S)
        if self._handler is not None:
            self._handler.pause()

    def resume_writing(self) -> None:
        """The client has read."""
        self.writing_paused = False
        if self._handler is not None:
            self._handler.resume()
        if self._asgi is not None:
            self._asgi.wake()

    # Called by the server.

    def shutdown(self) -> None:
        """Close once the present request is answered."""
        self._ending = True
        if self._response is None:
            # A request may be on its way, and a refusal is better than a broken connection.
            self._wait(IDLE_S)
        else:
            self._response.keep_alive = False

    # Called by the response and by the ASGI request.

    @property
    def default_fields(self) -> Sequence[Header]:
        """The `date` field."""
        return self._state.default_headers

    def write(self, data: bytes, /) -> None:
        """Send it."""
        self._transport.write(data)

    def response_over(self, *, complete: bool) -> None:
        """The response is over. complete: another request may follow."""
        body_pending, self.body = self.body is not None, None
        self._leave()
        if complete and not body_pending and not self._ending:
            self._response = None
            self._wait(self._config.timeout_keep_alive)
            if self._buffer:
                self.loop.call_soon(self._next)
        elif body_pending and self._transport.can_write_eof() and not self._transport.is_closing():
            self._linger()
        else:
            self._transport.close()

    def resume_body(self) -> None:
        """The application has taken what was here of the body."""
        if self._reading_paused and self.body is not None:
            self._resume()

    # Reading.

    def _next(self) -> None:
        if self._response is None and not self._transport.is_closing():
            buffer, self._buffer = self._buffer, b""
            self._resume()
            self._read_head(buffer)

    def _read_head(self, data: bytes) -> None:
        if data[:2] == b"\r\n":  # an empty line before a request is read over (RFC 9112, section 2.2)
            data = data[2:]
        end = data.find(b"\r\n\r\n")
        try:
            if end < 0:
                self._read_beginning(data)
                return
            head = parse_request(data[: end + 2], routed=self._accept is None)
        except MalformedMessage as malformed:
            self._malformed(malformed)
            return
        self._buffer = b""
        rest = data[end + 4 :]
        if b"upgrade" in head.by_name and not rest and self._upgraded(head, data):
            return
        self._start(head, rest)

    def _read_beginning(self, data: bytes) -> None:
        # A look costs as much as all that is here, so single bytes wait for a line's end or for a kilobyte.
        if not self._buffer or b"\n" in data[len(self._buffer) :] or len(data) - self._checked >= _LOOK:
            self._checked = len(data)
            if data != b"\r":
                check_beginning(data, routed=self._accept is None)
        if not self._buffer:
            self._wait(HEAD_S)
        self._buffer = data

    def _start(self, head: RequestHead, rest: bytes) -> None:
        response = self._response = Response(self, head)
        if self._ending:
            response.keep_alive = False
        self._state.total_requests += 1
        whole = head.length == len(rest)  # of most requests all is here
        if not head.length:
            self._buffer = rest
        elif not whole:
            self.body = decoder(head.length)
        try:
            begin = None if self._accept is None else self._accept(head, self._peer, response)
            if begin is None:
                self._start_asgi(head, response, rest if whole else b"")
            elif self.body is None:
                self._handle(begin(rest if whole else b""))
            else:
                self._begin = begin
        except Refusal as refusal:
            self._refuse(refusal)
        if self.body is None:
            return
        now = self._time()
        self._last = now + BODY_S
        self._wait(BODY_READ_S)
        if rest:
            self._read_body(rest)
        elif self._begin is not None and head.by_name.get(b"expect", b"").lower() == _CONTINUE:
            response.informational(100)

    def _start_asgi(self, head: RequestHead, response: Response, body: bytes) -> None:
        request = self._asgi = AsgiRequest(self, head, response)
        if self.body is None:
            request.body(body, more=False)
        task = self.loop.create_task(request.run(self._app, scope_of(head, self)))
        tasks = self._state.tasks
        task.add_done_callback(tasks.discard)
        tasks.add(task)

    def _handle(self, handler: Handler) -> None:
        """The request is on its way, unless its response is over by now."""
        response = self._response
        if response is None or response.over:
            handler.gone()
            return
        self._handler = handler
        if self.writing_paused:
            handler.pause()

    def _read_body(self, data: bytes) -> None:
        body, response = self.body, self._response
        if body is None or response is None:
            return
        try:
            part = body.feed(data)
        except MalformedMessage as malformed:
            self._malformed(malformed)
            return
        if body.done:
            self.body, self._buffer = None, body.rest
        else:
            self._deadline = min(self._time() + BODY_READ_S, self._last)
        if self._asgi is not None:
            if self._asgi.body(part, more=not body.done) and not body.done:
                self._pause()
            return
        self._parts.append(part)
        self._size += len(part)
        try:
            if body.done or self._size > BODY_LIMIT:
                self._begin_whole()
            elif self._begin is not None:
                self._begin.reading(self._size)
        except Refusal as refusal:
            self._refuse(refusal)

    def _begin_whole(self) -> None:
        begin, parts = self._begin, self._parts
        self._begin, self._parts, self._size = None, [], 0
        if begin is not None:
            self._handle(begin(parts[0] if len(parts) == 1 else b"".join(parts)))

    def _upgraded(self, head: RequestHead, data: bytes) -> bool:
        """Hand the connection over to uvicorn's WebSocket protocol, if it has one and the client asks for it.

        That is what uvicorn's own class does (uvicorn/protocols/http/httptools_impl.py,
        `handle_websocket_upgrade`, 0.54). data: the head alone."""
        websocket: Any = cast("Any", self._config).ws_protocol_class
        if websocket is None or not is_handshake(head):
            return False
        if self._timer is not None:
            self._timer.cancel()
        self._state.connections.discard(self)
        protocol: Any = websocket(config=self._config, server_state=self._state, app_state=self.app_state)
        protocol.connection_made(self._transport)
        self._transport.set_protocol(protocol)
        protocol.data_received(data)
        return True

    # Ends.

    def _leave(self) -> None:
        """The request is over."""
        handler, asgi, begin = self._handler, self._asgi, self._begin
        self._handler = self._asgi = self._begin = None
        self._parts = []
        if begin is not None:
            begin.gone()
        if handler is not None:
            handler.gone()
        if asgi is not None:
            asgi.gone()

    def _malformed(self, malformed: MalformedMessage) -> None:
        """Answer what cannot be read, once; what follows it cannot be read either."""
        response = self._response
        if response is None:
            head = RequestHead("GET", b"/", 1, [], {}, 0, keep_alive=False)
            response = self._response = Response(self, head)
        response.keep_alive = False
        if response.started:
            response.abort()
            return
        self._leave()
        self.body = decoder(None)  # the rest is read over
        body = error_json(malformed.code, malformed.message, malformed.status)
        self._refuse(Refusal(malformed.status, [JSON_TYPE], body))

    def _refuse(self, refusal: Refusal) -> None:
        response = self._response
        if response is None or response.over:
            return
        response.head(refusal.status, [*refusal.headers, (b"content-length", b"%d" % len(refusal.body))])
        response.body(refusal.body)
        response.end()

    def _linger(self) -> None:
        self._lingering = True
        self._transport.write_eof()
        self._resume()
        self._last = self._time() + LINGER_S
        self._wait(LINGER_READ_S)

    # Time.

    def _wait(self, seconds: float) -> None:
        deadline = self._deadline = self._time() + seconds
        if self._timer is None or self._timer.when() > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(deadline, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        left = self._deadline - self._time()
        if left > 0:
            self._wait(left)
        elif self.writing_paused:
            unsent = self._transport.get_write_buffer_size()
            if unsent == self._unsent:
                self._transport.abort()
            else:
                self._unsent = unsent
                self._wait(WRITE_S)
        elif self._lingering or (self._response is None and not self._buffer):
            self._transport.close()
        elif self._response is None or (self.body is not None and not self._reading_paused):
            self._malformed(MalformedMessage("The request did not arrive in time.", 408, "request-timeout"))

    def _pause(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
            if self.body is not None:
                self._wait(BODY_READ_S)
