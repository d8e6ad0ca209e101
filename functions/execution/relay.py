"""Relay one request between the server's loop and the agent's.

Rules
- Messages of the agent are queued, and the server's loop is woken once for all that are there. A reply in two
  messages costs one wake-up in each direction.
- The agent may be AHEAD_BYTES before its client; then its `send` waits.
- The server's `receive` is awaited once for the body, and again only if the agent asks.
- A cancellation of the request cancels the agent and waits for its end.
- After the server's `send` has failed, the agent's `send` raises OSError, as the ASGI specification says.
- The hook ON_START runs on the server's loop, where its bucket is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from functions.execution.blocked import BlockedWatch
from functions.execution.loop import AgentLoop
from functions.runner import ON_START
from skyfleet.asgi import ASGIApp, Message, Receive, Scope, Send

# The write buffer at which uvicorn pauses (uvicorn/protocols/http/flow_control.py).
AHEAD_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Relay:
    """An ASGI application that runs another one on the agent's loop. ready: awaited before; it may raise."""

    app: ASGIApp
    loop: AgentLoop
    watch: BlockedWatch
    ready: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.watch.begin()
        try:
            if self.ready is not None:
                await self.ready()
            await _Exchange(self.app, self.loop.get(), scope).run(receive, send)
        finally:
            self.watch.end()


class _Exchange:
    """One request. `_here` is the server's loop, `_there` the agent's."""

    __slots__ = (
        "_app",
        "_ended",
        "_error",
        "_failed",
        "_here",
        "_inbox",
        "_messages",
        "_put",
        "_reader",
        "_resumed",
        "_scope",
        "_taken",
        "_task",
        "_there",
        "_told",
        "_waiter",
        "_wanted",
    )

    def __init__(self, app: ASGIApp, there: asyncio.AbstractEventLoop, scope: Scope) -> None:
        self._app = app
        self._here = asyncio.get_running_loop()
        self._there = there
        hook = scope.get(ON_START)
        self._scope = scope if hook is None else {**scope, ON_START: self._hook(hook)}
        # Written by the agent's thread, read by the server's. told: a wake-up is on its way.
        self._messages: deque[Message] = deque()
        self._told = self._wanted = self._ended = False
        self._error: BaseException | None = None
        self._put = 0
        # Written by the server's thread.
        self._taken = 0
        self._failed = False
        self._waiter: asyncio.Future[None] | None = None
        # Of the agent's thread alone.
        self._inbox: deque[Message] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._resumed: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def run(self, receive: Receive, send: Send) -> None:
        """Called on the server's loop. Raises what the agent raises."""
        self._inbox.append(await receive())
        self._there.call_soon_threadsafe(self._begin)
        watching: asyncio.Task[None] | None = None
        try:
            while True:
                while self._messages:
                    message = self._messages.popleft()
                    await send(message)
                    self._take(message)
                if self._ended and not self._messages:
                    break
                if self._wanted and (watching is None or watching.done()):
                    watching = self._here.create_task(self._watch(receive))
                await self._woken()
        except BaseException as error:
            self._failed = True
            self._there.call_soon_threadsafe(self._stop, isinstance(error, asyncio.CancelledError))
            while not self._ended:
                await self._woken()
            raise
        finally:
            if watching is not None:
                watching.cancel()
        if self._error is not None:
            raise self._error

    def _take(self, message: Message) -> None:
        self._taken += len(message.get("body", b""))
        if self._resumed is not None and self._put - self._taken <= AHEAD_BYTES:
            self._there.call_soon_threadsafe(self._release)

    async def _watch(self, receive: Receive) -> None:
        """Pass on what the server says after the body: as a rule, that the client has disconnected."""
        message = await receive()
        self._there.call_soon_threadsafe(self._deliver, message)

    async def _woken(self) -> None:
        self._waiter = self._here.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        self._told = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _hook(self, hook: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def on_server() -> None:
            await hook()

        async def start() -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(on_server(), self._here))

        return start

    # What follows runs in the agent's thread.

    def _begin(self) -> None:
        self._task = self._there.create_task(self._call())

    async def _call(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except asyncio.CancelledError:
            if not self._failed:
                self._error = RuntimeError("the agent cancelled the task of its own request")
        except Exception as error:
            self._error = error
        except BaseException as error:  # SystemExit, and what a server would not take for an agent's error
            self._error = RuntimeError(f"the agent raised {type(error).__name__}: {error}")
            self._error.__cause__ = error
        self._ended = True
        self._tell()

    async def _receive(self) -> Message:
        while not self._inbox:
            self._wanted = True
            self._tell()
            self._reader = self._reader or self._there.create_future()
            await asyncio.shield(self._reader)
        message = self._inbox[0]
        # A disconnect is said again to each that asks.
        return message if message["type"] == "http.disconnect" else self._inbox.popleft()

    async def _send(self, message: Message) -> None:
        if self._failed:
            raise OSError("the client has disconnected")
        self._put += len(message.get("body", b""))
        self._messages.append(message)
        self._tell()
        if self._put - self._taken > AHEAD_BYTES:
            self._resumed = self._there.create_future()
            # The other thread may have taken messages before it could see the future.
            if self._put - self._taken > AHEAD_BYTES and not self._failed:
                await self._resumed
            self._resumed = None

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._here.call_soon_threadsafe(self._wake)

    def _deliver(self, message: Message) -> None:
        self._inbox.append(message)
        self._wanted = False
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.set_result(None)

    def _release(self) -> None:
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    def _stop(self, cancel: bool) -> None:
        self._release()
        if cancel and self._task is not None:
            self._task.cancel()
