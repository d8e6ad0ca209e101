"""Tests of requests of MCP and A2A through a router whose first target breaks their connection."""

from __future__ import annotations

import json

import pytest

from tests.router.proxy.support import breaks
from tests.router.support import ok, router, upstream

BOTH = {"accept": "application/json, text/event-stream"}
NEW = {"mcp-protocol-version": "2026-07-28"}


@pytest.mark.parametrize(
    ("method", "headers", "asked"),
    [
        ("tools/list", BOTH, 1),
        ("tools/list", {"mcp-protocol-version": "2025-06-18"}, 1),
        ("tools/list", {**NEW, "mcp-method": "tools/list"}, 1),
        ("GetTask", {"a2a-version": "1.0"}, 1),
        ("tools/call", BOTH, 0),
        ("tools/call", {**NEW, "mcp-method": "tools/call", "mcp-name": "pay"}, 0),
        ("tools/call", {**BOTH, "idempotency-key": "k1"}, 1),
        ("SendMessage", {"a2a-version": "1.0"}, 0),
        # Nothing says that it is MCP.
        ("tools/list", {"accept": "*/*"}, 0),
    ],
)
async def test_the_method_says_whether_a_broken_request_goes_elsewhere(
    method: str, headers: dict[str, str], asked: int
) -> None:
    """The first target may have run it."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method}
    async with (
        upstream(breaks) as bad,
        upstream(ok) as good,
        router([bad.url, good.url], repeatable=False) as front,
    ):
        # Keyed requests go where their key leads, so there the bad one is not always first.
        reply = await front.client.post("/mcp", json=body, headers=headers)
        assert len(good.asked) == asked
        if asked:
            assert reply.status_code == 200
            assert json.loads(good.asked[0].body) == body
        else:
            assert (reply.status_code, reply.json()["error"]["data"]) == (502, {"code": "may-have-run"})
            assert len(bad.asked) == 1


async def test_a_get_or_delete_is_no_matter_of_json_rpc() -> None:
    """Their HTTP method says it already."""
    async with (
        upstream(breaks) as bad,
        upstream(ok) as good,
        router([bad.url, good.url], repeatable=False) as front,
    ):
        reply = await front.client.delete("/mcp", headers={**NEW, "mcp-method": "tools/call"})
        assert reply.status_code == 200
        assert (len(bad.asked), len(good.asked)) == (1, 1)
