"""Claims about silence: whose it is, and what it says of a target."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.router.proxy.support import JSON, chunk
from tests.router.support import CALM, QUICK, Front, Peer, Received, alive, ok, router, swallows, upstream

MARK = b"endpoint-load-metrics: TEXT application_utilization=0\r\n"


def out(front: Front) -> list[str]:
    return front.app._context.balancer.out()  # pyright: ignore[reportPrivateUsage]


async def stops(request: Received, peer: Peer) -> None:
    """A script: a good head, a part of the body, and nothing more."""
    if request.target == "/health":
        await alive(peer)
        return
    await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n" + MARK + b"\r\nhalf")
    await peer.until_closed()


async def thinks(request: Received, peer: Peer) -> None:
    """A script: a good reply after a moment."""
    if request.target == "/health":
        await alive(peer)
        return
    await asyncio.sleep(0.02)
    await peer.reply(200, headers=MARK.decode())


async def test_a_target_whose_small_replies_stop_half_way_is_found_out() -> None:
    """As where large packets are lost: its heads come soon and its /health is fine, so it looks fastest."""
    async with (
        upstream(stops) as bad,
        upstream(thinks) as good,
        router([bad.url, good.url], policy=QUICK, SKYFLEET_STRATEGY="adaptive") as front,
    ):
        for _ in range(20):
            replies = await asyncio.gather(*(front.client.get("/x") for _ in range(3)))
            assert [reply.status_code for reply in replies] == [200, 200, 200]
        assert len(bad.asked) < 20


async def test_it_is_found_by_clients_that_wait_for_less_than_a_stall_as_well() -> None:
    """Each of them gives up at a begun reply, which is no sign that its target serves.

    It gets a small part of 60 requests, of which half would be its share. How small depends on how fast the
    other is on a loaded machine."""
    async with (
        upstream(stops) as bad,
        upstream(thinks) as good,
        router([bad.url, good.url], SKYFLEET_STRATEGY="adaptive") as front,
    ):
        bad.script = thinks
        for _ in range(40):
            assert (await front.client.get("/x")).status_code == 200
        bad.script, hasty = stops, {"x-skyfleet-timeout-ms": "1200"}
        found, seen = 0, list[int]()
        for turn in range(30):
            if turn == 15:
                found = len(bad.asked)
            replies = await asyncio.gather(*(front.client.get("/x", headers=hasty) for _ in range(4)))
            seen += [reply.status_code for reply in replies]
        assert set(seen) <= {200, 504}
        assert len(bad.asked) - found <= 15


async def test_the_time_of_a_stored_reply_does_not_count() -> None:
    """It comes from an earlier run."""

    async def kept(request: Received, peer: Peer) -> None:
        await peer.reply(200, headers=f"idempotency-replayed: true\r\n{MARK.decode()}")

    async with upstream(kept) as one, router([one.url]) as front:
        for _ in range(3):
            assert (await front.client.post("/x")).status_code == 200
        traffic = front.app._context.balancer.traffic  # pyright: ignore[reportPrivateUsage]
        assert traffic["aws/r0"].samples == 0


async def test_a_document_that_is_still_being_made_is_waited_for() -> None:
    """Its length is not known yet, so nothing of it was lost: it must not run a second time."""

    async def thinks(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        await peer.send(JSON + chunk(b'{"output": '))
        await asyncio.sleep(1.0)
        await peer.send(chunk(b'"thought"}') + b"0\r\n\r\n")

    async with (
        upstream(thinks) as slow,
        upstream(ok) as other,
        router([slow.url, other.url], policy=QUICK) as front,
    ):
        reply = await front.client.get("/x")
        assert (reply.json(), reply.headers["x-skyfleet-attempts"]) == ({"output": "thought"}, "1")
        assert out(front) == []


async def test_a_small_reply_that_comes_in_pieces_is_waited_for() -> None:
    """It lasts longer than a stall, and no pause in it does. Nothing of it is lost, so it runs once."""

    async def drips(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 150\r\n" + MARK + b"\r\n")
        for _ in range(150):
            await asyncio.sleep(0.01)
            await peer.send(b"x")

    policy = replace(QUICK, probe_after_s=0.8)
    async with (
        upstream(drips) as slow,
        upstream(ok) as other,
        router([slow.url, other.url], policy=policy) as front,
    ):
        reply = await front.client.get("/x")
        assert (reply.text, reply.headers["x-skyfleet-attempts"]) == ("x" * 150, "1")
        assert (len(other.asked), out(front)) == (0, [])


async def test_a_client_that_reads_slowly_is_not_its_targets_silence() -> None:
    """However much had arrived before it was told to pause; and its reply is not cut for it."""

    async def big(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" + MARK + b"\r\n")
        for _ in range(40):
            await peer.send(chunk(b"x" * 1024) * 1000)

    policy = replace(CALM, deadline_s=0.6)
    async with (
        upstream(big) as one,
        upstream(big) as two,
        router([one.url, two.url], policy=policy) as front,
    ):
        callers = [await asyncio.open_connection("127.0.0.1", front.port, limit=1024) for _ in range(6)]
        for _, writer in callers:
            writer.write(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(1.5)
        failed = front.app._context.balancer.failed  # pyright: ignore[reportPrivateUsage]
        for _, writer in callers:
            writer.transport.abort()
        assert (out(front), failed) == ([], 0)


async def test_one_lost_question_does_not_speak_for_the_next_half_minute() -> None:
    """A request that comes when no other would wait for the probe any longer begins another one."""
    questions = 0

    async def script(request: Received, peer: Peer) -> None:
        nonlocal questions
        if request.target == "/health":
            questions += 1
            await (swallows(request, peer) if questions == 1 else alive(peer))
        elif request.target == "/lost":
            await peer.until_closed()
        else:
            await asyncio.sleep(1.0 if request.target == "/slow" else 0)
            await ok(request, peer)

    policy = replace(QUICK, cold_timeout_s=30.0)
    async with upstream(script) as one, router([one.url], policy=policy, repeatable=False) as front:
        await front.client.post("/quick")
        await front.client.post("/lost", headers={"x-skyfleet-timeout-ms": "120"})
        await asyncio.sleep(2 * policy.probe_timeout_s)
        assert (await front.client.post("/quick")).status_code == 200
        assert (await front.client.post("/slow")).status_code == 200


async def test_a_key_on_a_safe_method_gathers_nothing_at_one_target() -> None:
    """Agents ignore it there; slow requests of one client would derate the target that its key picks."""
    async with upstream(ok) as one, upstream(ok) as two, router([one.url, two.url]) as front:
        for _ in range(10):
            assert (await front.client.get("/x", headers={"idempotency-key": "k"})).status_code == 200
        assert (len(one.asked), len(two.asked)) == (6, 4)
        for _ in range(10):
            assert (await front.client.post("/x", headers={"idempotency-key": "k"})).status_code == 200
        assert sorted((len(one.asked), len(two.asked))) in ([4, 16], [6, 14])
