"""A connection without a socket: a transport that records, a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from functions.runtimes.server.connection import HttpConnection
from skyfleet.http1.direct import Begin, ClientResponse
from skyfleet.http1.head import RequestHead


class Timer:
    """A timer of `Clock`."""

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self._at, self.call = at, call
        self.cancelled = False

    def when(self) -> float:
        return self._at

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """What a connection needs of an event loop."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[Timer] = []
        self._soon: list[Callable[[], object]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], None]) -> Timer:
        self._timers.append(timer := Timer(at, call))
        return timer

    def call_soon(self, call: Callable[[], object]) -> None:
        self._soon.append(call)

    def turn(self) -> None:
        """The next turn of the loop."""
        soon, self._soon = self._soon, []
        for call in soon:
            call()

    def pass_time(self, seconds: float) -> None:
        """Move the clock and call the timers that are due."""
        end = self.now + seconds
        while due := [one for one in self._timers if not one.cancelled and one.when() <= end]:
            timer = min(due, key=Timer.when)
            self._timers.remove(timer)
            self.now = max(self.now, timer.when())
            timer.call()
        self.now = end


class Wire:
    """A transport."""

    def __init__(self) -> None:
        self.sent = b""
        self.writes = 0
        self.ended = self.closed = self.aborted = self.reading_paused = False
        self.unsent = 0

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 80 if name == "sockname" else 50_000)

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent += data
        self.writes += 1

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False


class Beginning:
    """A request to `Direct` whose body is to come."""

    def __init__(self, direct: Direct) -> None:
        self._direct = direct

    def __call__(self, body: bytes) -> Direct:
        self._direct.bodies.append(body)
        return self._direct

    def reading(self, size: int) -> None:
        self._direct.sizes.append(size)

    def gone(self) -> None:
        self._direct.said.append("never begun")


class Direct:
    """An application that a server takes directly. It keeps what it was given; the test answers."""

    def __init__(self) -> None:
        self.heads: list[RequestHead] = []
        self.bodies: list[bytes] = []
        self.responses: list[ClientResponse] = []
        self.said: list[str] = []
        self.sizes: list[int] = []  # of bodies that were not here yet

    def accept(self, head: RequestHead, _peer: str, response: ClientResponse) -> Begin | None:
        self.heads.append(head)
        self.responses.append(response)
        return Beginning(self)

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")

    def gone(self) -> None:
        self.said.append("gone")

    def answer(self, body: bytes = b"ok", status: int = 200) -> None:
        """Answer the last request."""
        response = self.responses[-1]
        response.head(status, [(b"content-length", b"%d" % len(body))])
        response.body(body)
        response.end()


class Server:
    """A connection of a client to an application."""

    def __init__(self, app: object | None = None, *, keep_alive_s: float = 100) -> None:
        self.direct = Direct()
        self.clock, self.wire = Clock(), Wire()
        config = SimpleNamespace(
            loaded=True,
            loaded_app=app or self.direct,
            ssl=None,
            ws_protocol_class=None,
            timeout_keep_alive=keep_alive_s,
        )
        self.state = SimpleNamespace(
            connections=set[object](),
            tasks=set[object](),
            total_requests=0,
            default_headers=[(b"date", b"D")],
        )
        self.connection = HttpConnection(
            cast("Any", config), cast("Any", self.state), {}, cast("asyncio.AbstractEventLoop", self.clock)
        )
        self.connection.connection_made(cast("asyncio.Transport", self.wire))

    def read(self, *parts: bytes) -> None:
        """What the client sends, in these reads, and what the loop does then."""
        for part in parts:
            self.connection.data_received(part)
        self.clock.turn()

    def sent(self) -> bytes:
        """What was written since the last call."""
        sent, self.wire.sent = self.wire.sent, b""
        return sent
