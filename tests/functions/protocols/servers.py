"""MCP servers that give sessions to clients of the older revisions, as the SDK does on its defaults."""

from __future__ import annotations

import os

from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette

from functions.api import stateless

TOKEN = "a made-up token"

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


class Tokens(TokenVerifier):
    """Takes one token."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """Whether it is that of the test's authorization server."""
        return AccessToken(token=token, client_id="c1", scopes=[]) if token == TOKEN else None


def guarded(issuer: str) -> Starlette:
    """A server with OAuth, whose URL in the code is that of a development machine."""
    resource = "http://localhost:8000/mcp"
    settings = AuthSettings.model_validate(
        {"issuer_url": issuer, "resource_server_url": resource, "validate_token_resource": False}
    )
    made = MCPServer("guarded", log_level="WARNING", auth=settings, token_verifier=Tokens())
    return made.streamable_http_app(stateless_http=True, transport_security=OPEN)


oauth = guarded(os.environ.get("TEST_ISSUER", "http://localhost:9000"))
