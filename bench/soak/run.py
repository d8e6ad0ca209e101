"""Run the soak: one router as on AWS, three targets, half of the load that they bear, a fault each minute.

Rules
- The requests are those of the failover bench (`bench/failover/load.py`). Their rate is half of what this
  machine bears with all of it, client and targets included, as measured at the start.
- In each minute some clients leave in the middle of a stream, without a word.
- Requests of one minute are sent and judged before those of the next are made, so the client's own memory
  does not grow. Its pauses between two minutes are those of the last replies.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.failover import load, shapes
from bench.failover.load import Outcome
from bench.failover.peers import skyfleet
from bench.failover.peers.base import Ground, Installed, Plan
from bench.failover.scenarios import TARGETS
from bench.failover.topology import Topology, Workspace, apply, invoke_periodically, journal, start_topology
from bench.soak.counted import FILE
from bench.soak.faults import MINUTE_S, fault_of, steps_of
from bench.soak.judge import alarms
from bench.soak.watch import Sample, sample

NAME: Final = "skyfleet"
_TASKS: Final = "tasks"
_EVERY_S: Final = 2.0  # between two samples
_IDLE_S: Final = 12.0  # of samples without load: two runs of the checkers
# Connections of clients and to targets close within some seconds of idleness, on both sides.
_SETTLE_S: Final = 10.0
# What is asked for at once when the load is measured: more only waits.
_AT_ONCE: Final = 48
_SLICES: Final = 3
_SLICE_S: Final = 4.0
_LEAVING: Final = 20  # clients a minute
_LEAVE_S: Final = 5.0  # from the begin of a minute


@dataclass(frozen=True, slots=True)
class Minute:
    """What happened to the requests of one minute."""

    fault: str
    target: str
    sent: int
    lost: int
    lost_unrepeatable: int
    p50_ms: float
    p99_ms: float
    late_ms: float
    failures: dict[str, int]


@dataclass(slots=True)
class Soak:
    """A run. rate: requests per second. idle: samples before and after the load."""

    rate: float
    started: float
    minutes: list[Minute] = field(default_factory=list[Minute])
    samples: list[Sample] = field(default_factory=list[Sample])
    idle: tuple[list[Sample], list[Sample]] = field(default_factory=lambda: ([], []))
    wrong_repeats: int = 0
    alarms: int = 0
    restarts: int = 0
    status: dict[str, Any] = field(default_factory=dict[str, Any])


async def run(seconds: float, workspace: Workspace) -> Soak:
    """Run it. Raises NotStarted, and OSError when the router has ended."""
    workspace.folder.mkdir(parents=True)
    installed = Installed("", lambda ground: _plan(workspace, ground))
    async with start_topology(NAME, installed, workspace) as (topology, plan, addresses):
        router = topology.instances[0].child
        if router is None:
            raise RuntimeError("the router was not started")
        invocations = asyncio.create_task(invoke_periodically(topology.session, plan))
        try:
            rate = await _capacity(addresses) / 2
            print(f"load: {rate:.0f} requests a second", flush=True)
            watched = _Watched(topology.session, addresses[0], router.pid, workspace.folder / _TASKS)
            soak = Soak(rate, time.monotonic())
            await asyncio.sleep(_SETTLE_S)
            soak.idle[0].extend(await watched.idle())
            soak.started = watched.started = time.monotonic()
            unrepeatable = await _load(soak, topology, watched, addresses, int(seconds // MINUTE_S))
            await asyncio.sleep(_SETTLE_S)
            soak.idle[1].extend(await watched.idle())
            soak.status = await watched.status()
        finally:
            invocations.cancel()
        soak.restarts = 0 if router.alive else 1
    soak.wrong_repeats = _repeats(workspace, unrepeatable)
    soak.alarms = alarms((workspace.folder / f"{NAME}-0.log").read_text(errors="replace"))
    return soak


def _plan(workspace: Workspace, ground: Ground) -> Plan:
    """The router with the default policy, its checkers, and the counter of tasks in it."""
    plan = skyfleet.plan(str(workspace.root), {}, ground)
    counted = {"SKYFLEET_APP": "bench.soak.counted:create", FILE: str(workspace.folder / _TASKS)}
    instances = [replace(one, environ={**one.environ, **counted}) for one in plan.instances]
    return replace(plan, instances=tuple(instances))


async def _capacity(addresses: Sequence[str]) -> float:
    """Requests per second that client, router and targets bear together on this machine, now."""
    async with _client(addresses) as client:
        found: list[float] = []
        for number in range(_SLICES):
            requests = iter(load.schedule(-1 - number, 60.0, 1_000.0))
            began = time.monotonic()
            until = began + _SLICE_S
            done = await asyncio.gather(*(_one_by_one(client, requests, until) for _ in range(_AT_ONCE)))
            found.append(sum(done) / (time.monotonic() - began))
        return statistics.median(found)


async def _one_by_one(client: load.Client, requests: Iterator[load.Request], until: float) -> int:
    """Send one request after another until then; returns how many."""
    done = 0
    while time.monotonic() < until:
        await client.run((replace(next(requests), at_s=0.0),), time.monotonic())
        done += 1
    return done


@asynccontextmanager
async def _client(addresses: Sequence[str]) -> AsyncGenerator[load.Client]:
    client = load.Client(addresses)
    try:
        yield client
    finally:
        await client.close()


class _Watched:
    """The router's process. started: when its load began, on the monotonic clock."""

    def __init__(self, session: aiohttp.ClientSession, url: str, pid: int, tasks: Path) -> None:
        self._session, self._url, self._pid, self._tasks = session, url, pid, tasks
        self.started = time.monotonic()

    async def status(self) -> dict[str, Any]:
        async with self._session.get(f"{self._url}/api/status") as reply:
            found: dict[str, Any] = await reply.json()
            return found

    async def look(self) -> Sample:
        status = await self.status()
        return sample(self._pid, self._tasks, status, time.monotonic() - self.started)

    async def idle(self) -> list[Sample]:
        """Samples of some seconds."""
        found: list[Sample] = []
        until = time.monotonic() + _IDLE_S
        while time.monotonic() < until:
            found.append(await self.look())
            await asyncio.sleep(_EVERY_S / 2)
        return found

    async def watch(self, samples: list[Sample]) -> None:
        """Until it is cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                samples.append(await self.look())
            await asyncio.sleep(_EVERY_S)


async def _load(
    soak: Soak, topology: Topology, watched: _Watched, addresses: Sequence[str], minutes: int
) -> set[str]:
    """Send everything; returns the ids that must not run twice."""
    unrepeatable: set[str] = set()
    watching = asyncio.create_task(watched.watch(soak.samples))
    try:
        async with _client(addresses) as client:
            for minute in range(minutes):
                began = soak.started + minute * MINUTE_S
                requests = load.schedule(minute, MINUTE_S, soak.rate)
                unrepeatable |= {one.request_id for one in requests if not one.repeatable}
                work = asyncio.gather(_steps(topology, minute, began), _leavers(topology, addresses, began))
                outcomes = await client.run(requests, began)
                await work
                soak.minutes.append(_judged(minute, outcomes))
                print(_line(minute, soak), flush=True)
                if watching.done():
                    await watching
    finally:
        watching.cancel()
    return unrepeatable


async def _steps(topology: Topology, minute: int, began: float) -> None:
    for step in steps_of(minute):
        await asyncio.sleep(max(0.0, began + step.at_s - time.monotonic()))
        await asyncio.gather(*(apply(topology, step, number) for number in step.numbers))


async def _leavers(topology: Topology, addresses: Sequence[str], began: float) -> None:
    """Clients that read the begin of a stream and close their connection."""
    await asyncio.sleep(max(0.0, began + _LEAVE_S - time.monotonic()))

    async def leave(number: int) -> None:
        request_id = f"left-{began:.0f}-{number}"
        body = shapes.request_body(request_id, stream=True, repeatable=False)
        timeout = aiohttp.ClientTimeout(total=load.PATIENCE_S)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            url = addresses[0] + shapes.PATH
            async with topology.session.post(url, json=body, timeout=timeout) as reply:
                await reply.content.readany()
                reply.close()

    await asyncio.gather(*(leave(number) for number in range(_LEAVING)))


def _judged(minute: int, outcomes: Sequence[Outcome]) -> Minute:
    fault, target = fault_of(minute)
    bad = [one for one in outcomes if one.failure]
    good = sorted(one.latency_s * 1e3 for one in outcomes if not one.failure) or [0.0]
    return Minute(
        fault.name,
        TARGETS[target],
        len(outcomes),
        sum(one.request.repeatable for one in bad),
        sum(not one.request.repeatable for one in bad),
        round(good[len(good) // 2], 1),
        round(good[min(len(good) - 1, len(good) * 99 // 100)], 1),
        round(max((one.late_s for one in outcomes), default=0.0) * 1e3, 1),
        dict(Counter(one.failure for one in bad if one.request.repeatable)),
    )


def _line(minute: int, soak: Soak) -> str:
    one, last = soak.minutes[-1], soak.samples[-1]
    return (
        f"{minute + 1:3d} {one.fault:9} {one.target:5} sent {one.sent}, lost {one.lost} "
        f"(+{one.lost_unrepeatable} that must not be repeated), p99 {one.p99_ms:.0f} ms, "
        f"{last.rss_mb:.1f} MB, {last.descriptors} descriptors, {last.tasks} tasks"
        f"{f', {one.failures}' if one.failures else ''}"
    )


def _repeats(workspace: Workspace, unrepeatable: set[str]) -> int:
    """Executions beyond the first of requests that must not be repeated."""
    executed: Counter[str] = Counter()
    for number in range(len(TARGETS)):
        with journal(workspace, number).open() as lines:
            for line in lines:
                _, event, request_id = line.split()
                if event == "executed" and (request_id in unrepeatable or request_id.startswith("left-")):
                    executed[request_id] += 1
    return sum(times - 1 for times in executed.values())


def load_average() -> float:
    """Of the machine, over the last minute."""
    return round(os.getloadavg()[0], 1)


def python_version() -> str:
    """Of the interpreter that runs everything."""
    return sys.version.split()[0]
