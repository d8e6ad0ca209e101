"""One deployed function: its door, the version that serves, and the next version taking over.

The rule of this file: a new version serves only after it was built (and started, where the cloud does that at
deploy); until then, and for ever when it fails, the old one does. The exception are new settings for the
same package on Azure, see `takes_unstarted`. Requests in flight end on the version they began.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from emulator.desired.state import Function
from emulator.errors import ApplyError
from emulator.runtime import faults
from emulator.runtime.active_faults import Board
from emulator.runtime.aws.backend import LambdaBackend
from emulator.runtime.azure.instance import AzureBackend
from emulator.runtime.context import Tools
from emulator.runtime.errors import SetupError, Trouble
from emulator.runtime.gcp.instance import CloudRunBackend
from emulator.runtime.ingress import Behind, Door
from emulator.runtime.limits import LIMITS, MOST_INSTANCES
from emulator.runtime.packages import BadPackage
from emulator.runtime.pool import Pool, Size
from emulator.runtime.processes import Log
from emulator.runtime.types import Backend, Instance, Outcome, Timer

DRAIN_S = 30.0  # for requests in flight when a new version takes over; then they are cut


def version(spec: Function) -> tuple[object, ...]:
    """What makes a new version necessary: everything an instance is made of."""
    return (
        *(
            spec.package_hash,
            spec.entry,
            dict(spec.environment),
            spec.principal,
            spec.memory_mb,
            spec.runtime,
        ),
        *(spec.web_adapter, spec.name, spec.region, spec.cloud == "azure" and spec.authority),
    )


def takes_unstarted(old: Function, new: Function) -> bool:
    """Whether the cloud goes over to `new` though it does not start.

    App Service writes app settings down and restarts the app whatever comes of it; only a deployment of code
    is checked. A program that changes both sends the settings first, and refusing them because the old code
    cannot start with them would keep the new code out for ever.
    """
    return new.cloud == "azure" and old.package_hash == new.package_hash


def backend(spec: Function, tools: Tools) -> Backend:
    """The host of the function's cloud."""
    match spec.cloud:
        case "aws":
            return LambdaBackend(spec, tools)
        case "azure":
            return AzureBackend(spec, tools)
        case "gcp":
            return CloudRunBackend(spec, tools)


class Version:
    """One package with one environment, and its instances."""

    def __init__(self, spec: Function, tools: Tools, board: Board, idle_s: float) -> None:
        self.spec = spec
        self._backend = backend(spec, tools)
        self._board = board
        self._built = False
        self._building = asyncio.Lock()
        self.pool = Pool(self._start, size(spec, idle_s))

    async def bring_up(self) -> tuple[Timer, ...]:
        """What the cloud does at a deploy. Raises ApplyError. Returns the timers found in the code."""
        try:
            await self._build()
            if self._backend.starts_at_deploy:
                self.pool.starts += 1
                self.pool.add(await self._backend.start())
        except Trouble as trouble:
            raise ApplyError(self.spec.key, trouble.detail) from trouble
        except (BadPackage, SetupError) as error:
            raise ApplyError(self.spec.key, str(error)) from error
        return await self._backend.timers()

    async def _build(self) -> None:
        async with self._building:
            if not self._built:
                await self._backend.build()
                self._built = True

    async def _start(self) -> Instance:
        current = self._board.of(self.spec)
        if faults.has(current, "kill"):
            raise Trouble("unavailable", "by an injected fault")
        try:
            await self._build()
        except (BadPackage, SetupError) as error:
            raise Trouble("unstarted", str(error)) from error
        await asyncio.sleep(faults.amount(current, "cold"))
        instance = await self._backend.start()
        if faults.has(self._board.of(self.spec), "kill"):
            await instance.stop()
            raise Trouble("unavailable", "by an injected fault")
        return instance


def size(spec: Function, idle_s: float) -> Size:
    """The pool's size for a function."""
    concurrency = 1 if spec.cloud == "aws" else max(1, spec.concurrency)
    most = min(spec.max_instances, MOST_INSTANCES) if spec.max_instances > 0 else MOST_INSTANCES
    return Size(concurrency, most, LIMITS[spec.cloud].queue_s, idle_s)


class FunctionHost:
    """One function."""

    def __init__(
        self, spec: Function, tools: Tools, board: Board, draw: Callable[[], float], idle_s: float
    ) -> None:
        self.spec = spec
        self._tools = tools
        self._board = board
        self._draw = draw
        self._idle_s = idle_s
        self.version = Version(spec, tools, board, idle_s)
        self.door: Door | None = None
        self.timers: tuple[Timer, ...] = ()
        self._draining: set[asyncio.Task[None]] = set()

    @property
    def log(self) -> Log:
        """The function's log."""
        return self._tools.log(self.spec.key)

    async def deploy(self) -> None:
        """First deploy: bring the version up, then open the door. Raises ApplyError or PortTaken."""
        try:
            self.timers = await self.version.bring_up()
            await self.open_door()
        except BaseException:
            await self.close()
            raise

    async def update(self, spec: Function) -> None:
        """Become `spec`. Raises ApplyError and stays as it is when the new version does not come up (and the
        cloud looks at that)."""
        if version(spec) != version(self.version.spec):
            following = Version(spec, self._tools, self._board, self._idle_s)
            try:
                self.timers = await following.bring_up()
            except BaseException as error:
                if not isinstance(error, ApplyError) or not takes_unstarted(self.version.spec, spec):
                    await following.pool.close()
                    raise
                self.log.say(f"does not start with its new settings: {error.reason}")
            old, self.version = self.version, following
            task = asyncio.create_task(old.pool.drain(min(DRAIN_S, old.spec.timeout_s)))
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)
        moved = spec.port != self.spec.port
        self.spec = spec
        self.version.pool.size = size(spec, self._idle_s)
        if moved or self.door is None:
            await self._close_door()
            await self.open_door()

    async def open_door(self) -> None:
        """Listen on the function's port, if it has one."""
        if self.spec.port is not None:
            behind = Behind(lambda: self.spec, self.lease, self._board, self._draw, self.log)
            door = Door(self.spec.port, behind)
            await door.listener.open()
            self.door = door
            await self.obey_faults()

    async def _close_door(self) -> None:
        if self.door is not None:
            door, self.door = self.door, None
            await door.listener.close()

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Instance]:
        """An instance of the version that serves now."""
        async with self.version.pool.lease() as instance:
            yield instance

    async def event(self, name: str, payload: bytes) -> Outcome:
        """A scheduler's call, from inside the cloud: the same faults, no door."""
        verdict = faults.decide(self._board.of(self.spec), self._draw)
        try:
            async with asyncio.timeout(self.spec.timeout_s):
                if verdict.swallowed:
                    await self._board.healed(self.spec)
                    return Outcome(False, None, "no answer")
                await asyncio.sleep(verdict.delay_s)
                if verdict.answer is not None:
                    return Outcome(False, None, f"{verdict.answer} (by an injected fault)")
                async with self.lease() as instance:
                    return await instance.event(name, payload)
        except TimeoutError:
            return Outcome(False, None, f"timed out after {self.spec.timeout_s:g} s")
        except Trouble as trouble:
            return Outcome(False, None, str(trouble)[:2000])

    async def obey_faults(self) -> None:
        """Make the door be as the faults on the board want it."""
        current = self._board.of(self.spec)
        if faults.has(current, "kill"):
            self.version.pool.kill()
        if self.door is not None:
            if faults.has(current, "kill"):
                self.door.cut()
            if faults.has(current, "refuse"):
                await self.door.listener.refuse()
            else:
                await self.door.listener.listen()

    async def close(self) -> None:
        """Stop everything of this function."""
        await self._close_door()
        await self.version.pool.close()
        for task in self._draining:
            task.cancel()
        if self._draining:
            await asyncio.wait(self._draining)
