"""Connections to all targets: reuse, opening, limits, and small exchanges read whole.

Rules
- An idle connection is used again for `IDLE_S` by the wall clock, no longer: sandboxes freeze, and a
  monotonic clock may sleep with them. Before each use the kernel is asked whether it is still open.
- Opening (address, TCP, TLS with verification) has one timeout. Whatever fails there was not sent.
- A request written to a connection that then breaks may have run, even if the connection was an old one: it
  is `RESET` and not repeated here. Repeating is the plan's business.
- Connections to one origin are limited; beyond the limit a request is not sent. A question whether a target
  lives is: when all places are taken by requests that wait, none of them may be lost for want of an answer.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from router.core.errors import FetchFailed
from router.core.request.machine import Failure
from router.core.targets import Origin
from router.net.connection import Connection, Sink
from router.net.dns import Lookup
from router.net.fields import Header, request_head
from skyfleet.values import frozen

# Shorter than the 5 s after which uvicorn closes, the shortest of the servers in front of agents.
IDLE_S: Final = 4.0
# One function instance serves at most this many requests at once; file descriptors end at 1,024.
MOST_CONNECTIONS: Final = 400
_MOST_IDLE: Final = 64


class Call:
    """One running exchange, for its owner; and what stands between its connection and the sink.

    It notes the end, so that a late cancel closes no connection that serves another exchange by then. And it
    lets go of the sink at the end: a sink holds its call, and what holds itself waits for the collector.
    """

    __slots__ = ("_connection", "_paused", "_sink", "_task", "on_data", "on_head", "over")

    def __init__(self, sink: Sink) -> None:
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._paused = self.over = False
        self._sink: Sink | None = sink
        self.on_head = sink.on_head  # bound once: these two are called for every read
        self.on_data = sink.on_data

    # The connection calls these.

    def on_end(self) -> None:
        if (sink := self._ended()) is not None:
            sink.on_end()

    def on_failure(self, failure: Failure, why: str) -> None:
        if (sink := self._ended()) is not None:
            sink.on_failure(failure, why)

    def _ended(self) -> Sink | None:
        sink, self._sink, self._connection, self.over = self._sink, None, None, True
        self.on_head, self.on_data = _no_head, _no_data
        return sink

    # The owner and the pool call these.

    def opening(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def attach(self, connection: Connection) -> None:
        self._connection, self._task = connection, None
        if self._paused:
            connection.pause()

    def cancel(self) -> None:
        """Close whatever is open for it; the sink hears nothing more."""
        if self.over:
            return
        connection = self._connection
        self._ended()
        if self._task is not None:
            self._task.cancel()
        if connection is not None:
            connection.abandon()

    def pause(self) -> None:
        self._paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self._paused = False
        if self._connection is not None:
            self._connection.resume()


def _no_head(status: int, headers: list[Header], /) -> None: ...


def _no_data(data: bytes, /) -> None: ...


class _Place:
    """The connections to one origin. opening: how many are on their way."""

    __slots__ = ("idle", "open", "opening")

    def __init__(self) -> None:
        self.idle: list[Connection] = []
        self.open: set[Connection] = set()
        self.opening = 0


class Pool:
    """The client of one event loop."""

    def __init__(
        self,
        *,
        connect_timeout_s: float,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
        most: int = MOST_CONNECTIONS,
    ) -> None:
        """tls: None means the system's trusted certificates, loaded when the first https target is called; it
        takes tens of milliseconds of the loop, so who knows that there are such targets brings them.

        most: connections to one origin.
        """
        self._most = most
        self._connect_timeout_s = connect_timeout_s
        self._clock = clock
        self._tls = tls
        self._lookup = Lookup()
        self._places: dict[Origin, _Place] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._prune_timer: asyncio.TimerHandle | None = None

    def send(
        self, origin: Origin, request: bytes, sink: Sink, *, head_only: bool = False, limited: bool = True
    ) -> Call:
        """Start an exchange. The sink is never called before this returns. limited: only below the limit."""
        call = Call(sink)
        place = self._places.get(origin)
        if place is None:
            place = self._places[origin] = _Place()
        if place.idle and (connection := self._reuse(place)) is not None:
            call.attach(connection)
            connection.start(call, request, head_only=head_only)
            return call
        loop = asyncio.get_running_loop()
        if limited and len(place.open) + place.opening >= self._most:
            why = f"{self._most} connections to {origin.authority} are in use"
            loop.call_soon(_refuse, call, why, Failure.FULL)
            return call
        start = partial(Connection.start, sink=call, request=request, head_only=head_only)
        task = loop.create_task(self._connect(origin, place, call, start))
        call.opening(task)
        self._tasks.add(task)
        place.opening += 1
        task.add_done_callback(partial(self._opened, place))
        return call

    def _opened(self, place: _Place, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        place.opening -= 1

    def close(self) -> None:
        """Close everything, idle or not."""
        for task in self._tasks:
            task.cancel()
        self._lookup.close()
        for place in self._places.values():
            for connection in list(place.open):
                connection.abandon()
            place.idle.clear()
            place.open.clear()
        if self._prune_timer is not None:
            self._prune_timer.cancel()
            self._prune_timer = None

    def _reuse(self, place: _Place) -> Connection | None:
        now = self._clock()
        while place.idle:
            connection = place.idle.pop()  # the most recently used one: the others may then age out
            if 0 <= now - connection.idle_since < IDLE_S and connection.usable():
                return connection
            connection.close()
        return None

    async def _connect(
        self, origin: Origin, place: _Place, call: Call, start: Callable[[Connection], None]
    ) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await self._dial(origin, place)
        except TimeoutError:
            _refuse(call, f"no connection within {self._connect_timeout_s:g} s")
        except (OSError, ValueError) as error:
            _refuse(call, _short(error))
        else:
            place.open.add(connection)
            call.attach(connection)
            start(connection)

    async def _dial(self, origin: Origin, place: _Place) -> Connection:
        loop = asyncio.get_running_loop()
        release = partial(self._release, place)
        tls = self._context() if origin.tls else None
        failure: OSError | None = None
        for address in await self._lookup.addresses(origin.host, origin.port):
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(release),
                    address,
                    origin.port,
                    ssl=tls,
                    server_hostname=origin.host if tls else None,
                )
            except OSError as error:
                failure = failure or error
            else:
                return connection
        raise failure or OSError("the name has no address")

    def _release(self, place: _Place, connection: Connection, reusable: bool) -> None:
        idle = place.idle
        if not reusable:
            place.open.discard(connection)
            if connection in idle:
                idle.remove(connection)
            return
        if len(idle) >= _MOST_IDLE:
            connection.close()
            return
        connection.idle_since = self._clock()
        idle.append(connection)
        if self._prune_timer is None:
            self._prune_timer = asyncio.get_running_loop().call_later(IDLE_S, self._prune)

    def _prune(self) -> None:
        self._prune_timer = None
        oldest = self._clock() - IDLE_S
        for place in self._places.values():
            for connection in [one for one in place.idle if one.idle_since <= oldest]:
                place.idle.remove(connection)
                connection.close()
        if any(place.idle for place in self._places.values()):
            self._prune_timer = asyncio.get_running_loop().call_later(IDLE_S / 2, self._prune)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


@frozen
class Reply:
    """A small reply, read whole."""

    status: int
    headers: list[Header]
    body: bytes


class _Collector:
    """A sink that reads a small reply into one future."""

    def __init__(self, limit: int) -> None:
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._limit = limit
        self._status = 0
        self._headers: list[Header] = []
        self._body = bytearray()

    def on_head(self, status: int, headers: list[Header]) -> None:
        self._status, self._headers = status, headers

    def on_data(self, data: bytes) -> None:
        if len(self._body) + len(data) > self._limit:
            self._fail(f"its reply is larger than {self._limit} bytes")
        self._body += data[: self._limit]

    def on_end(self) -> None:
        if not self.future.done():
            self.future.set_result(Reply(self._status, self._headers, bytes(self._body)))

    def on_failure(self, failure: Failure, why: str) -> None:
        self._fail(f"{failure}: {why}")

    def _fail(self, why: str) -> None:
        if not self.future.done():
            self.future.set_exception(FetchFailed(why))


@frozen
class Question:
    """A small request of our own."""

    origin: Origin
    method: str
    path: str
    headers: tuple[Header, ...] = ()
    body: bytes = b""


async def fetch(
    pool: Pool, question: Question, *, timeout_s: float, limit: int = 1_048_576, limited: bool = True
) -> Reply:
    """Ask and read the whole answer; FetchFailed says why there is none. limit: bytes of the answer. limited:
    the limit of connections holds for it too."""
    collector = _Collector(limit)
    head = request_head(
        question.method,
        question.path.encode(),
        question.origin.authority,
        question.headers,
        len(question.body),
    )
    call = pool.send(question.origin, head + question.body, collector, limited=limited)
    try:
        async with asyncio.timeout(timeout_s):
            return await collector.future
    except TimeoutError:
        raise FetchFailed(f"no answer within {timeout_s:g} s") from None
    finally:
        call.cancel()


def _refuse(call: Call, why: str, failure: Failure = Failure.NOT_SENT) -> None:
    if not call.over:
        call.on_failure(failure, why)


def _short(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return f"{type(error).__name__}: {error}"[:200]
