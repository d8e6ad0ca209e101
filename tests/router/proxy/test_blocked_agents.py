"""Claims about agents that block their event loop: such an agent is busy and not dead."""

from __future__ import annotations

import asyncio

from functions.app import create
from tests.router.support import QUICK, keys_of, ok, router, served, upstream


async def test_requests_wait_for_an_agent_that_blocks_its_loop() -> None:
    """Its probes are answered, so no request fails, none is sent elsewhere, and the target serves on.

    The last of the requests waits three times as long as a probe may take."""
    environ = {
        "SKYFLEET_SIGNING_KEYS": keys_of("agent", "aws/r0"),
        "SKYFLEET_AGENT": f"{AGENTS}:blocks_a_while",
    }
    async with (
        served(create(environ)) as port,
        upstream(ok) as other,
        router([f"http://127.0.0.1:{port}", other.url], policy=QUICK, repeatable=False) as front,
    ):
        headers = {"x-skyfleet-strategy": "weighted"}
        requests = (front.client.post("/invoke", json={"input": "x"}, headers=headers) for _ in range(15))
        replies = await asyncio.gather(*requests)
        assert [reply.status_code for reply in replies] == [200] * 15
        targets = [reply.headers["x-skyfleet-target"] for reply in replies]
        assert targets.count("aws/r0") >= 8
        assert len(other.asked) == targets.count("azure/r1")
        assert (await front.target("aws/r0"))["state"] in ("healthy", "unknown")


AGENTS = "tests.functions.agents"
