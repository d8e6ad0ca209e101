"""Claims about agents whose instances end while requests arrive: nothing is lost, and no target is blamed."""

from __future__ import annotations

import pytest

from tests.router.proxy.support import MARK, PATIENT
from tests.router.support import Peer, Received, Script, alive, ok, router, upstream

REFUSED = MARK + "x-skyfleet-outcome: draining\r\nretry-after: 1\r\nconnection: close\r\n"


def drains(requests: int, *, probes: int = 0) -> Script:
    """Its first instance refuses so many requests, and so many probes; then another one takes its place."""
    left = {"/health": probes, "/invoke": requests}

    async def script(request: Received, peer: Peer) -> None:
        if left[request.target] > 0:
            left[request.target] -= 1
            await peer.reply(503, b'{"status": "draining"}', headers=REFUSED)
            peer.writer.close()
        else:
            await (alive(peer) if request.target == "/health" else ok(request, peer))

    return script


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_request_that_an_ending_instance_refuses_goes_elsewhere(repeatable: bool) -> None:
    """It did not run, whatever it is; and its target is as healthy as before."""
    async with (
        upstream(drains(1)) as one,
        upstream(ok) as other,
        router([one.url, other.url], repeatable=repeatable) as front,
    ):
        reply = await front.client.post("/invoke")
        assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "azure/r1")
        target = await front.target("aws/r0")
        assert (target["state"], target["backoff_s"], target["errors"]) == ("unknown", 0.0, 0.0)


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_lone_target_is_asked_again_when_another_instance_is_there(repeatable: bool) -> None:
    """The request waits in the queue as if the connection had been refused."""
    async with (
        upstream(drains(1)) as one,
        router([one.url], policy=PATIENT, repeatable=repeatable) as front,
    ):
        reply = await front.client.post("/invoke")
        assert (reply.status_code, reply.headers["x-skyfleet-attempts"]) == (200, "2")
        assert (await front.status())["attempts"]["failed"] == 0


async def test_a_probe_that_meets_an_ending_instance_is_sent_once_more() -> None:
    """The next connection leads to another instance, which decides."""
    for probes, alive_then in ((1, True), (2, False)):
        async with (
            upstream(drains(0, probes=probes)) as one,
            upstream(ok) as other,
            router([one.url, other.url]) as front,
        ):
            heard: list[bool] = []
            front.app._context.prober.verify("aws/r0", heard.append)  # pyright: ignore[reportPrivateUsage]
            while not heard:
                await front.client.get("/health")
            assert heard == [alive_then]
