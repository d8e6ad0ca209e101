"""Synchronous agents: `def agent(request)` and synchronous generators, called in threads.

Rules
- A call runs in one thread from its beginning to its end, in a copy of the request's context variables.
- At most INSTANCE_CONCURRENCY calls run at once, which is what the platforms send to one instance.
- A thread cannot be cancelled. When the client leaves, the reply is dropped: a function runs to its end, and
  a generator is closed at its next `yield`. What has not begun yet never begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

from functions.api import AgentRequest
from skyfleet.contract import INSTANCE_CONCURRENCY

# Events that a generator may be ahead of its client. Few, so that a closed stream stops it soon.
AHEAD: Final = 8


@functools.cache
def _pool() -> Executor:
    from concurrent.futures import ThreadPoolExecutor  # not in the cold start of other agents

    return ThreadPoolExecutor(INSTANCE_CONCURRENCY, thread_name_prefix="agent")


def as_coroutine(
    function: Callable[[AgentRequest], object],
) -> Callable[[AgentRequest], Coroutine[Any, Any, object]]:
    """An agent function that calls the synchronous one in a thread."""

    async def agent(request: AgentRequest) -> object:
        context = contextvars.copy_context()

        def call() -> object:
            try:
                return context.run(function, request)
            except StopIteration as error:  # no future takes it before Python 3.12: the reply would not end
                raise RuntimeError("the agent raised StopIteration") from error

        returned = await asyncio.get_running_loop().run_in_executor(_pool(), call)
        # A decorator that is not async may return the coroutine of an async function.
        return await returned if inspect.isawaitable(returned) else returned

    return agent


def as_async_generator(
    function: Callable[[AgentRequest], Generator[object, None, None]],
) -> Callable[[AgentRequest], AsyncGenerator[object, None]]:
    """An agent that yields what the synchronous generator yields in a thread."""

    async def agent(request: AgentRequest) -> AsyncGenerator[object, None]:
        stream = _Stream(asyncio.get_running_loop(), asyncio.Queue(), threading.Semaphore(AHEAD))
        running = _pool().submit(contextvars.copy_context().run, stream.run, function, request)
        try:
            while not isinstance(event := await stream.events.get(), _End):
                stream.slots.release()
                yield event
            if event.error is not None:
                raise event.error
        finally:
            running.cancel()  # it may still wait for a thread
            stream.close()

    return agent


@dataclass(frozen=True, slots=True)
class _End:
    """error: what the generator raised."""

    error: BaseException | None


@dataclass(slots=True)
class _Stream:
    """The events of one generator on their way from its thread to the loop."""

    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[object]
    slots: threading.Semaphore
    closed: bool = False

    def run(
        self, function: Callable[[AgentRequest], Generator[object, None, None]], request: AgentRequest
    ) -> None:
        """Iterate the generator; called in its thread."""
        error: BaseException | None = None
        try:
            with contextlib.closing(function(request)) as generator:
                for event in generator:
                    self.slots.acquire()
                    if self.closed:
                        break
                    self._put(event)
        except BaseException as raised:
            error = raised
        self._put(_End(error))

    def close(self) -> None:
        """Let the generator end at its next event."""
        self.closed = True
        self.slots.release()

    def _put(self, event: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
