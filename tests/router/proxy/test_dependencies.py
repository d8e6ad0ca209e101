"""Tests of a model that fails, through a router and three agents: what the client gets and what it costs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import pytest

from functions.app import create
from tests.functions.fake_model import FakeModel, delta
from tests.functions.support import serving
from tests.router.support import Front, closed_url, keys_of, router, served

PLACES = ("aws/r0", "azure/r1", "gcp/r2")
CHAT = {"messages": [{"role": "user", "content": "hi"}]}


@contextlib.asynccontextmanager
async def fleet(*models: str) -> AsyncGenerator[Front, None]:
    """A router over an agent for each of these URLs of a model."""
    async with contextlib.AsyncExitStack() as stack:
        urls: list[str] = []
        for place, model in zip(PLACES, models, strict=False):
            environ = {
                "SKYFLEET_SIGNING_KEYS": keys_of("agent", place),
                "MODEL_BASE_URL": f"{model}/v1",
                "MODEL_NAME": "tiny",
            }
            urls.append(f"http://127.0.0.1:{await stack.enter_async_context(served(create(environ)))}")
        yield await stack.enter_async_context(router(urls))


async def states(front: Front) -> set[str]:
    return {one["state"] for one in (await front.status())["targets"]}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_the_models_refusal_is_one_call_and_no_clouds_fault(status: int) -> None:
    """Of nine requests each is one call of the model, and no target is ejected or in backoff."""
    fake = FakeModel(*[b"{}"] * 50, status=status, fields={"retry-after": "7"})
    with serving(fake) as url:
        async with fleet(url, url, url) as front:
            for count in range(1, 10):
                reply = await front.client.post("/v1/chat/completions", json=CHAT)
                assert reply.status_code == {500: 502}.get(status, status)
                assert reply.headers["retry-after"] == "7"
                assert (reply.headers["x-skyfleet-attempts"], len(fake.asked)) == ("1", count)
            assert await states(front) <= {"healthy", "unknown"}
            assert all(not one["backoff_s"] for one in (await front.status())["targets"])


async def test_a_stream_that_the_model_cuts_is_no_clouds_fault() -> None:
    """The client gets what came and a truthful error."""
    fake = FakeModel(*[[delta(content="half")]] * 50)
    with serving(fake) as url:
        async with fleet(url, url, url) as front:
            for _ in range(9):
                reply = await front.client.post("/v1/chat/completions", json={**CHAT, "stream": True})
                assert '"content":"half"' in reply.text
                assert '"code":"model-failed"' in reply.text
                assert "[DONE]" not in reply.text
            assert await states(front) <= {"healthy", "unknown"}
            assert len(fake.asked) == 9


async def test_a_cloud_that_cannot_reach_the_model_is_replaced_by_one_that_can() -> None:
    """The refused connection costs the client nothing but a round trip."""
    fake = FakeModel(*[{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}] * 50)
    with serving(fake) as url:
        async with fleet(closed_url(), url) as front:
            for _ in range(6):
                reply = await front.client.post("/v1/chat/completions", json=CHAT)
                assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "azure/r1")


async def test_a_model_that_no_cloud_can_reach_is_no_clouds_fault() -> None:
    """What fails alike everywhere ejects no target; the client is told what is wrong."""
    async with fleet(*[closed_url()] * 3) as front:
        for _ in range(9):
            reply = await front.client.post("/v1/chat/completions", json=CHAT)
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "model-unreachable")
            assert reply.headers["x-should-retry"] == "true"
        assert await states(front) <= {"healthy", "unknown"}
