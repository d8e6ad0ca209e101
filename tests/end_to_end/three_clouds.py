"""Agents and routers of the project in the emulated clouds, in this process and without a deployment.

One agent in each cloud, and a router in each over all of them, under the vendors' own runtimes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from emulator.desired.model import CLOUDS, Cloud, Function
from skyfleet import contract
from tests.differential import emulated
from tests.end_to_end import real_agent
from tests.end_to_end.kit import Lab, lab


@dataclass(frozen=True, slots=True)
class World:
    """The emulator, its agents, a router in each cloud over all of them."""

    lab: Lab
    agents: dict[Cloud, Function]
    routers: dict[Cloud, Function]

    def url(self, cloud: Cloud) -> str:
        """The URL of the router in a cloud."""
        return f"http://127.0.0.1:{self.routers[cloud].port}"


@asynccontextmanager
async def three_clouds(folder: Path, source: str, reference: str, **environ: str) -> AsyncGenerator[World]:
    """The running clouds, taken in turn. source: of my_agent.py. reference, environ: of each agent."""
    async with lab(folder) as running:
        # A deployment puts the packages of the lock into the package.
        given = {"PYTHONPATH": str(running.imports), **environ}
        agents: dict[Cloud, Function] = {
            cloud: real_agent.function(running, cloud, source, reference, **given) for cloud in CLOUDS
        }
        targets = json.dumps(
            [
                {
                    "cloud": cloud,
                    "region": real_agent.place(cloud).partition("/")[2],
                    "url": f"http://127.0.0.1:{spec.port}",
                    "weight": 1,
                    "repeatable": True,
                }
                for cloud, spec in agents.items()
            ]
        )
        routers: dict[Cloud, Function] = {}
        for cloud in CLOUDS:
            spec = emulated.router(running, cloud, agents[cloud])
            own = {**spec.environment, contract.TARGETS: targets, contract.STRATEGY: "round-robin"}
            routers[cloud] = replace(
                spec, environment=own, concurrency=contract.INSTANCE_CONCURRENCY, max_instances=8
            )
        agents = {
            cloud: replace(spec, concurrency=1 if cloud == "aws" else 16) for cloud, spec in agents.items()
        }
        await running.deploy(*agents.values(), *routers.values())
        yield World(running, agents, routers)
