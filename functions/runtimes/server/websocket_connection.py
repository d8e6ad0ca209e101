"""One WebSocket of a client, as uvicorn's protocol class on the library `websockets`, and what it lacks.

uvicorn's class for the library's core without I/O does the protocol
(uvicorn/protocols/websockets/websockets_sansio_impl.py, 0.54).

Rules, beyond uvicorn's
- A client that takes nothing for `STALLED_S` is told so with close code 1008 behind what it has not read, and
  its connection is reset if that does not help. uvicorn would wait without end.
- While a client does not read, nothing is read from it: each ping would add a pong to what waits for it.
- A message has at most `MOST_FRAGMENTS` fragments, since empty ones count for no limit of bytes.
- A connection that fails is read over for a while: one that closes at once would reset the close frame away
  from a client that is still writing, as a refused body's response (`functions.runtimes.server.connection`).
- A client that writes behind its handshake before that is answered is disconnected: RFC 6455, section 4.1,
  forbids it, and uvicorn's class fails. So it does for a handshake that the library refuses by itself.
- At the end of the process the application is told, closes when its answers are sent, and uvicorn waits for
  it as for a response. uvicorn's class would close at once.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from functions.runtimes.server.connection import LINGER_S

MOST_FRAGMENTS: Final = 100_000
# Half of nginx's send_timeout: an agent waits too.
STALLED_S: Final = 30.0
GRACE_S: Final = 5.0
# A client answers a close frame at once, behind what it was writing.
QUIET_S: Final = 1.0
POLICY: Final = 1008
TOO_LARGE: Final = 1009
NOT_UTF8: Final = 1007
SHUTDOWN: Final = "skyfleet.shutdown"


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A client's WebSocket."""

    _stall_timer: asyncio.TimerHandle | None = None
    _unsent = 0
    _lingers_to = 0.0  # in the loop's time; 0: it does not
    _read_over = False

    async def send(self, message: Any) -> None:  # noqa: ANN401 - an event of ASGI
        """As uvicorn's, which would log a refused handshake as one that was left without an answer."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def pause_writing(self) -> None:
        """The client reads slowly."""
        super().pause_writing()
        self.transport.pause_reading()
        self._unsent = self.transport.get_write_buffer_size()
        self._watch(STALLED_S)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._stop_watching()
        if not self.read_paused:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        if self._lingers_to:
            self._read_over = True
            return
        if self.handshake_initiated and not self.handshake_complete:
            self.transport.abort()
            return
        super().data_received(data)
        if not self.handshake_initiated:
            # The library's own limits are narrower, and uvicorn's class does not send its refusal.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
        if not self.writable.is_set():
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or this side has closed."""
        self._stop_watching()
        super().connection_lost(exc)

    def handle_parser_exception(self) -> None:
        """The connection fails: its close frame is sent, and what still arrives is read over."""
        closing = self.conn.close_sent
        code = None if closing is None else closing.code
        cast("Any", self.queue).put_nowait({"type": "websocket.disconnect", "code": code})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.stop_keepalive()
        self.close_sent = True
        self._lingers_to = self.loop.time() + LINGER_S
        self._linger()

    def _linger(self) -> None:
        """Close once the client has sent nothing for `QUIET_S`, at the latest after `LINGER_S`."""
        quiet, self._read_over = not self._read_over, False
        if self.close_timer is not None and (quiet or self.loop.time() > self._lingers_to):
            self.transport.close()
            return
        # uvicorn's own timer, without which it closes when the application has ended.
        self.close_timer = self.loop.call_later(QUIET_S, self._linger)

    def handle_cont(self, event: Any) -> None:  # noqa: ANN401 - a frame of an optional library
        """Another fragment of a message."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self.conn.fail(TOO_LARGE, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """A message is complete. uvicorn's logs a traceback for each one that is not UTF-8."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.conn.fail(NOT_UTF8, "not UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def shutdown(self) -> None:
        """The process ends."""
        if self.transport.is_closing():
            return
        if self.handshake_complete and not self.close_sent and not self.disconnected:
            cast("Any", self.queue).put_nowait({"type": SHUTDOWN})
        else:
            super().shutdown()

    def _watch(self, seconds: float) -> None:
        self._stop_watching()
        self._stall_timer = self.loop.call_later(seconds, self._stalled)

    def _stop_watching(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _stalled(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._unsent = unsent
            self._watch(STALLED_S)
        elif self.close_sent:
            self.transport.abort()
        else:
            self.conn.fail(POLICY, "slow consumer")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self._unsent = self.transport.get_write_buffer_size()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": POLICY})
            self._watch(GRACE_S)
