"""One router through one row: start everything, send the load, break and heal on time, read the journals.

Rules
- Targets and router are new for every run, so nothing is carried over.
- Every process ends with the run, with an interrupted bench and with a killed bench (`bench/processes.py`).
- The load does not wait for a fault: `late_ms` says how late it came.
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
from bench.failover.peers.base import Ground, Installed, Plan, Process
from bench.failover.rows import TARGETS, Row, Step
from bench.processes import Child, Command, Processes, free_port, tail

SEED: Final = 4
# LiteLLM imports for six seconds on a quiet machine.
_START_S: Final = 90.0
# Some routers load half of their code with the first requests. These are not part of the row, and too few to
# learn a target's latency from.
_WARM_UP_S: Final = 3.0
_WARM_UP_RATE: Final = 10.0
_POLL_S: Final = 0.05


class NotStarted(Exception):
    """A process did not become ready; the message has the end of its output."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What all runs share. folder: for this run alone."""

    processes: Processes
    root: Path
    folder: Path
    path: str


@dataclass(slots=True)
class _Part:
    """A process that may be killed and started again."""

    name: str
    process: Process
    child: Child | None = None


@dataclass(slots=True)
class _World:
    """The running row."""

    stage: Stage
    session: aiohttp.ClientSession
    targets: list[_Part] = field(default_factory=list[_Part])
    controls: list[str] = field(default_factory=list[str])
    instances: list[_Part] = field(default_factory=list[_Part])
    helpers: list[_Part] = field(default_factory=list[_Part])
    late_s: float = 0.0


async def run(row: Row, name: str, installed: Installed, stage: Stage) -> dict[str, Any]:
    """Measure one router in one row: its line of the scoreboard."""
    stage.folder.mkdir(parents=True)
    began = time.monotonic()
    async with _world(row, name, installed, stage) as (world, plan, addresses):
        ready_s = time.monotonic() - began
        beats = asyncio.create_task(_beat(world.session, plan))
        client = load.Client(addresses)
        try:
            await client.run(load.plan(0, _WARM_UP_S, _WARM_UP_RATE), time.monotonic())
            started = time.monotonic() + 0.1
            steps = asyncio.create_task(_steps(world, row.steps, started))
            outcomes = await client.run(load.plan(SEED, row.end_s), started)
            await steps
        finally:
            beats.cancel()
            await client.close()
    notes = [
        note
        for number in range(len(TARGETS))
        for note in scoring.parse_journal(_journal(stage, number).read_text(), number, started)
    ]
    said = [json.dumps(asdict(outcome)) for outcome in outcomes]
    (stage.folder / "outcomes.jsonl").write_text("\n".join(said))  # kept by --keep
    line = scoring.score(row, name, outcomes, notes)
    return {**line, "late_ms": round(1e3 * world.late_s, 1), "ready_s": round(ready_s, 1)}


def _journal(stage: Stage, number: int) -> Path:
    return stage.folder / f"{TARGETS[number]}.journal"


@asynccontextmanager
async def _world(
    row: Row, name: str, installed: Installed, stage: Stage
) -> AsyncGenerator[tuple[_World, Plan, list[str]]]:
    ports = [free_port() for _ in range(2 * len(TARGETS) + 2 + len(TARGETS))]
    targets, controls, rest = ports[:3], ports[3:6], ports[6:]
    instances = rest[: 2 if row.routers else 1]
    plan = installed.plan(Ground(stage.folder, tuple(instances), tuple(targets), tuple(rest[2:])))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        world = _World(stage, session)
        for number, target in enumerate(TARGETS):
            control = f"http://127.0.0.1:{controls[number]}/fault"
            process = _agent(target, targets[number], controls[number], _journal(stage, number), control)
            world.targets.append(_Part(target, process))
            world.controls.append(control)
        world.instances = [_Part(f"{name}-{n}", process) for n, process in enumerate(plan.instances)]
        world.helpers = [_Part(f"{name}-helper-{n}", process) for n, process in enumerate(plan.helpers)]
        parts = [*world.targets, *world.instances, *world.helpers]
        try:
            await _start(world, world.targets)
            await _start(world, [*world.instances, *world.helpers])
            yield world, plan, [f"http://127.0.0.1:{port}" for port in instances]
        finally:
            children = [part.child for part in parts if part.child is not None]
            await asyncio.gather(*(stage.processes.stop(child) for child in children))


def _agent(name: str, port: int, control_port: int, journal: Path, control: str) -> Process:
    argv = (sys.executable, "-m", "bench.failover.agent", name, str(port), str(control_port), str(journal))
    return Process((*argv, str(SEED)), control)


async def _start(world: _World, parts: Sequence[_Part]) -> None:
    await asyncio.gather(*(_spawn(world, part) for part in parts))
    await asyncio.gather(*(_ready(world, part) for part in parts))


async def _spawn(world: _World, part: _Part, *more: str) -> None:
    stage = world.stage
    environ = {
        "PATH": stage.path,
        "HOME": str(stage.folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(stage.root),
        **part.process.environ,
    }
    if part.child is not None:
        await stage.processes.stop(part.child)
    log = stage.folder / f"{part.name}.log"
    part.child = await stage.processes.spawn(Command((*part.process.argv, *more), stage.folder, environ, log))


async def _ready(world: _World, part: _Part) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _START_S:
        if part.child is None or not part.child.alive:
            break
        with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=2)
            async with world.session.get(part.process.ready_url, timeout=timeout) as reply:
                if reply.status < 500:
                    return
        await asyncio.sleep(_POLL_S)
    said = tail(world.stage.folder / f"{part.name}.log")
    raise NotStarted(f"{part.name} did not become ready within {_START_S:g} s or ended; its output: {said}")


async def _beat(session: aiohttp.ClientSession, plan: Plan) -> None:
    """What a scheduler does: call, and not wait for the end of the call before."""
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            for url in plan.beats:
                task = asyncio.create_task(_post(session, url))
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(plan.beat_s)
    finally:
        for task in running:
            task.cancel()


async def _post(session: aiohttp.ClientSession, url: str) -> None:
    with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
        async with session.post(url, json={}) as reply:
            await reply.read()


async def _steps(world: _World, steps: Sequence[Step], started: float) -> None:
    for step in steps:
        await asyncio.sleep(max(0.0, started + step.at_s - time.monotonic()))
        await asyncio.gather(*(_do(world, step, number) for number in step.numbers))
        world.late_s = max(world.late_s, time.monotonic() - started - step.at_s)


async def _do(world: _World, step: Step, number: int) -> None:
    part = (world.instances if step.routers else world.targets)[number]
    if step.action == "kill" and part.child is not None:
        part.child.kill()
    elif step.action == "start":
        await _spawn(world, part, *(() if step.routers else ("closed",)))
    else:
        order = {"action": step.action, "amount": step.amount}
        async with world.session.put(world.controls[number], json=order) as reply:
            reply.raise_for_status()
