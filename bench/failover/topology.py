"""The processes of a run: targets, router instances and their helpers; the steps that act on them.

Rules
- All processes end with the run, and also when the bench is interrupted or killed (`bench/processes.py`).
- A step that starts a process does not wait until it is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from bench.failover.peers.base import Ground, Installed, Plan, Process
from bench.failover.scenarios import TARGETS, Step
from bench.processes import Child, Command, Processes, free_port, tail

SEED: Final = 4
# LiteLLM imports for 6 s on an idle machine.
_START_S: Final = 90.0
_POLL_S: Final = 0.05


class NotStarted(Exception):
    """A process did not become ready. The message has the end of its output."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """What a run uses. root: the checkout; folder: files of this run alone; path: PATH of its processes."""

    processes: Processes
    root: Path
    folder: Path
    path: str


@dataclass(slots=True)
class Restartable:
    """A process that a step may kill and start again."""

    name: str
    process: Process
    child: Child | None = None


@dataclass(slots=True)
class Topology:
    """The processes of a run.

    controls: URLs that set the faults of the targets. late_s: greatest delay of a step.
    """

    workspace: Workspace
    session: aiohttp.ClientSession
    targets: list[Restartable] = field(default_factory=list[Restartable])
    controls: list[str] = field(default_factory=list[str])
    instances: list[Restartable] = field(default_factory=list[Restartable])
    helpers: list[Restartable] = field(default_factory=list[Restartable])
    late_s: float = 0.0


def journal(workspace: Workspace, number: int) -> Path:
    """The journal of a target."""
    return workspace.folder / f"{TARGETS[number]}.journal"


@asynccontextmanager
async def start_topology(
    name: str, installed: Installed, workspace: Workspace, *, routers: int = 1
) -> AsyncGenerator[tuple[Topology, Plan, list[str]]]:
    """Start all processes of one router; yields them, its plan and the URLs of its instances. routers: how
    many instances. Raises NotStarted."""
    ports = [free_port() for _ in range(2 * len(TARGETS) + 2 + len(TARGETS))]
    targets, controls, rest = ports[:3], ports[3:6], ports[6:]
    instances = rest[:routers]
    plan = installed.plan(Ground(workspace.folder, tuple(instances), tuple(targets), tuple(rest[2:])))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        topology = Topology(workspace, session)
        for number, target in enumerate(TARGETS):
            control = f"http://127.0.0.1:{controls[number]}/fault"
            process = _agent(target, targets[number], controls[number], journal(workspace, number), control)
            topology.targets.append(Restartable(target, process))
            topology.controls.append(control)
        topology.instances = [Restartable(f"{name}-{n}", process) for n, process in enumerate(plan.instances)]
        topology.helpers = [
            Restartable(f"{name}-helper-{n}", process) for n, process in enumerate(plan.helpers)
        ]
        parts = [*topology.targets, *topology.instances, *topology.helpers]
        try:
            await _start(topology, topology.targets)
            await _start(topology, [*topology.instances, *topology.helpers])
            yield topology, plan, [f"http://127.0.0.1:{port}" for port in instances]
        finally:
            children = [part.child for part in parts if part.child is not None]
            await asyncio.gather(*(workspace.processes.stop(child) for child in children))


def _agent(name: str, port: int, control_port: int, journal: Path, control: str) -> Process:
    argv = (sys.executable, "-m", "bench.failover.agent", name, str(port), str(control_port), str(journal))
    return Process((*argv, str(SEED)), control)


async def _start(topology: Topology, parts: Sequence[Restartable]) -> None:
    await asyncio.gather(*(_spawn(topology, part) for part in parts))
    await asyncio.gather(*(_ready(topology, part) for part in parts))


async def _spawn(topology: Topology, part: Restartable, *more: str) -> None:
    workspace = topology.workspace
    environ = {
        "PATH": workspace.path,
        "HOME": str(workspace.folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(workspace.root),
        **part.process.environ,
    }
    if part.child is not None:
        await workspace.processes.stop(part.child)
    log = workspace.folder / f"{part.name}.log"
    part.child = await workspace.processes.spawn(
        Command((*part.process.argv, *more), workspace.folder, environ, log)
    )


async def _ready(topology: Topology, part: Restartable) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _START_S:
        if part.child is None or not part.child.alive:
            break
        with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=2)
            async with topology.session.get(part.process.ready_url, timeout=timeout) as reply:
                if reply.status < 500:
                    return
        await asyncio.sleep(_POLL_S)
    output = tail(topology.workspace.folder / f"{part.name}.log")
    raise NotStarted(f"{part.name} did not become ready within {_START_S:g} s or ended; its output: {output}")


async def invoke_periodically(session: aiohttp.ClientSession, plan: Plan) -> None:
    """Invoke functions as a scheduler does: at fixed intervals, without waiting for replies."""
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            for url in plan.scheduled_urls:
                task = asyncio.create_task(_post(session, url))
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(plan.interval_s)
    finally:
        for task in running:
            task.cancel()


async def _post(session: aiohttp.ClientSession, url: str) -> None:
    with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
        async with session.post(url, json={}) as reply:
            await reply.read()


async def apply(topology: Topology, step: Step, number: int) -> None:
    """Carry out a step on one of its targets or instances; raises aiohttp.ClientError."""
    part = (topology.instances if step.routers else topology.targets)[number]
    if step.action == "kill" and part.child is not None:
        part.child.kill()
    elif step.action == "start":
        await _spawn(topology, part, *(() if step.routers else ("closed",)))
    else:
        fault = {"action": step.action, "amount": step.amount}
        async with topology.session.put(topology.controls[number], json=fault) as reply:
            reply.raise_for_status()
