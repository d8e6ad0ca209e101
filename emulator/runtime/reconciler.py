"""Makes the running functions equal to a DesiredState, and keeps them so.

`apply` is the only place where functions start, change or stop. A function that does not start is reported
and
changes nothing; an unchanged one is not touched.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emulator.delays import DEFAULT as DEFAULT_DELAYS
from emulator.delays import Delays
from emulator.desired.model import CLOUDS, Cloud, DesiredState, Function
from emulator.errors import ApplyError, PortTaken
from emulator.runtime import faults, schedules
from emulator.runtime.active_faults import ActiveFaults
from emulator.runtime.context import HostContext
from emulator.runtime.faults import Injected
from emulator.runtime.function import FunctionHost, version
from emulator.runtime.instances.interpreter import Interpreter
from emulator.runtime.instances.packages import Packages
from emulator.runtime.instances.processes import Processes
from emulator.runtime.instances.wheels import Wheels
from emulator.runtime.json_document import Document
from emulator.runtime.limits import IDLE_S
from emulator.runtime.ports import Ports
from emulator.runtime.schedules import Schedules
from emulator.runtime.service_port import ServicePort
from emulator.runtime.types import Outcome, Timer
from emulator.services.identity import Identities
from emulator.services.services import Services

log = logging.getLogger(__name__)

MINUTE_S = 60.0
TIDY_S = 60.0  # period of the check of log sizes


@dataclass(frozen=True, slots=True)
class Settings:
    """Paths and limits on this machine. folder: state; logs: of functions; azure_lock: see HostContext."""

    folder: Path
    logs: Path
    interpreter: Interpreter
    wheels: Wheels
    azure_lock: Path
    adapter: Path | None = None
    idle_s: float = IDLE_S
    draw: Callable[[], float] = field(default=random.random)


class Reconciler:
    """The running functions, schedules, buckets and secrets of a desired state."""

    def __init__(self, settings: Settings, ports: Ports, document: Document) -> None:
        self.settings = settings
        self.desired = DesiredState()
        self.hosts: dict[str, FunctionHost] = {}
        self._ports = ports
        self._document = document
        self.active_faults = ActiveFaults(_injected(document))
        self.schedules = Schedules(self._fire, float(document.content.get("minute_s", MINUTE_S)))
        self.delays = Delays(float(document.content.get("delays", DEFAULT_DELAYS)))
        self.identities = Identities()
        self._processes = Processes(settings.folder / "processes.journal")
        self._packages = Packages(settings.folder / "functions")
        self._lock = asyncio.Lock()
        self._service_ports: list[ServicePort] = []
        self._context: HostContext | None = None
        self._tidying: asyncio.Task[None] | None = None

    @property
    def api(self) -> dict[Cloud, str]:
        """Address of each cloud's services."""
        return {cloud: api.address for cloud, api in zip(CLOUDS, self._service_ports, strict=True)}

    async def start(self) -> None:
        """Open the clouds' services and end the processes of an earlier daemon. Raises PortTaken."""
        killed = await self._processes.open()
        if killed:
            log.warning("ended %d processes that an earlier daemon left", len(killed))
        scratch = self.settings.folder / "run"
        _empty(scratch)
        services = Services(self.identities, lambda: self.desired, time.time)
        for cloud in CLOUDS:
            api = ServicePort(cloud, self._ports.named(f"{cloud} services"), services)
            await api.open()
            self._service_ports.append(api)
        self._context = HostContext(
            interpreter=self.settings.interpreter,
            processes=self._processes,
            packages=self._packages,
            wheels=self.settings.wheels,
            identities=self.identities,
            api=self.api,
            logs=self.settings.logs,
            scratch=scratch,
            azure_lock=self.settings.azure_lock,
            adapter=self.settings.adapter,
        )
        self.schedules.start()
        self._tidying = asyncio.create_task(self._tidy())

    async def close(self) -> None:
        """Stop everything; no child process is left."""
        if self._tidying is not None:
            self._tidying.cancel()
        await self.schedules.close()
        await asyncio.gather(*(host.close() for host in self.hosts.values()))
        self.hosts.clear()
        await asyncio.gather(*(api.close() for api in self._service_ports))
        await self._processes.close()

    async def restore(self, desired: DesiredState) -> None:
        """Restore the state before a restart: ingresses open, instances start at their first request.

        Raises PortTaken.
        """
        async with self._lock:
            self.desired = desired
            for spec in desired.functions:
                host = self._host(spec)
                self.hosts[spec.key] = host
                host.timers = self._known_timers(spec)
                await host.open_ingress()
            self._schedule()

    async def apply(self, desired: DesiredState) -> None:
        """Make the running functions equal to `desired`. Raises ApplyError for a function that does not
        start.
        """
        async with self._lock:
            before, self.desired = self.desired, desired
            wanted = {spec.key for spec in desired.functions}
            gone = [self.hosts.pop(key) for key in list(self.hosts) if key not in wanted]
            await asyncio.gather(*(host.close() for host in gone))
            for host in gone:
                log.info("%s is gone", host.spec.key)
            errors = await asyncio.gather(*(self._settle(spec) for spec in desired.functions))
            self._schedule()
            self._forget_packages()
            failed = [error for error in errors if error is not None]
            unchanged = {spec.key for spec in before.functions if spec in desired.functions}
            for error in sorted(failed, key=lambda error: error.key in unchanged):
                raise error

    async def set_faults(self, current: tuple[Injected, ...]) -> None:
        """Replace the active faults."""
        before = {key: self.active_faults.of(host.spec) for key, host in self.hosts.items()}
        self._document.content["faults"] = [
            {"cloud": each.cloud, "scope": each.scope, "fault": str(each.fault)} for each in current
        ]
        self._document.save()
        self.active_faults.change(current)
        for key, host in list(self.hosts.items()):  # not behind a long deployment
            now = self.active_faults.of(host.spec)
            if faults.has(now, "cold") and now != before.get(key):
                host.version.pool.recycle()
            await host.obey_faults()
        if any(faults.has(old, "stale") for old in before.values()):
            try:
                await self.apply(self.desired)  # what a stale cloud has not applied
            except ApplyError as error:
                log.warning("after the stale cloud was healed: %s", error)

    def set_minute(self, minute_s: float) -> None:
        """Set the length of an emulated minute, kept over restarts."""
        self._document.content["minute_s"] = minute_s
        self._document.save()
        self.schedules.set_minute(minute_s)

    def set_delays(self, factor: float) -> None:
        """Set the factor of delays, kept over restarts."""
        self._document.content["delays"] = factor
        self._document.save()
        self.delays.factor = factor

    async def _settle(self, spec: Function) -> ApplyError | None:
        host = self.hosts.get(spec.key)
        if host is not None and (host.spec == spec or faults.has(self.active_faults.of(spec), "stale")):
            return None
        try:
            if host is None:
                host = self._host(spec)
                await host.deploy()
                self.hosts[spec.key] = host
            else:
                await host.update(spec)
        except ApplyError as error:
            return error
        except PortTaken as error:
            return ApplyError(spec.key, str(error))
        log.info("%s is deployed (package %s)", spec.key, spec.package_hash[:12])
        self._remember_timers(host)
        return None

    def _host(self, spec: Function) -> FunctionHost:
        if self._context is None:
            raise RuntimeError("Reconciler.start() comes before functions")
        return FunctionHost(spec, self._context, self.active_faults, self.settings.draw, self.settings.idle_s)

    def _schedule(self) -> None:
        functions = [(host.spec, host.timers) for host in self.hosts.values()]
        self.schedules.update(schedules.entries(self.desired.schedules, functions))

    async def _fire(self, key: str, name: str, payload: bytes) -> Outcome:
        host = self.hosts.get(key)
        return Outcome(False, None, "no such function") if host is None else await host.event(name, payload)

    def _remember_timers(self, host: FunctionHost) -> None:
        """Store an app's timers, so that a restart need not start the app to learn them."""
        if host.spec.cloud == "azure":
            kept = self._document.content.setdefault("timers", {})
            kept[host.spec.key] = [_identity(host.spec), [[each.name, each.schedule] for each in host.timers]]
            self._document.save()

    def _known_timers(self, spec: Function) -> tuple[Timer, ...]:
        identity, timers = self._document.content.get("timers", {}).get(spec.key, ["", []])
        return tuple(Timer(*each) for each in timers) if identity == _identity(spec) else ()

    def _forget_packages(self) -> None:
        used = {spec.package_hash for spec in self.desired.functions}
        self._packages.forget_all_but(used | {host.version.spec.package_hash for host in self.hosts.values()})

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            for host in self.hosts.values():
                host.log.rotate()


def _identity(spec: Function) -> str:
    """Short name of a version, the same after a restart; it reveals no secret."""
    return hashlib.sha256(json.dumps(version(spec), sort_keys=True).encode()).hexdigest()[:24]


def _injected(document: Document) -> tuple[Injected, ...]:
    """Faults that were active when the daemon ended: they stay until they are healed."""
    return tuple(
        Injected(
            faults.parse_cloud(each["cloud"]), faults.parse_scope(each["scope"]), faults.parse(each["fault"])
        )
        for each in document.content.get("faults", [])
    )


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
