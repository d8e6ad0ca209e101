"""The warm instances of one version of a function: leases, starts and scale-in.

It knows neither clouds nor HTTP. As in Lambda, requests go to the most recently used instance with capacity,
so that the others become idle and are dropped. Without one another is started, up to the limit, and a waiting
request takes the first free instance. Beyond the limit requests wait `queue_s`, then they are throttled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from emulator.runtime.errors import InstanceError
from emulator.runtime.limits import STARTING_AT_ONCE
from emulator.runtime.types import Instance


@dataclass(frozen=True, slots=True)
class Size:
    """concurrency: requests per instance. most: instances. queue_s, idle_s: seconds."""

    concurrency: int
    most: int
    queue_s: float
    idle_s: float


@dataclass(slots=True, eq=False)
class Member:
    """An instance in the pool. inflight: active leases; served: leases so far; used: loop time of the last
    change; leaving: takes no more requests.
    """

    instance: Instance
    inflight: int = 0
    served: int = 0
    used: float = 0.0
    leaving: bool = False


class Pool:
    """Leases instances."""

    def __init__(self, start: Callable[[], Awaitable[Instance]], size: Size) -> None:
        self._start = start
        self.size = size
        self.members: list[Member] = []  # least recently used first
        self.starts = 0
        self._starting: set[asyncio.Task[None]] = set()
        self._waiting: deque[asyncio.Future[Member]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._stops: set[asyncio.Task[None]] = set()
        self._closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncGenerator[Instance]:
        """An instance with capacity, started if needed. Raises InstanceError."""
        member = self._free() if self._capacity() > 0 else None
        if member is None:
            member = await self._wait()
        else:
            self._take(member)
        try:
            yield member.instance
        finally:
            self._give_back(member)

    def add(self, instance: Instance) -> None:
        """Add a started instance."""
        member = Member(instance)
        self.members.append(member)
        self._touch(member)
        instance.on_end(lambda: self._drop(member))
        self._serve_waiting()

    async def drain(self, within_s: float) -> None:
        """Take no new requests; stop after the active ones, or after `within_s`."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._empty.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop everything now."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._starting):
            task.cancel()
        if self._starting:
            await asyncio.wait(self._starting)
        self._fail(InstanceError("unavailable", "the function is being removed"), len(self._waiting))
        await asyncio.gather(*(member.instance.stop() for member in list(self.members)), *self._stops)

    def kill(self) -> None:
        """End all instances at once."""
        for member in list(self.members):
            member.instance.kill()

    def recycle(self) -> None:
        """Drop the warm instances: idle ones now, busy ones after their requests."""
        for member in list(self.members):
            member.leaving = True
            if member.inflight == 0:
                self._retire(member)

    def _free(self) -> Member | None:
        for member in reversed(self.members):
            if member.instance.alive and not member.leaving and member.inflight < self.size.concurrency:
                return member
        return None

    async def _wait(self) -> Member:
        ready: asyncio.Future[Member] = asyncio.get_running_loop().create_future()
        self._waiting.append(ready)
        self._grow()
        try:
            if len(self._waiting) <= self._capacity() and not self._closed:
                return await ready
            async with asyncio.timeout(self.size.queue_s):
                return await ready
        except BaseException as error:
            if ready.done() and not ready.cancelled() and ready.exception() is None:
                self._give_back(ready.result())  # it was served at the same moment
            elif ready in self._waiting:
                self._waiting.remove(ready)
            if isinstance(error, TimeoutError):
                raise InstanceError("throttled", f"all {len(self.members)} instances are busy") from None
            raise

    def _capacity(self) -> int:
        """Requests that fit after every permitted start."""
        return self.size.most * self.size.concurrency - sum(each.inflight for each in self.members)

    def _take(self, member: Member) -> None:
        member.inflight += 1
        member.served += 1
        self._empty.clear()

    def _give_back(self, member: Member) -> None:
        member.inflight -= 1
        self._touch(member)
        if member.leaving and member.inflight == 0 and member in self.members:
            self._retire(member)
            self._grow()
        self._serve_waiting()
        self._note_empty()

    def _note_empty(self) -> None:
        if not any(each.inflight for each in self.members):
            self._empty.set()

    def _may_grow(self) -> bool:
        return not self._closed and len(self.members) + len(self._starting) < self.size.most

    def _grow(self) -> None:
        while (
            self._may_grow()
            and len(self._starting) < STARTING_AT_ONCE
            and len(self._starting) * self.size.concurrency < len(self._waiting)
        ):
            task = asyncio.create_task(self._add_one())
            self._starting.add(task)
            task.add_done_callback(self._started)

    async def _add_one(self) -> None:
        self.starts += 1
        try:
            self.add(await self._start())
        except InstanceError as failure:
            self._fail(failure, self.size.concurrency)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(InstanceError("unstarted", f"{type(error).__name__}: {error}"), self.size.concurrency)
        self._grow()

    def _serve_waiting(self) -> None:
        while self._waiting and (member := self._free()) is not None:
            ready = self._waiting.popleft()
            if not ready.done():
                self._take(member)
                ready.set_result(member)

    def _fail(self, failure: InstanceError, many: int) -> None:
        for _ in range(min(many, len(self._waiting))):
            ready = self._waiting.popleft()
            if not ready.done():
                ready.set_exception(failure)

    def _touch(self, member: Member) -> None:
        loop = asyncio.get_running_loop()
        member.used = loop.time()
        if member in self.members:
            self.members.remove(member)
            self.members.append(member)
        if self._timer is None and not self._closed:
            self._timer = loop.call_later(self.size.idle_s, self._drop_idle)

    def _drop_idle(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        for member in [each for each in self.members if each.inflight == 0]:
            if loop.time() - member.used >= self.size.idle_s:
                self._retire(member)
        if self.members and not self._closed:
            soonest = min(member.used for member in self.members) + self.size.idle_s
            self._timer = loop.call_at(max(soonest, loop.time() + self.size.idle_s / 10), self._drop_idle)

    def _retire(self, member: Member) -> None:
        self.members.remove(member)
        task = asyncio.create_task(member.instance.stop())
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    def _drop(self, member: Member) -> None:
        if member in self.members:
            self.members.remove(member)
        self._note_empty()
        if not self._closed:
            self._grow()
