"""Run one router in one scenario: start all processes, send the load, apply the steps, read the journals.

Rules
- Targets and router are new processes in every run.
- All processes end with the run, and also when the bench is interrupted or killed (`bench/processes.py`).
- The load does not wait for the steps; `late_ms` is the greatest delay of a step.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.failover import load, scoring
from bench.failover.goals import REPEATABLE
from bench.failover.peers.base import Ground, Installed, Plan, Process
from bench.failover.scenarios import TARGETS, Scenario, Step
from bench.processes import Child, Command, Processes, free_port, tail

SEED: Final = 4
# LiteLLM imports for 6 s on an idle machine.
_START_S: Final = 90.0
# Some routers load half of their code with the first requests. The warm-up is not part of the scenario, and
# too short to learn a target's latency from.
_WARM_UP_S: Final = 3.0
_WARM_UP_RATE: Final = 10.0
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
class _Restartable:
    """A process that a step may kill and start again."""

    name: str
    process: Process
    child: Child | None = None


@dataclass(slots=True)
class _Topology:
    """The processes of a run.

    controls: URLs that set the faults of the targets. late_s: greatest delay of a step.
    """

    workspace: Workspace
    session: aiohttp.ClientSession
    targets: list[_Restartable] = field(default_factory=list[_Restartable])
    controls: list[str] = field(default_factory=list[str])
    instances: list[_Restartable] = field(default_factory=list[_Restartable])
    helpers: list[_Restartable] = field(default_factory=list[_Restartable])
    late_s: float = 0.0


async def run(scenario: Scenario, name: str, installed: Installed, workspace: Workspace) -> dict[str, Any]:
    """Measure one router in one scenario; returns its entry.

    Raises NotStarted when a process does not get ready.
    """
    workspace.folder.mkdir(parents=True)
    began = time.monotonic()
    async with _start_topology(scenario, name, installed, workspace) as (topology, plan, addresses):
        ready_s = time.monotonic() - began
        invocations = asyncio.create_task(_invoke_periodically(topology.session, plan))
        client = load.Client(addresses)
        try:
            await client.run(load.schedule(0, _WARM_UP_S, _WARM_UP_RATE), time.monotonic())
            started = time.monotonic() + 0.1
            steps = asyncio.create_task(_steps(topology, scenario.steps, started))
            outcomes = await client.run(load.schedule(SEED, scenario.end_s), started)
            await steps
        finally:
            invocations.cancel()
            await client.close()
    records = [
        record
        for number in range(len(TARGETS))
        for record in scoring.parse_journal(_journal(workspace, number).read_text(), number, started)
    ]
    texts = [json.dumps(asdict(outcome)) for outcome in outcomes]
    (workspace.folder / "outcomes.jsonl").write_text("\n".join(texts))
    entry = scoring.score(scenario, name, outcomes, records, declared=name == REPEATABLE)
    return {**entry, "late_ms": round(1e3 * topology.late_s, 1), "ready_s": round(ready_s, 1)}


def _journal(workspace: Workspace, number: int) -> Path:
    return workspace.folder / f"{TARGETS[number]}.journal"


@asynccontextmanager
async def _start_topology(
    scenario: Scenario, name: str, installed: Installed, workspace: Workspace
) -> AsyncGenerator[tuple[_Topology, Plan, list[str]]]:
    ports = [free_port() for _ in range(2 * len(TARGETS) + 2 + len(TARGETS))]
    targets, controls, rest = ports[:3], ports[3:6], ports[6:]
    instances = rest[: 2 if scenario.routers else 1]
    plan = installed.plan(Ground(workspace.folder, tuple(instances), tuple(targets), tuple(rest[2:])))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        topology = _Topology(workspace, session)
        for number, target in enumerate(TARGETS):
            control = f"http://127.0.0.1:{controls[number]}/fault"
            process = _agent(target, targets[number], controls[number], _journal(workspace, number), control)
            topology.targets.append(_Restartable(target, process))
            topology.controls.append(control)
        topology.instances = [
            _Restartable(f"{name}-{n}", process) for n, process in enumerate(plan.instances)
        ]
        topology.helpers = [
            _Restartable(f"{name}-helper-{n}", process) for n, process in enumerate(plan.helpers)
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


async def _start(topology: _Topology, parts: Sequence[_Restartable]) -> None:
    await asyncio.gather(*(_spawn(topology, part) for part in parts))
    await asyncio.gather(*(_ready(topology, part) for part in parts))


async def _spawn(topology: _Topology, part: _Restartable, *more: str) -> None:
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


async def _ready(topology: _Topology, part: _Restartable) -> None:
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


async def _invoke_periodically(session: aiohttp.ClientSession, plan: Plan) -> None:
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


async def _steps(topology: _Topology, steps: Sequence[Step], started: float) -> None:
    for step in steps:
        await asyncio.sleep(max(0.0, started + step.at_s - time.monotonic()))
        await asyncio.gather(*(_do(topology, step, number) for number in step.numbers))
        topology.late_s = max(topology.late_s, time.monotonic() - started - step.at_s)


async def _do(topology: _Topology, step: Step, number: int) -> None:
    part = (topology.instances if step.routers else topology.targets)[number]
    if step.action == "kill" and part.child is not None:
        part.child.kill()
    elif step.action == "start":
        await _spawn(topology, part, *(() if step.routers else ("closed",)))
    else:
        fault = {"action": step.action, "amount": step.amount}
        async with topology.session.put(topology.controls[number], json=fault) as reply:
            reply.raise_for_status()
