"""The MCP server and the A2A agent on three clouds, called by the official clients through each router."""

from __future__ import annotations

import time

import anyio
import httpx2
import pytest
import requests
from mcp.shared.exceptions import MCPError

from tests.end_to_end.fleet import Fleet
from tests.end_to_end.gallery import CLOUDS, KEPT
from tests.examples.clients import MODES, a2a_client, cancelled, counted, mcp_client, said, words

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-1"), pytest.mark.timeout(600)]

IN_TURN = {"x-skyfleet-strategy": "round-robin"}
ROUTERS = ("gcp", "aws", "azure")
CALLS = 6


def router_of(fleet: Fleet, cloud: str) -> str:
    """The URL of the router in this cloud."""
    listed = fleet.facts("outputs")["routers"]
    return next(str(one["url"]).rstrip("/") for one in listed if one["cloud"] == cloud)


def clouds_of(seen: list[httpx2.Response]) -> set[str]:
    """The clouds whose agents gave these replies."""
    return {reply.headers.get("x-skyfleet-target", "").partition("/")[0] for reply in seen} - {""}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("router", ROUTERS)
async def test_an_mcp_client_reaches_each_cloud_through_each_router(
    examples: Fleet, router: str, mode: str
) -> None:
    """It lists, reads and calls; the requests of one client go to all clouds, without a session."""
    seen: list[httpx2.Response] = []
    async with mcp_client(router_of(examples, router), mode, headers=IN_TURN, seen=seen) as client:
        for _ in range(3):
            assert len((await client.list_tools(cache_mode="bypass")).tools) == 2
            assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
            assert getattr((await client.read_resource("fleet://clouds")).contents[0], "text", "") != ""
            assert (await client.get_prompt("question", {"topic": "tea"})).messages
            assert await counted(client, 3, 0.01) == [1, 2, 3]
    assert clouds_of(seen) == set(CLOUDS)


@pytest.mark.parametrize("router", ROUTERS)
async def test_progress_streams_and_a_call_can_be_cancelled(examples: Fleet, router: str) -> None:
    """The first event is here long before the tool's end, from each cloud: three tools take 90 s.

    The router on AWS is not told of a client that left: each call keeps one of its ten instances busy to the
    end of the tool. The next call meets another one, whose turns are its own: one call is made there."""
    seen: list[httpx2.Response] = []
    wanted = 1 if router == "aws" else len(CLOUDS)
    with anyio.fail_after(75):
        async with mcp_client(router_of(examples, router), MODES[0], headers=IN_TURN, seen=seen) as client:
            for _ in range(CALLS):
                await cancelled(client, 300)
                if len(clouds_of(seen)) >= wanted:
                    return
                await anyio.to_thread.run_sync(examples.wait_until_healthy)
    pytest.fail(f"{CALLS} calls reached {sorted(clouds_of(seen))}")


async def test_a_cancelled_tool_ends_where_its_cloud_tells(examples: Fleet) -> None:
    """AWS tells a function nothing of a client that left."""
    seen: list[httpx2.Response] = []
    async with mcp_client(router_of(examples, "gcp"), MODES[0], headers=IN_TURN, seen=seen) as client:
        while clouds_of(seen) != set(CLOUDS):
            await cancelled(client, 301)
    text, until = "counting to 301 was cancelled", time.monotonic() + 60
    told: set[str] = set()
    while not told >= {"azure", "gcp"}:
        assert time.monotonic() < until, f"only {told} cancelled the tool"
        lines = examples.run("logs", "--role", "agent").splitlines()
        told = {line.partition("/")[0] for line in lines if text in line}
    assert told == {"azure", "gcp"}


@pytest.mark.parametrize("router", ROUTERS)
def test_the_card_of_each_clouds_agent_leads_to_the_router_that_was_asked(
    examples: Fleet, router: str
) -> None:
    """The SDK made it with a URL of a development machine."""
    url = router_of(examples, router)
    cards: dict[str, str] = {}
    for _ in range(6):
        reply = requests.get(f"{url}/.well-known/agent-card.json", headers=IN_TURN, timeout=60)
        cloud = reply.headers["x-skyfleet-target"].partition("/")[0]
        cards[cloud] = reply.json()["supportedInterfaces"][0]["url"]
    assert cards == dict.fromkeys(CLOUDS, f"{url}/a2a")


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("streaming", [True, False])
async def test_an_a2a_client_talks_to_each_cloud(examples: Fleet, router: str, streaming: bool) -> None:
    """From the card on; streamed, each word is an event."""
    async with a2a_client(router_of(examples, router), streaming=streaming, headers=IN_TURN) as client:
        for _ in range(3):
            assert words(await said(client, "one two three")) == ["three", "two", "one"]


@pytest.mark.parametrize("router", ROUTERS)
def test_the_metadata_name_the_resource_as_the_client_does(examples: Fleet, router: str) -> None:
    """The SDK made them with a URL of a development machine."""
    url = router_of(examples, router)
    found = requests.get(f"{url}/.well-known/oauth-protected-resource/mcp", timeout=60).json()
    assert found["resource"] == f"{url}/mcp"
    assert found["authorization_servers"] == ["https://login.example.com/"]


async def test_a_session_in_one_instance_is_told_at_deployment_and_at_its_beginning(examples: Fleet) -> None:
    """The line of the agent, then the words of the error."""
    assert f"MCP sessions that live in one instance ({KEPT})" in examples.gallery
    with pytest.RaisesGroup(pytest.RaisesExc(MCPError, match="stateless_http=True"), flatten_subgroups=True):
        async with mcp_client(f"{examples.url}/kept", "legacy"):
            pass


async def test_a_lost_cloud_fails_no_read(examples: Fleet) -> None:
    """A function dies with its requests; lists are sent elsewhere, and their client sees nothing of it."""
    async with mcp_client(router_of(examples, "gcp"), MODES[0], headers=IN_TURN) as client:
        await client.list_tools(cache_mode="bypass")
        examples.inject("aws", "kill")
        try:
            for _ in range(12):
                assert len((await client.list_tools(cache_mode="bypass")).tools) == 2
        finally:
            examples.heal()
            examples.wait_until_healthy()
