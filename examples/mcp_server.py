"""An MCP server of the official SDK: tools, a resource, a prompt, progress while a tool runs.

Stateless, since the next request may reach another instance in another cloud. Add `mcp` to
functions/requirements.in and run `make lock`. Clients use https://ROUTER/mcp.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings

LOG = logging.getLogger(__name__)
server = MCPServer("examples", log_level="WARNING")


@server.tool()
def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


@server.tool()
async def count(to: int, context: Context[Any, Any], pause_s: float = 0.1) -> int:
    """Count, and report each number as progress. A client that leaves ends it where its cloud tells."""
    number = 0
    try:
        while number < to:
            number += 1
            await context.report_progress(number, to)
            await asyncio.sleep(pause_s)
    except asyncio.CancelledError:
        LOG.warning("counting to %d was cancelled", to)
        raise
    return number


@server.resource("fleet://clouds")
def clouds() -> str:
    """What a fleet runs on."""
    return "aws, azure, gcp"


@server.prompt()
def question(topic: str) -> str:
    """A question about a topic."""
    return f"What is new about {topic}?"


# The SDK compares Host with the names of this machine by default. Here the signature of the router tells that
# a request came through it.
app = server.streamable_http_app(
    stateless_http=True,
    transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
)
