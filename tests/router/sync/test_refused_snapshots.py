"""Claims about snapshots that are refused, the source that the status names, and until when."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from router.core.health.machine import Status
from router.sync.snapshots import SnapshotStore, object_name
from tests.router.snapshots import send, snapshot
from tests.router.support import Peer, Received, eventually, ok, router, upstream
from tests.router.sync.support import (
    GOOD,
    Clock,
    MemoryBucket,
    balancer,
    document,
    dumped,
    refresh,
    state,
    status_of,
)


async def test_a_snapshot_that_cannot_be_believed_is_refused_and_the_view_stays() -> None:
    """Not JSON, another version, an unknown source, the future: 400, and the reason is in the status."""
    async with router(["http://127.0.0.1:9"]) as front:
        now = time.time()
        await send(front, json.dumps(snapshot(True, True, at=now)).encode())
        bad: list[tuple[bytes, str, str]] = [
            (b"{", "not JSON", "aws/r0"),
            (b"[" * 100_000, "not JSON", "aws/r0"),
            (b"[]", "JSON object", "aws/r0"),
            (json.dumps(snapshot(False, at=now, checker="no place")).encode(), "checker", "aws/r0"),
            (json.dumps({**snapshot(False, at=now), "version": 2}).encode(), "version", "aws/r0"),
            (json.dumps(snapshot(False, at=now, checker="mars/x")).encode(), "checker", "mars/x"),
            (json.dumps(snapshot(False, at=now, target="mars/x")).encode(), "configured", "aws/r0"),
            (json.dumps(snapshot(False, at=now + 120)).encode(), "future", "aws/r0"),
            (json.dumps({**snapshot(False, at=now), "at": float("nan")}).encode(), "at", "aws/r0"),
            (
                json.dumps({**snapshot(False, at=now), "results": 3}).encode(),
                "results",
                "aws/r0",
            ),
        ]
        for body, reason, source in bad:
            reply = await send(front, body)
            assert (reply.status_code, reply.json()["error"]["code"]) == (400, "snapshot-rejected")
            assert reason in (await front.status())["rejected"][source]
        assert (await front.target("aws/r0"))["state"] == "healthy"


async def test_what_was_refused_of_a_checker_is_forgotten_with_its_next_good_snapshot() -> None:
    """And not with that of another; the key that signed it says whose it is, not the document."""
    async with router(["http://127.0.0.1:9", "http://127.0.0.1:10"]) as front:
        now = time.time()

        async def tell(checker: str, **changes: object) -> list[str]:
            body = {**snapshot(True, at=now, checker=checker), **changes}
            await send(front, json.dumps(body).encode())
            return sorted((await front.status())["rejected"])

        assert await tell("azure/r1", version=2) == ["azure/r1"]
        assert await tell("", version=2) == ["aws/r0", "azure/r1"]
        assert await tell("azure/r1") == ["aws/r0"]
        assert await tell("aws/r0") == []


async def test_a_snapshot_of_another_target_list_does_no_harm_to_requests_in_flight() -> None:
    """With targets that are unknown here, without those that are known, or with orders between: each request
    ends where it began, and no target has an active request afterwards."""
    gate = asyncio.Event()

    async def slow(request: Received, peer: Peer) -> None:
        if request.target != "/health":
            await gate.wait()
        await ok(request, peer)

    async with upstream(slow) as one, upstream(slow) as two, router([one.url, two.url]) as front:
        calls = [asyncio.create_task(front.client.post("/invoke", content=b"{}")) for _ in range(6)]
        await eventually(lambda: len(one.asked) + len(two.asked) == 6)
        now = time.time()
        unknown = snapshot(True, at=now, target="aws/gone")["results"]
        mixed = snapshot(False, False, False, at=now)
        mixed["results"] += unknown
        nothing: dict[str, Any] = {"results": []}
        for body, status in (
            (mixed, 200),
            ({**mixed, "results": unknown}, 400),
            ({**mixed, **nothing}, 200),
            ({**mixed, "checker": "aws/gone"}, 400),
        ):
            assert (await send(front, json.dumps(body).encode())).status_code == status
        for strategy, status in (("latency", 200), ("aws/gone", 400), (None, 200)):
            order = await front.client.put("/api/control", json={"strategy": strategy})
            assert order.status_code == status
        gate.set()
        assert {reply.status_code for reply in await asyncio.gather(*calls)} == {200}
        found = (await front.status())["targets"]
        assert [each["inflight"] for each in found] == [0, 0]
        assert [f"{each['cloud']}/{each['region']}" for each in found] == ["aws/r0", "azure/r1"]


async def test_a_write_leaves_a_document_of_a_newer_version_alone() -> None:
    """It belongs to the release that wrote it; the snapshot counts here, and the status says so."""
    clock, shelf = Clock(), MemoryBucket()
    one, name = balancer(clock), object_name("aws/r0")
    keeper = SnapshotStore(shelf, one, clock)
    theirs = shelf.objects[name] = dumped(GOOD, version=2)
    one.fold([GOOD])
    assert await keeper.save(GOOD) is False
    await refresh(keeper, clock)
    assert await keeper.save(document(True, True, at=clock.now)) is False
    assert shelf.objects[name] == theirs
    found = status_of(one, keeper)
    assert found["store"]["state"] == "ok"
    assert "version is 2; this router reads version 1" in found["rejected"][name]
    assert state(one) is Status.DOWN


async def test_what_was_refused_is_forgotten_when_it_is_overwritten_or_gone() -> None:
    """Nothing of it is left to be refused."""
    clock, shelf = Clock(), MemoryBucket()
    one = balancer(clock)
    keeper = SnapshotStore(shelf, one, clock)
    shelf.objects |= {object_name("aws/r0"): b"{", object_name("aws/r1"): b"{"}
    await refresh(keeper, clock)
    assert list(keeper.rejected.as_json()) == ["health/aws-r0.json", "health/aws-r1.json"]
    assert await keeper.save(GOOD)
    assert list(keeper.rejected.as_json()) == ["health/aws-r1.json"]
    del shelf.objects[object_name("aws/r1")]
    await refresh(keeper, clock)
    assert keeper.rejected.as_json() == {}
    shelf.objects[object_name("aws/r1")] = b"{"
    await refresh(keeper, clock)
    assert list(keeper.rejected.as_json()) == ["health/aws-r1.json"]
