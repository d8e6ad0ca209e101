"""Tests of the A2A agent with the official client through a router, in process."""

from __future__ import annotations

import httpx
import pytest
from a2a.types import GetTaskRequest

from tests.examples.clients import a2a_client, said, words
from tests.examples.support import behind_a_router

AGENT = "examples.a2a_agent:app"
CARD = "/.well-known/agent-card.json"


@pytest.mark.parametrize("public", ["", "https://agents.example.com/team"])
async def test_the_card_has_the_url_that_clients_use(public: str) -> None:
    """The router's own, or the configured one; its length is that of the changed card."""
    async with behind_a_router(AGENT, public) as url, httpx.AsyncClient(trust_env=False) as client:
        reply = await client.get(url + CARD)
        assert [one["url"] for one in reply.json()["supportedInterfaces"]] == [f"{public or url}/a2a"]
        assert "etag" not in reply.headers
        head = await client.head(url + CARD)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(reply.content)))


@pytest.mark.parametrize("streaming", [True, False])
async def test_the_official_client_finds_the_agent_and_gets_its_words(streaming: bool) -> None:
    """From the card at the router's URL; streamed, each word is an event of its own."""
    async with behind_a_router(AGENT) as url, a2a_client(url, streaming=streaming) as client:
        events = await said(client, "one two three")
        assert words(events) == ["three", "two", "one"]
        assert (len(events) > 1) is streaming


async def test_a_task_is_found_in_the_instance_that_made_it() -> None:
    """Here there is one instance only."""
    async with behind_a_router(AGENT) as url, a2a_client(url, streaming=False) as client:
        events = await said(client, "one")
        task = await client.get_task(GetTaskRequest(id=events[0].task.id))
        assert task.id == events[0].task.id
