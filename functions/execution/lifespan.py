"""The ASGI lifespan of the user's application: once in each instance, the same in every cloud.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html

Rules
- Startup runs before the first request. The host's own lifespan events begin it earlier where the host sends
  them; otherwise the first request or probe does.
- Each request gets a shallow copy of the state that startup has filled, as `scope["state"]`.
- An application that raises or returns before it answers startup does not support the protocol and serves.
  `sys.exit` during startup has failed, and does not end the process: no reply could say why.
- A request waits `REQUEST_WAIT_S` for a startup, also for one that blocks the agent's loop. Then it gets 503
  `startup-failed`: it has not run, so another cloud may serve it. The startup goes on.
- A startup that answers `lifespan.startup.failed` is logged. Requests get 503 `startup-failed`, and so does
  /health. A later request or probe starts it again.
- Shutdown comes after the last request, and has the time that the host leaves from SIGTERM on.
- The host is always answered with `complete`: a server that ends at a failed startup could not say why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from functions.errors import StartupFailed
from functions.execution.loop import AgentLoop
from skyfleet.asgi import ASGIApp, Message, Receive, Scope, Send

LOG: Final = logging.getLogger("skyfleet.lifespan")
# After a failed startup. A database that restarts needs seconds, and each attempt costs a whole startup.
RETRY_S: Final = 5.0
# The host listens after this time although startup has not ended: Lambda ends an init phase after 10 s
# (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html), and the requests wait anyway.
HOST_WAIT_S: Final = 5.0
# Long enough for most startups that load a model. Each request waits by itself: Lambda and Cloud Run give an
# instance CPU only while it has a request, so a longer startup needs several to end.
REQUEST_WAIT_S: Final = 30.0
# Cloud Run ends an instance 10 s after SIGTERM (cloud.google.com/run/docs/container-contract). Requests have
# most of it (`functions.runtimes.draining`), and the lifespan's shutdown the rest, but a second at least.
SHUTDOWN_S: Final = 9.5
LEAST_SHUTDOWN_S: Final = 1.0


class Lifespan:
    """An ASGI application around the user's, called on the agent's loop.

    monotonic: seconds of a clock that never goes back.
    """

    def __init__(self, app: ASGIApp, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._monotonic = monotonic
        self._state: dict[str, Any] = {}
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._running: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._up = False
        self._failed_at: float | None = None

    @property
    def failed(self) -> bool:
        """Whether the last startup has failed."""
        return self._failed_at is not None

    @property
    def up(self) -> bool:
        """Whether startup has ended well."""
        return self._up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._up:
            await self.start()
            if not self._up:
                raise StartupFailed
        await self._app({**scope, "state": self._state.copy()}, receive, send)

    def begin(self) -> None:
        """Begin startup unless it has ended well, is running, or has failed just now."""
        if self._up or (self._starting is not None and not self._starting.done()):
            return
        if self._failed_at is None or self._monotonic() - self._failed_at >= RETRY_S:
            self._starting = asyncio.create_task(self._start())

    async def start(self) -> None:
        """Begin startup, and wait for its end."""
        self.begin()
        if self._starting is not None:
            await asyncio.shield(self._starting)

    async def stop(self) -> None:
        """Send shutdown to the application, if it supports it, and wait for its answer."""
        running, self._running = self._running, None
        if running is None or running.done():
            return
        self._events.put_nowait({"type": "lifespan.shutdown"})
        answer = await self._answer(running)
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            LOG.error("the lifespan shutdown of the agent failed: %s", answer.get("message", ""))

    async def _start(self) -> None:
        self._state, self._events, self._answers = {}, asyncio.Queue(), asyncio.Queue()
        self._events.put_nowait({"type": "lifespan.startup"})
        self._running = asyncio.create_task(self._run())
        answer = await self._answer(self._running)
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            self._failed_at = self._monotonic()
            LOG.error("the lifespan startup of the agent failed: %s", answer.get("message", ""))
        else:
            self._up, self._failed_at = True, None

    async def _run(self) -> None:
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._state,
        }
        try:
            await self._app(scope, self._events.get, self._answers.put)
        except Exception as error:  # also how an application says that it does not know the protocol
            LOG.info("the lifespan of the agent ended with %s: %s", type(error).__name__, error)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # `sys.exit`, also of a task group within it
            message = f"it raised {type(error).__name__}: {error}"
            LOG.exception("the lifespan of the agent ended: %s", message)
            self._answers.put_nowait({"type": "lifespan.startup.failed", "message": message})

    async def _answer(self, running: asyncio.Task[None]) -> Message | None:
        """The application's next message; None if it has ended without one."""
        answering = asyncio.create_task(self._answers.get())
        try:
            await asyncio.wait({running, answering}, return_when=asyncio.FIRST_COMPLETED)
            return answering.result() if answering.done() else None
        finally:
            answering.cancel()


def shutdown_s(draining_since: float | None, now: float) -> float:
    """How long the lifespan's shutdown may take. draining_since: when SIGTERM came; None: just now."""
    elapsed = 0.0 if draining_since is None else now - draining_since
    return max(LEAST_SHUTDOWN_S, SHUTDOWN_S - elapsed)


@dataclass(frozen=True, slots=True)
class HostedLifespan:
    """The same lifespan as the server sees it: called on the server's loop, which it does not block.

    left_s: how long the shutdown may take, asked when it begins.
    """

    lifespan: Lifespan
    loop: AgentLoop
    left_s: Callable[[], float]

    @property
    def failed(self) -> bool:
        """Whether the last startup has failed."""
        return self.lifespan.failed

    def begin(self) -> None:
        """Begin startup unless it has ended well, is running, or has failed just now."""
        if not self.lifespan.up:
            self.loop.get().call_soon_threadsafe(self.lifespan.begin)

    async def ready(self) -> None:
        """Wait for startup, on the server's loop. Raises StartupFailed if it fails or takes too long."""
        if self.lifespan.up:
            return
        if not await self._within(REQUEST_WAIT_S, self.lifespan.start()):
            LOG.error("a request was refused: the lifespan startup takes more than %.0f s", REQUEST_WAIT_S)
        if not self.lifespan.up:
            raise StartupFailed

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Answer the host's lifespan events."""
        while True:
            kind: str = (await receive())["type"]
            if kind == "lifespan.startup":
                await self._within(HOST_WAIT_S, self.lifespan.start())
            elif not await self._within(left_s := self.left_s(), self.lifespan.stop()):
                LOG.error("the lifespan shutdown of the agent did not end within %.1f s", left_s)
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the work on the agent's loop ends in time; it goes on if it does not."""
        running = asyncio.ensure_future(self.loop.run(work))
        done, _ = await asyncio.wait({running}, timeout=seconds)
        return bool(done)
