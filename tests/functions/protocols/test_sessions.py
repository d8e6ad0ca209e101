"""Tests of MCP sessions that live in one instance, with servers of the official SDK and its client."""

from __future__ import annotations

import json
import logging

import pytest
from mcp.shared.exceptions import MCPError

from functions.protocols import sessions
from functions.protocols.replies import Replies
from skyfleet.asgi import Receive, Scope, Send
from tests.asgi import call
from tests.examples.clients import mcp_client
from tests.examples.support import behind_a_router

AGENTS = "tests.functions.protocols.servers"


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, [(b"mcp-session-id", b"a1")], True),
        (202, [(b"Mcp-Session-Id", b"a1")], True),
        (200, [(b"mcp-session-id", b"")], False),
        (404, [(b"mcp-session-id", b"a1")], False),
        (200, [(b"mcp-protocol-version", b"2025-11-25")], False),
    ],
)
def test_a_session_begins_with_its_id_in_a_good_reply(
    status: int, headers: list[tuple[bytes, bytes]], expected: bool
) -> None:
    """An error that names a session begins none."""
    assert sessions.begins(status, headers) is expected


async def test_a_session_in_one_instance_is_refused_with_words(caplog: pytest.LogCaptureFixture) -> None:
    """The official client shows them; the log of the function has them once."""
    async with behind_a_router(f"{AGENTS}:kept") as url:
        for _ in range(2):
            with pytest.RaisesGroup(
                pytest.RaisesExc(MCPError, match="stateless_http=True"), flatten_subgroups=True
            ):
                async with mcp_client(url, "legacy"):
                    pass
    logged = [one for one in caplog.records if one.name == "skyfleet.protocols"]
    assert [one.levelno for one in logged] == [logging.ERROR]


async def test_a_client_of_the_newer_revision_needs_no_session() -> None:
    """The same server serves it."""
    async with behind_a_router(f"{AGENTS}:kept") as url, mcp_client(url, "2026-07-28") as client:
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}


async def test_a_declared_session_reaches_its_client() -> None:
    """Here there is one instance, so its ids are valid in all."""
    async with behind_a_router(f"{AGENTS}:declared") as url, mcp_client(url, "legacy") as client:
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}


async def test_the_refusal_is_an_error_that_no_component_repeats() -> None:
    """The status, JSON-RPC's shape, and fields that tell SDKs and the router."""
    ran: list[str] = []

    async def agent(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"mcp-session-id", b"a1")]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        except OSError:
            ran.append("told that its client is gone")
            raise

    reply = await call(Replies(agent, stateless=False), "POST", "/mcp", body=b"{}")
    assert reply.status == 501
    error = json.loads(reply.body)
    assert (error["jsonrpc"], error["id"], error["error"]["data"]) == (
        "2.0",
        None,
        {"code": "session-in-one-instance"},
    )
    assert (reply.header("x-should-retry"), reply.header("x-skyfleet-outcome")) == ("false", "dependency")
    assert ran == ["told that its client is gone"]
