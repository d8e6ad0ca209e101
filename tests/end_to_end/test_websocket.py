"""WebSockets in the emulated clouds, under the vendors' own runtimes: on Google they end at the router, and
elsewhere they are refused; a cloud that is killed under 200 of them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emulator.desired.model import Cloud, Function
from tests.end_to_end.test_emulator_faults import inject
from tests.end_to_end.three_clouds import World, three_clouds
from tests.router.websocket.load import load

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("websocket-clouds"), pytest.mark.timeout(300)]

AGENT = """
import asyncio

async def agent(request):
    for word in ("a", "b", "c"):
        await asyncio.sleep(0.1)
        yield word
"""


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    async with three_clouds(tmp_path_factory.mktemp("clouds"), AGENT, "my_agent:agent") as running:
        yield running


def dial(spec: Function) -> connect:
    return connect(f"ws://127.0.0.1:{spec.port}/ws", proxy=None, open_timeout=60, compression=None)


async def test_it_ends_at_the_router_where_the_cloud_carries_it(world: World) -> None:
    """On Google: events of a stream, through the front end and the framework's server."""
    async with dial(world.routers["gcp"]) as ws:
        assert json.loads(await ws.recv())["type"] == "session"
        await ws.send(json.dumps({"type": "request", "id": "1", "path": "/invoke", "body": {"input": "x"}}))
        found = [json.loads(await ws.recv())]
        while found[-1]["type"] not in ("complete", "error"):
            found.append(json.loads(await ws.recv()))
        assert [one["seq"] for one in found] == list(range(1, len(found) + 1))
        assert (found[0]["status"], found[-1]["type"]) == (200, "complete")
        assert found[-2]["event"] == "done"


@pytest.mark.parametrize("cloud", ["aws", "azure"])
async def test_it_is_refused_where_the_cloud_does_not(cloud: Cloud, world: World) -> None:
    """Over HTTP, with words that name what to use."""
    with pytest.raises(InvalidStatus) as caught:
        async with dial(world.routers[cloud]):
            pass
    reply = caught.value.response
    error = json.loads(reply.body)["error"]
    assert (reply.status_code, error["code"]) == (501, "no-websocket")
    assert "router of gcp" in error["message"]


async def test_agents_get_no_websocket(world: World) -> None:
    """The handshake is plain HTTP to them, and lacks a router's signature."""
    with pytest.raises(InvalidStatus) as caught:
        async with dial(world.agents["gcp"]):
            pass
    assert caught.value.response.status_code == 401


async def test_a_lost_cloud_under_200_sockets_loses_no_answer(world: World) -> None:
    """20 messages a second, and the agents of a cloud are killed: every answer is complete, since the agent
    may run twice. The sockets are in several instances of the router."""
    url = f"ws://127.0.0.1:{world.routers['gcp'].port}/ws"
    try:
        found = await load([url] * 200, 200, 0.05, lambda: inject(world.lab, "aws", "kill"))
    finally:
        await world.lab.emulator.set_faults(())
    assert found.ends == {"complete": 200}
    assert found.targets.keys() == {"aws/r0", "azure/r1", "gcp/r2"}
