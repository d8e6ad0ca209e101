"""The official client finds its way to a token through a router: challenge, metadata, token, call."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.examples.support import behind_a_router
from tests.functions.protocols.servers import TOKEN
from tests.router.support import API_KEY, served


class Memory:
    """A token storage of the SDK."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def authorization_server(asked: list[dict[str, Any]]) -> Starlette:
    """Metadata, and a token for each request; it notes what it was asked for."""

    async def metadata(request: Request) -> JSONResponse:
        issuer = str(request.base_url).rstrip("/")
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "response_types_supported": ["code"],
            }
        )

    async def token(request: Request) -> JSONResponse:
        asked.append(dict(await request.form()))
        return JSONResponse({"access_token": TOKEN, "token_type": "Bearer"})

    return Starlette(
        routes=[
            Route("/.well-known/oauth-authorization-server", metadata),
            Route("/token", token, methods=["POST"]),
        ]
    )


async def test_a_client_gets_a_token_for_the_url_that_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API key goes with every request, and the token into `authorization`."""
    asked: list[dict[str, Any]] = []

    async def with_key(request: httpx2.Request) -> None:
        request.headers["x-api-key"] = API_KEY

    async with served(authorization_server(asked)) as port:
        issuer = f"http://127.0.0.1:{port}"
        monkeypatch.setenv("TEST_ISSUER", issuer)
        async with behind_a_router("tests.functions.protocols.servers:oauth", keyed=True) as url:
            provider = ClientCredentialsOAuthProvider(f"{url}/mcp", Memory(), "c1", "secret", issuer=issuer)
            http = httpx2.AsyncClient(auth=provider, event_hooks={"request": [with_key]}, trust_env=False)
            transport = streamable_http_client(f"{url}/mcp", http_client=http)
            async with http, Client(transport, mode="2026-07-28") as client:
                assert (await client.list_tools()).tools == []
    assert [one["resource"] for one in asked] == [f"{url}/mcp"]
