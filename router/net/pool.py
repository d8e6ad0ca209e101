"""Connections to all origins: opening, reuse and limits.

Rules
- An idle connection is reused for `IDLE_S` by the wall clock: sandboxes freeze, and a monotonic clock may
  stop with them. Before each reuse the kernel is asked whether the connection is still open.
- Opening (address, TCP, TLS with verification) has one timeout. A failure of it is `CONNECT`: nothing was
  sent.
- A request on a connection that then breaks may have been processed, also on a reused connection. It is
  `RESET`, and this file never repeats it: that is a decision of the request machine.
- Connections to one origin are limited; beyond the limit an exchange fails with `OVERFLOW`. Health probes are
  exempt: when all connections are taken by slow requests, a probe has to tell whether the target responds.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from router.net.connection import Connection, ResponseHandler
from router.net.dns import Resolver
from router.net.errors import TransportError
from skyfleet.asgi import Header
from skyfleet.http1.head import ResponseHead
from skyfleet.origin import Origin

# Shorter than the 5 s after which uvicorn closes, the shortest of the servers in front of agents.
IDLE_S: Final = 4.0
# One function instance serves at most this many requests at once; file descriptors end at 1,024.
MAX_CONNECTIONS: Final = 400
_MAX_IDLE: Final = 64


class Exchange:
    """One request and its response, between a connection and a response handler.

    It records the end, so that a late `cancel` never closes a connection that already serves another
    exchange. It drops its reference to the handler at the end, so that no reference cycle remains.
    """

    __slots__ = ("_connection", "_handler", "_paused", "_task", "on_data", "on_head", "over")

    def __init__(self, handler: ResponseHandler, connection: Connection | None = None) -> None:
        self._connection = connection
        self._task: asyncio.Task[None] | None = None
        self._paused = self.over = False
        self._handler: ResponseHandler | None = handler
        self.on_head = handler.on_head  # bound once: the connection calls these for every read
        self.on_data = handler.on_data

    # Called by the connection.

    def on_informational(self, status: int, headers: list[Header]) -> None:
        """Forward an interim response."""
        if self._handler is not None:
            self._handler.on_informational(status, headers)

    def on_whole(self, head: ResponseHead, data: bytes) -> None:
        """Forward a response that is here as a whole."""
        handler = self._detach()
        if handler is not None:
            handler.on_whole(head, data)

    def on_end(self, trailers: Sequence[Header]) -> None:
        """Forward the end."""
        handler = self._detach()
        if handler is not None:
            handler.on_end(trailers)

    def on_failure(self, error: TransportError, why: str) -> None:
        """Forward the failure."""
        if (handler := self._detach()) is not None:
            handler.on_failure(error, why)

    def _detach(self) -> ResponseHandler | None:
        handler, self._handler, self._connection, self.over = self._handler, None, None, True
        self.on_head, self.on_data = _ignore_head, _ignore_data
        return handler

    # Called by the owner and by the pool.

    def opening(self, task: asyncio.Task[None]) -> None:
        """Note the task that opens its connection."""
        self._task = task

    def attach(self, connection: Connection) -> None:
        """Note its connection."""
        self._connection, self._task = connection, None
        if self._paused:
            connection.pause()

    def cancel(self) -> None:
        """Close its connection, without an event to the handler."""
        if self.over:
            return
        connection = self._connection
        self._detach()
        if self._task is not None:
            self._task.cancel()
        if connection is not None:
            connection.abandon()

    def pause(self) -> None:
        """Stop reading the response."""
        self._paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Continue to read the response."""
        self._paused = False
        if self._connection is not None:
            self._connection.resume()


def _ignore_head(head: ResponseHead, /) -> None: ...


def _ignore_data(data: bytes, /) -> None: ...


class _Connections:
    """The connections to one origin. opening: how many are being opened."""

    __slots__ = ("idle", "open", "opening")

    def __init__(self) -> None:
        self.idle: list[Connection] = []
        self.open: set[Connection] = set()
        self.opening = 0


class Pool:
    """The HTTP client of one event loop."""

    def __init__(
        self,
        *,
        connect_timeout_s: float,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """clock: unix seconds. max_connections: to one origin.

        tls: None stands for the system's trusted certificates, loaded at the first https exchange. Loading
        takes tens of milliseconds, so a caller that knows of https targets passes a context.
        """
        self._max = max_connections
        self._connect_timeout_s = connect_timeout_s
        self._clock = clock
        self._tls = tls
        self._resolver = Resolver()
        self._origins: dict[Origin, _Connections] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._prune_timer: asyncio.TimerHandle | None = None

    def send(
        self,
        origin: Origin,
        request: bytes,
        handler: ResponseHandler,
        *,
        head_only: bool = False,
        limited: bool = True,
        body: bytes = b"",
    ) -> Exchange:
        """Start an exchange. The handler is never called before this returns.

        head_only: the request is a HEAD. limited: the limit of connections applies. body: a large body, which
        is not copied; a small one belongs to `request`.
        """
        pooled = self._origins.get(origin)
        if pooled is None:
            pooled = self._origins[origin] = _Connections()
        now = self._clock()
        while pooled.idle:
            connection = pooled.idle.pop()  # the most recently used one, so that the others can expire
            if 0.0 <= now - connection.idle_since < IDLE_S and connection.usable():
                exchange = Exchange(handler, connection)
                connection.start(exchange, request, head_only=head_only, body=body)
                return exchange
            connection.close()
        exchange = Exchange(handler)
        loop = asyncio.get_running_loop()
        if limited and len(pooled.open) + pooled.opening >= self._max:
            why = f"{self._max} connections to {origin.authority} are in use"
            loop.call_soon(_refuse, exchange, why, TransportError.OVERFLOW)
            return exchange
        start = partial(Connection.start, handler=exchange, request=request, head_only=head_only, body=body)
        task = loop.create_task(self._connect(origin, pooled, exchange, start))
        exchange.opening(task)
        self._tasks.add(task)
        pooled.opening += 1
        task.add_done_callback(partial(self._opened, pooled))
        return exchange

    def _opened(self, pooled: _Connections, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        pooled.opening -= 1

    def close(self) -> None:
        """Close every connection, idle or not."""
        for task in self._tasks:
            task.cancel()
        self._resolver.close()
        for pooled in self._origins.values():
            for connection in list(pooled.open):
                connection.abandon()
            pooled.idle.clear()
            pooled.open.clear()
        if self._prune_timer is not None:
            self._prune_timer.cancel()
            self._prune_timer = None

    async def _connect(
        self, origin: Origin, pooled: _Connections, exchange: Exchange, start: Callable[[Connection], None]
    ) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await self._dial(origin, pooled)
        except TimeoutError:
            _refuse(exchange, f"no connection within {self._connect_timeout_s:g} s")
        except (OSError, ValueError) as error:
            _refuse(exchange, _short(error))
        else:
            pooled.open.add(connection)
            exchange.attach(connection)
            start(connection)

    async def _dial(self, origin: Origin, pooled: _Connections) -> Connection:
        loop = asyncio.get_running_loop()
        release = partial(self._release, pooled)
        tls = self._context() if origin.tls else None
        failure: OSError | None = None
        for address in await self._resolver.addresses(origin.host, origin.port):
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

    def _release(self, pooled: _Connections, connection: Connection, reusable: bool) -> None:
        idle = pooled.idle
        if not reusable:
            pooled.open.discard(connection)
            if connection in idle:
                idle.remove(connection)
            return
        if len(idle) >= _MAX_IDLE:
            connection.close()
            return
        connection.idle_since = self._clock()
        idle.append(connection)
        if self._prune_timer is None:
            self._prune_timer = asyncio.get_running_loop().call_later(IDLE_S, self._prune)

    def _prune(self) -> None:
        self._prune_timer = None
        oldest = self._clock() - IDLE_S
        for pooled in self._origins.values():
            for connection in [one for one in pooled.idle if one.idle_since <= oldest]:
                pooled.idle.remove(connection)
                connection.close()
        if any(pooled.idle for pooled in self._origins.values()):
            self._prune_timer = asyncio.get_running_loop().call_later(IDLE_S / 2, self._prune)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


def _refuse(exchange: Exchange, why: str, error: TransportError = TransportError.CONNECT) -> None:
    if not exchange.over:
        exchange.on_failure(error, why)


def _short(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return f"{type(error).__name__}: {error}"[:200]
