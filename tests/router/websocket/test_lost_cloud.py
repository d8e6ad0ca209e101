"""200 WebSockets, 20 messages a second, and a cloud that is killed: no answer is lost without being told."""

from __future__ import annotations

import asyncio

import pytest

from tests.router.support import Peer, Received, ok, upstream
from tests.router.websocket.load import load
from tests.router.websocket.support import router

SOCKETS, MESSAGES, PACE_S = 200, 120, 0.05
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Agent:
    """A script: streams of four events, until it is killed. cut: how many of its streams that ended. refused:
    how many came after that."""

    def __init__(self) -> None:
        self.killed = False
        self.cut = self.refused = 0

    async def __call__(self, request: Received, peer: Peer) -> None:
        if self.killed:
            self.refused += request.target != "/health"
            peer.reset()
            return
        if request.target == "/health":
            await ok(request, peer)
            return
        await peer.send(HEAD)
        for word in ("a", "b", "c", "d"):
            event = f'data: {{"text": "{word}"}}\n\n'
            await peer.send(f"{len(event):x}\r\n{event}\r\n".encode())
            await asyncio.sleep(0.05)
            if self.killed:
                self.cut += 1
                peer.reset()
                return
        await peer.send(b"0\r\n\r\n")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_killed_cloud_loses_no_answer_without_being_told(repeatable: bool) -> None:
    """Streams that run there go on elsewhere, since all agents reply alike. Where they must not be repeated,
    they end with an error, and all others are complete."""
    first, second, third = Agent(), Agent(), Agent()

    async def kill() -> None:
        first.killed = True

    async with (
        upstream(first) as one,
        upstream(second) as two,
        upstream(third) as three,
        router(
            [one.url, two.url, three.url], repeatable=repeatable, SKYFLEET_STRATEGY="round-robin"
        ) as front,
    ):
        url = f"ws://127.0.0.1:{front.port}/ws"
        found = await load([url] * SOCKETS, MESSAGES, PACE_S, kill)
    assert found.ends.total() == MESSAGES
    assert found.targets.keys() >= {"aws/r0", "azure/r1", "gcp/r2"}
    if repeatable:
        assert found.ends == {"complete": MESSAGES}
    else:
        told = {end for end in found.ends if end != "complete"}
        assert MESSAGES - found.ends["complete"] <= first.cut + first.refused
        assert first.refused <= 10
        assert all(end.startswith(("error ", "status ")) for end in told)
