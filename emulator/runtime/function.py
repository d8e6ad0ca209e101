"""One deployed function: its ingress, the serving version, and the change to the next version.

A new version serves after it was built (and started, where the cloud does so during a deployment). Until
then, and
if it fails, the old one serves. The exception is new settings for the same package on Azure, see
`takes_unstarted`. Active requests end on the version that they began on, except on Azure: by default
("Recreate") an update of a Flex Consumption app terminates running executions (learn.microsoft.com/azure/
azure-functions/flex-consumption-site-updates; the other strategy, rolling updates, is a preview). For Cloud
Run see cloud.google.com/run/docs/rollouts-rollbacks-traffic-migration; Lambda ends a sandbox between
invocations.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from emulator.desired.model import Function
from emulator.errors import ApplyError
from emulator.runtime import faults
from emulator.runtime.active_faults import ActiveFaults
from emulator.runtime.aws.backend import LambdaFactory
from emulator.runtime.azure.instance import AzureFactory
from emulator.runtime.context import HostContext
from emulator.runtime.errors import InstanceError, SetupError
from emulator.runtime.gcp.instance import CloudRunFactory
from emulator.runtime.ingress.ingress import Backend, Ingress
from emulator.runtime.instances.packages import BadPackage
from emulator.runtime.instances.pool import Pool, Size
from emulator.runtime.instances.processes import Log
from emulator.runtime.limits import LIMITS, MOST_INSTANCES
from emulator.runtime.types import Instance, InstanceFactory, Outcome, Timer

DRAIN_S = 30.0  # for active requests when a new version serves; then they are cut


def version(spec: Function) -> tuple[object, ...]:
    """Everything that an instance is made of: a difference requires a new version."""
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
    """Whether the cloud changes to `new` even if it does not start.

    App Service stores app settings and restarts the app in any case; only a deployment of code is checked. A
    program
    that changes both sends the settings first. Refusing them because the old code cannot start with them
    would block
    the new code.
    """
    return new.cloud == "azure" and old.package_hash == new.package_hash


def factory(spec: Function, context: HostContext) -> InstanceFactory:
    """The instances of the function's cloud."""
    match spec.cloud:
        case "aws":
            return LambdaFactory(spec, context)
        case "azure":
            return AzureFactory(spec, context)
        case "gcp":
            return CloudRunFactory(spec, context)


class Version:
    """One package with one environment, and its instances."""

    def __init__(
        self, spec: Function, context: HostContext, active_faults: ActiveFaults, idle_s: float
    ) -> None:
        self.spec = spec
        self._factory = factory(spec, context)
        self._active_faults = active_faults
        self._built = False
        self._building = asyncio.Lock()
        self.pool = Pool(self._start, size(spec, idle_s))

    async def bring_up(self) -> tuple[Timer, ...]:
        """Build and start as the cloud does in a deployment. Returns the timers in the code. Raises
        ApplyError.
        """
        try:
            await self._build()
            if self._factory.starts_at_deploy:
                self.pool.starts += 1
                self.pool.add(await self._factory.start())
        except InstanceError as failure:
            raise ApplyError(self.spec.key, failure.detail) from failure
        except (BadPackage, SetupError) as error:
            raise ApplyError(self.spec.key, str(error)) from error
        return await self._factory.timers()

    async def _build(self) -> None:
        async with self._building:
            if not self._built:
                await self._factory.build()
                self._built = True

    async def _start(self) -> Instance:
        current = self._active_faults.of(self.spec)
        if faults.has(current, "kill"):
            raise InstanceError("unavailable", "by an injected fault")
        try:
            await self._build()
        except (BadPackage, SetupError) as error:
            raise InstanceError("unstarted", str(error)) from error
        await asyncio.sleep(faults.amount(current, "cold"))
        instance = await self._factory.start()
        if faults.has(self._active_faults.of(self.spec), "kill"):
            await instance.stop()
            raise InstanceError("unavailable", "by an injected fault")
        return instance


def size(spec: Function, idle_s: float) -> Size:
    """The pool's size for a function."""
    concurrency = 1 if spec.cloud == "aws" else max(1, spec.concurrency)
    most = min(spec.max_instances, MOST_INSTANCES) if spec.max_instances > 0 else MOST_INSTANCES
    return Size(concurrency, most, LIMITS[spec.cloud].queue_s, idle_s)


class FunctionHost:
    """One function."""

    def __init__(
        self,
        spec: Function,
        context: HostContext,
        active_faults: ActiveFaults,
        draw: Callable[[], float],
        idle_s: float,
    ) -> None:
        self.spec = spec
        self._context = context
        self._active_faults = active_faults
        self._draw = draw
        self._idle_s = idle_s
        self.version = Version(spec, context, active_faults, idle_s)
        self.ingress: Ingress | None = None
        self.timers: tuple[Timer, ...] = ()
        self._draining: set[asyncio.Task[None]] = set()

    @property
    def log(self) -> Log:
        """The function's log."""
        return self._context.log(self.spec.key)

    async def deploy(self) -> None:
        """First deployment: start the version, then open the ingress. Raises ApplyError or PortTaken."""
        try:
            self.timers = await self.version.bring_up()
            await self.open_ingress()
        except BaseException:
            await self.close()
            raise

    async def update(self, spec: Function) -> None:
        """Change to `spec`. Raises ApplyError and keeps the old version when the new one does not start
        (where the cloud checks that).
        """
        if version(spec) != version(self.version.spec):
            following = Version(spec, self._context, self._active_faults, self._idle_s)
            try:
                self.timers = await following.bring_up()
            except BaseException as error:
                if not isinstance(error, ApplyError) or not takes_unstarted(self.version.spec, spec):
                    await following.pool.close()
                    raise
                self.log.say(f"does not start with its new settings: {error.reason}")
            old, self.version = self.version, following
            within_s = 0.0 if spec.cloud == "azure" else min(DRAIN_S, old.spec.timeout_s)
            task = asyncio.create_task(old.pool.drain(within_s))
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)
        moved = spec.port != self.spec.port
        self.spec = spec
        self.version.pool.size = size(spec, self._idle_s)
        if moved or self.ingress is None:
            await self._close_ingress()
            await self.open_ingress()

    async def open_ingress(self) -> None:
        """Listen on the function's port, if it has one."""
        if self.spec.port is not None:
            backend = Backend(lambda: self.spec, self.lease, self._active_faults, self._draw, self.log)
            ingress = Ingress(self.spec.port, backend)
            await ingress.listener.open()
            self.ingress = ingress
            await self.obey_faults()

    async def _close_ingress(self) -> None:
        if self.ingress is not None:
            ingress, self.ingress = self.ingress, None
            await ingress.listener.close()

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Instance]:
        """An instance of the serving version."""
        async with self.version.pool.lease() as instance:
            yield instance

    async def event(self, name: str, payload: bytes) -> Outcome:
        """A call of a scheduler, from inside the cloud: the same faults, no ingress."""
        verdict = faults.decide(self._active_faults.of(self.spec), self._draw)
        try:
            async with asyncio.timeout(self.spec.timeout_s):
                if verdict.swallowed:
                    await self._active_faults.healed(self.spec)
                    return Outcome(False, None, "no answer")
                await asyncio.sleep(verdict.delay_s)
                if verdict.answer is not None:
                    return Outcome(False, None, f"{verdict.answer} (by an injected fault)")
                async with self.lease() as instance:
                    return await instance.event(name, payload)
        except TimeoutError:
            return Outcome(False, None, f"timed out after {self.spec.timeout_s:g} s")
        except InstanceError as failure:
            return Outcome(False, None, str(failure)[:2000])

    async def obey_faults(self) -> None:
        """Make ingress and instances follow the active faults."""
        current = self._active_faults.of(self.spec)
        if faults.has(current, "kill"):
            self.version.pool.kill()
        if self.ingress is not None:
            if faults.has(current, "kill"):
                self.ingress.cut()
            if faults.has(current, "refuse"):
                await self.ingress.listener.refuse()
            else:
                await self.ingress.listener.listen()

    async def close(self) -> None:
        """Stop everything of this function."""
        await self._close_ingress()
        await self.version.pool.close()
        for task in self._draining:
            task.cancel()
        if self._draining:
            await asyncio.wait(self._draining)
