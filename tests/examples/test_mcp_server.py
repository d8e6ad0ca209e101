"""Tests of the MCP server with the official client through a router, in process."""

from __future__ import annotations

import logging

import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from tests.examples.clients import MODES, cancelled, counted, mcp_client
from tests.examples.support import behind_a_router
from tests.router.proxy.support import CHUNKED, EVENTS, breaks, chunk, sends
from tests.router.support import eventually, router, upstream

AGENT = "examples.mcp_server:app"


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_lists_reads_and_calls(mode: str) -> None:
    """In the revision without a handshake, and in those with one."""
    async with behind_a_router(AGENT) as url, mcp_client(url, mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["add", "count"]
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
        read = await client.read_resource("fleet://clouds")
        assert getattr(read.contents[0], "text", None) == "aws, azure, gcp"
        prompt = await client.get_prompt("question", {"topic": "tea"})
        assert getattr(prompt.messages[0].content, "text", None) == "What is new about tea?"


@pytest.mark.parametrize("mode", MODES)
async def test_progress_arrives_while_the_tool_runs(mode: str) -> None:
    """As events of a stream, each number once."""
    seen: list[httpx2.Response] = []
    async with behind_a_router(AGENT) as url, mcp_client(url, mode, seen=seen) as client:
        assert await counted(client, 3, 0.01) == [1, 2, 3]
    kinds = {reply.headers.get("content-type", "").partition(";")[0] for reply in seen}
    assert "text/event-stream" in kinds
    assert all(reply.headers["x-skyfleet-target"] == "aws/r0" for reply in seen)
    assert not any("mcp-session-id" in reply.headers for reply in seen)


async def test_a_cancelled_call_ends_the_tool(caplog: pytest.LogCaptureFixture) -> None:
    """The client closes the stream, which is the signal of the newer revision."""
    caplog.set_level(logging.WARNING)
    async with behind_a_router(AGENT) as url, mcp_client(url, MODES[0]) as client:
        await cancelled(client, 3000)
        await eventually(lambda: "counting to 3000 was cancelled" in caplog.text)


async def test_a_cancelled_call_of_an_older_revision_frees_its_client() -> None:
    """The notification reaches another instance, or a server that keeps nothing; the client goes on."""
    async with behind_a_router(AGENT) as url, mcp_client(url, MODES[1]) as client:
        await cancelled(client, 3000)
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}


async def test_a_client_shows_why_a_call_was_not_repeated() -> None:
    """Its tool may have run in the cloud that broke off."""
    async with (
        upstream(breaks) as up,
        router([up.url], repeatable=False) as front,
        mcp_client(f"http://127.0.0.1:{front.port}", MODES[0]) as client,
    ):
        with pytest.raises(MCPError, match="it may have run there, so it was not sent again"):
            await client.call_tool("add", {"a": 2, "b": 3})
        assert len(up.asked) == 1


PROGRESS = (
    b'event: message\ndata: {"jsonrpc": "2.0", "method": "notifications/progress", '
    b'"params": {"progressToken": 1, "progress": 1}}\n\n'
)


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_shows_that_a_stream_broke_off(mode: str) -> None:
    """The tool may have run to its end. A client of the older revisions begins at another agent."""
    cut = sends(CHUNKED % EVENTS, chunk(PROGRESS), reset=True)
    async with (
        behind_a_router(AGENT) as url,
        upstream(cut) as up,
        router([up.url], repeatable=False) as front,
    ):
        broken = f"http://127.0.0.1:{front.port}/mcp"

        async def call_breaks(request: httpx2.Request) -> None:
            if b"tools/call" in request.content:
                request.url = httpx2.URL(broken)

        async with mcp_client(url, mode, sent=call_breaks) as client:
            with pytest.raises(MCPError, match=r"The reply of aws/r0 broke off: .* is incomplete"):
                await client.call_tool("add", {"a": 2, "b": 3})
        assert len(up.asked) == 1
