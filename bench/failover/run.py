"""Run one router in one scenario: start all processes, send the load, apply the steps, read the journals.

Rules
- Targets and router are new processes in every run (`bench/failover/topology.py`).
- The load does not wait for the steps; `late_ms` is the greatest delay of a step.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from bench.failover import load, scoring
from bench.failover.goals import REPEATABLE
from bench.failover.peers.base import Installed
from bench.failover.scenarios import TARGETS, Scenario, Step
from bench.failover.topology import (
    SEED,
    Topology,
    Workspace,
    apply,
    invoke_periodically,
    journal,
    start_topology,
)

# Some routers load half of their code with the first requests. The warm-up is not part of the scenario, and
# too short to learn a target's latency from.
_WARM_UP_S: Final = 3.0
_WARM_UP_RATE: Final = 10.0


async def run(scenario: Scenario, name: str, installed: Installed, workspace: Workspace) -> dict[str, Any]:
    """Measure one router in one scenario; returns its entry.

    Raises NotStarted when a process does not get ready.
    """
    workspace.folder.mkdir(parents=True)
    began, instances = time.monotonic(), 2 if scenario.routers else 1
    async with start_topology(name, installed, workspace, routers=instances) as (topology, plan, addresses):
        ready_s = time.monotonic() - began
        invocations = asyncio.create_task(invoke_periodically(topology.session, plan))
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
        for record in scoring.parse_journal(journal(workspace, number).read_text(), number, started)
    ]
    texts = [json.dumps(asdict(outcome)) for outcome in outcomes]
    (workspace.folder / "outcomes.jsonl").write_text("\n".join(texts))
    entry = scoring.score(scenario, name, outcomes, records, declared=name == REPEATABLE)
    return {**entry, "late_ms": round(1e3 * topology.late_s, 1), "ready_s": round(ready_s, 1)}


async def _steps(topology: Topology, steps: Sequence[Step], started: float) -> None:
    for step in steps:
        await asyncio.sleep(max(0.0, started + step.at_s - time.monotonic()))
        await asyncio.gather(*(apply(topology, step, number) for number in step.numbers))
        topology.late_s = max(topology.late_s, time.monotonic() - started - step.at_s)
