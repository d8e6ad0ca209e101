"""One stream of changed fragments for each viewer, rendered once for all of them.

One task renders while there is a viewer: at each newer picture, and when a job has changed, which is looked
at twice a second. A viewer's stream takes what has changed since its last message, so that a slow one skips
what is in between and holds no queue. The number of streams is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from infra.manager.errors import ManagerError, TooMany
from infra.manager.fleet.picture import Picture
from infra.manager.page import assets, fragments
from infra.manager.services import Fleet, Jobs

LOOK_S = 0.5
# The page takes a stream for broken after three of these (static/page.js).
BEAT_S = 2.0
RECENT = 20
# An event has to arrive when it is sent: no proxy may hold or change it.
UNBUFFERED = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
VIEWERS = 50


@dataclass(slots=True)
class Feed:
    """The page's fragments, kept new while a page is open. wall: Unix seconds. stopping: ends all streams.

    admitted: replies with a stream that have not ended.
    """

    fleet: Fleet
    jobs: Jobs
    wall: Callable[[], float]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    admitted: int = 0
    _current: Mapping[str, str] = field(default_factory=dict[str, str])
    _viewers: int = 0
    _task: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def picture(self) -> Picture | None:
        """The newest picture; None before the first."""
        try:
            return self.fleet.picture()
        except ManagerError:
            return None

    def render(self) -> Mapping[str, str]:
        """All fragments as of now."""
        return fragments.render(self.picture(), self.jobs.recent(RECENT), self.wall())

    def response(self) -> Response:
        """The reply with a stream. Raises TooMany when as many viewers have one as may have one."""
        if max(self._viewers, self.admitted) >= VIEWERS:
            raise TooMany(
                f"{VIEWERS} pages are open already. Close one, then reload this one.", retry_after=10
            )
        self.admitted += 1  # at once: many requests are here before the first of their streams begins
        return _Stream(self, self.stream())

    async def stream(self) -> AsyncGenerator[bytes]:
        """Server-sent events: first all fragments, then those that have changed, and a beat in between."""
        self._viewers += 1
        try:
            task = self._task = self._task or asyncio.create_task(self._follow())
            self._renew()
            sent: dict[str, str] = {}
            yield beat()
            while not task.done():
                signal = self._changed
                changed = {name: html for name, html in self._current.items() if sent.get(name) != html}
                if changed:
                    sent.update(changed)
                    yield event(fragments.message(changed))
                try:
                    async with asyncio.timeout(BEAT_S):
                        await signal.wait()
                except TimeoutError:
                    yield beat()
                if self.stopping.is_set():
                    return
            task.result()  # its error, if it has one: the stream ends, and the page says so
        finally:
            self._viewers -= 1
            if self._task is not None and (not self._viewers or self._task.done()):
                self._task.cancel()
                self._task = None

    def _renew(self) -> None:
        """Render, and wake all viewers if anything has changed."""
        if (rendered := self.render()) != self._current:
            self._current = rendered
            self._changed.set()
            self._changed = asyncio.Event()

    async def _follow(self) -> None:
        newer = asyncio.Event()
        follower = asyncio.create_task(self._wait_for_pictures(newer))
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await newer.wait()
                newer.clear()
                if self.stopping.is_set():
                    self._changed.set()
                    return
                self._renew()
        finally:
            follower.cancel()

    async def _wait_for_pictures(self, newer: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(ManagerError):
                async for _ in self.fleet.pictures():
                    newer.set()
            await asyncio.sleep(LOOK_S)


class _Stream(StreamingResponse):
    """Ends its stream when the reply has ended, in whatever way."""

    def __init__(self, feed: Feed, content: AsyncGenerator[bytes]) -> None:
        super().__init__(content, media_type="text/event-stream", headers=UNBUFFERED)
        self._feed, self._content = feed, content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] == "HEAD":
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await send({"type": "http.response.body"})
                return
            await super().__call__(scope, receive, send)
        finally:
            self._feed.admitted -= 1
            await self._content.aclose()


def event(data: str, name: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    return (head + "".join(f"data: {line}\n" for line in data.splitlines()) + "\n").encode()


def beat() -> bytes:
    """Says that the connection lives, and which build of the page the manager has."""
    return event(assets.build(), "beat")
