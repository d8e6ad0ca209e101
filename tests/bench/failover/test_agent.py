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
