"""MCP servers that give sessions to clients of the older revisions, as the SDK does on its defaults."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from functions.api import stateless

OPEN = TransportSecuritySettings(enable_dns_rebinding_protection=False)


def server() -> MCPServer:
    """A server with one tool."""
    made = MCPServer("sessions", log_level="WARNING")

    @made.tool()
    def add(a: int, b: int) -> int:
        """The sum of two numbers."""
        return a + b

    return made


kept = server().streamable_http_app(transport_security=OPEN)
declared = stateless(server().streamable_http_app(transport_security=OPEN))
