"""Tests of the targets of the failover scoreboard, on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from bench.failover import shapes
from bench.failover.agent import Agent
from bench.failover.scenarios import TARGETS
from bench.processes import free_port

# Of the bench alone, and with sockets.
pytestmark = pytest.mark.long


async def replies(folder: Path, *, stream: bool) -> set[bytes]:
    """The distinct bodies with which the targets answer the same request."""
    body = shapes.request_body("7-00001", stream=stream, repeatable=True)
    bodies: set[bytes] = set()
    async with aiohttp.ClientSession() as session:
        for name in TARGETS:
            port = free_port()
            agent = Agent(name, port, folder / name, seed=1)
            agent.listen()
            async with session.post(f"http://127.0.0.1:{port}{shapes.PATH}", json=body) as reply:
                bodies.add(await reply.read())
            agent.set_fault("refuse", 1.0)
    return bodies


@pytest.mark.parametrize("stream", [False, True])
def test_every_target_sends_the_same_bytes(tmp_path: Path, stream: bool) -> None:
    """So another target's reply can continue a broken stream, as docs/benchmarks/failover.md describes."""
    assert len(asyncio.run(replies(tmp_path, stream=stream))) == 1


async def statuses(folder: Path, action: str, ids: list[str]) -> dict[tuple[str, str], int]:
    """The status of each request at each of two targets with this fault, and of their /health."""
    found: dict[tuple[str, str], int] = {}
    async with aiohttp.ClientSession() as session:
        for name in TARGETS[:2]:
            port = free_port()
            agent = Agent(name, port, folder / name, seed=1)
            agent.listen()
            agent.set_fault(action, 1.0)
            for one in ids:
                body = shapes.request_body(one, stream=False, repeatable=True)
                async with session.post(f"http://127.0.0.1:{port}{shapes.PATH}", json=body) as reply:
                    found[name, one] = reply.status
            async with session.get(f"http://127.0.0.1:{port}/health") as reply:
                assert reply.status == 200
            agent.set_fault("refuse", 1.0)
    return found


@pytest.mark.parametrize("action", ["poison", "tenant", "build"])
def test_the_agents_own_errors_leave_health_fine(tmp_path: Path, action: str) -> None:
    """Poison and one client's requests fail at each target; a bad build fails all."""
    ids = [f"7-{number:05d}" for number in range(8)]
    found = asyncio.run(statuses(tmp_path, action, ids))
    for (_, one), status in found.items():
        assert status == (500 if action == "build" or shapes.fails_everywhere(action, one) else 200)
    assert 500 in found.values()
