"""The official clients of MCP and A2A, connected to a URL."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

import anyio
import httpx
import httpx2  # the HTTP client of the mcp package
from a2a.client import Client as A2AClient
from a2a.client import ClientConfig, create_client
from a2a.helpers.proto_helpers import new_text_message
from a2a.types import Role, SendMessageRequest, StreamResponse
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

# Revision 2026-07-28, and the handshake of all older ones.
MODES = ("2026-07-28", "legacy")


@contextlib.asynccontextmanager
async def mcp_client(
    url: str,
    mode: str,
    *,
    headers: Mapping[str, str] | None = None,
    seen: list[httpx2.Response] | None = None,
    sent: Callable[[httpx2.Request], Awaitable[None]] | None = None,
) -> AsyncGenerator[Client, None]:
    """An MCP client. headers: of each request. seen: gets the heads of the replies. sent: is called
    with each request."""

    async def note(response: httpx2.Response) -> None:
        if seen is not None:
            seen.append(response)

    hooks: dict[str, list[Callable[..., Awaitable[None]]]] = {"response": [note]}
    if sent is not None:
        hooks["request"] = [sent]
    http = httpx2.AsyncClient(headers=headers, event_hooks=hooks, timeout=60, trust_env=False)
    async with http, Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client:
        yield client


async def counted(client: Client, to: int, pause_s: float) -> list[float]:
    """The progress that a client hears of while the tool `count` runs to its end."""
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    arguments = {"to": to, "pause_s": pause_s}
    result = await client.call_tool("count", arguments, progress_callback=hear)
    assert result.structured_content == {"result": to}
    return heard


async def cancelled(client: Client, to: int) -> None:
    """Call the tool `count`, ten numbers a second, and cancel the call at its first progress."""
    began = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        began.set()

    async def call() -> None:
        await client.call_tool("count", {"to": to, "pause_s": 0.1}, progress_callback=hear)

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await began.wait()
        group.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def a2a_client(
    url: str, *, streaming: bool, headers: Mapping[str, str] | None = None
) -> AsyncGenerator[A2AClient, None]:
    """An A2A client that has read the card at a URL."""
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
        yield await create_client(url, ClientConfig(httpx_client=http, streaming=streaming))


async def said(client: A2AClient, text: str) -> list[StreamResponse]:
    """All that an agent replies to a message."""
    message = new_text_message(text, role=Role.ROLE_USER)
    return [event async for event in client.send_message(SendMessageRequest(message=message))]


def words(events: list[StreamResponse]) -> list[str]:
    """The words of the artifacts of a reply, streamed or whole."""
    parts = [part.text for event in events for part in event.artifact_update.artifact.parts]
    return parts + [
        part.text for event in events for artifact in event.task.artifacts for part in artifact.parts
    ]
