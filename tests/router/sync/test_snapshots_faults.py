"""Tests of the snapshot store under faults: damaged, missing and foreign documents, a broken bucket."""

from __future__ import annotations

import json

import pytest

from router.core.health import snapshots
from router.core.health.machine import Status
from router.core.health.snapshots import Snapshot
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT
from router.sync.snapshots import SnapshotStore, object_name
from skyfleet.objects import Found, Unchanged
from tests.router.sync.support import (
    DOWN,
    GOOD,
    NOW,
    YEAR,
    Clock,
    MemoryBucket,
    balancer,
    document,
    dumped,
    refresh,
    served,
    state,
    status_of,
)

DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "truncated": (dumped(GOOD)[:60], "not JSON"),
    "not text": (b"\xff\xfe\x00", "not JSON"),
    "nested": (b"[" * 200_000, "not JSON"),
    "huge": (b" " * 1_048_577, "1048577 bytes"),
    "a list": (b"[1, 2]", "JSON object"),
    "older": (dumped(GOOD, version=0), "version is 0"),
    "newer": (dumped(GOOD, version=2), "version is 2"),
    "version as text": (dumped(GOOD, version="1"), "version is '1'"),
    "from the future": (dumped(document(*DOWN, at=NOW + YEAR)), "in the future"),
    "of another checker": (dumped(document(*DOWN, checker="aws/r1")), "another checker"),
    "of no checker": (dumped(GOOD, checker="mars/r9"), "not one of"),
    "about no target": (dumped(document(True, True, key="mars/r9")), "None of its targets"),
    "endless": (dumped(GOOD, at=float("inf")), "expected a number"),
    "wrong types": (dumped(GOOD, results={"aws/r0": True}), "not a list"),
    "wrong inside": (dumped(GOOD, results=[None]), "JSON object"),
}


@pytest.mark.parametrize("case", DAMAGED)
async def test_an_invalid_document_leaves_the_last_valid_snapshot_in_force(case: str) -> None:
    """The status names the document and the reason until it is valid again."""
    data, why = DAMAGED[case]

    clock, shelf = Clock(), MemoryBucket()
    one = balancer(clock)
    keeper = SnapshotStore(shelf, one, clock)
    shelf.objects[object_name("aws/r0")] = dumped(GOOD)
    await refresh(keeper, clock)
    assert state(one) is Status.DOWN
    shelf.objects[object_name("aws/r0")] = data
    for _ in range(2):
        await refresh(keeper, clock)
        assert state(one) is Status.DOWN
        assert why in status_of(one, keeper)["rejected"]["health/aws-r0.json"]
    shelf.objects[object_name("aws/r0")] = dumped(document(True, True, at=clock.now))
    await refresh(keeper, clock)
    assert state(one) is Status.SLOW_START
    assert status_of(one, keeper)["rejected"] == {}


async def test_a_write_replaces_a_damaged_document() -> None:
    """The next write of the checker's snapshot repairs it."""
    clock, shelf = Clock(), MemoryBucket()
    keeper = SnapshotStore(shelf, balancer(clock), clock)
    shelf.objects[object_name("aws/r0")] = b'{"version"'
    assert await keeper.save(GOOD)
    assert snapshots.parse(json.loads(shelf.objects[object_name("aws/r0")]), ("aws/r0",), NOW) == GOOD


async def test_a_deleted_document_leaves_the_last_snapshot_in_force() -> None:
    """When the snapshot is no longer fresh, passive evidence decides."""
    clock, shelf = Clock(), MemoryBucket()
    one = balancer(clock)
    keeper = SnapshotStore(shelf, one, clock)
    shelf.objects[object_name("aws/r0")] = dumped(GOOD)
    await refresh(keeper, clock)
    shelf.objects.clear()
    await refresh(keeper, clock)
    assert (keeper.state, state(one)) == ("ok", Status.DOWN)
    clock.now += DEFAULT.fresh_s
    assert "aws/r0" in served(one)
    assert status_of(one, keeper)["checkers"][0]["fresh"] is False


class Partly(MemoryBucket):
    """A bucket with one object whose read raises an unexpected error."""

    async def get(self, name: str, tag: str | None = None) -> Found | Unchanged | None:
        if name == object_name("aws/r1"):
            raise RuntimeError("a surprise")
        return await super().get(name, tag)


async def test_one_unreadable_object_does_not_hide_the_others() -> None:
    """The status has the reason, and the other snapshots are merged."""
    clock, shelf = Clock(), Partly()
    one = balancer(clock)
    keeper = SnapshotStore(shelf, one, clock)
    shelf.objects[object_name("aws/r0")] = dumped(GOOD)
    await refresh(keeper, clock)
    assert state(one) is Status.DOWN
    assert (keeper.state, keeper.reason) == ("down", "health/aws-r1.json: a surprise")


async def test_the_router_works_without_its_bucket_and_reports_the_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Passive evidence still ejects targets, and snapshots are read again when the bucket is back."""
    monkeypatch.setattr("router.sync.snapshots.SAVE_S", 0.05)

    clock, shelf = Clock(), MemoryBucket()
    one = balancer(clock)
    keeper = SnapshotStore(shelf, one, clock)
    for trouble, words in (("broken", "on fire"), ("hang", "did not answer")):
        if trouble == "broken":
            shelf.broken = True
        else:
            shelf.broken = False
            shelf.hang.clear()
        await refresh(keeper, clock)
        assert keeper.state == "down"
        assert words in keeper.reason
        assert keeper.reason.count("health/") == 3
        assert await keeper.save(GOOD) is False
        assert served(one) == {"aws/r0", "aws/r1", "aws/r2"}
    for _ in range(3):
        one.report("aws/r1", Outcome.FAILURE)
    assert served(one) == {"aws/r0", "aws/r2"}
    shelf.hang.set()
    shelf.objects[object_name("aws/r1")] = dumped(document(*DOWN, checker="aws/r1", key="aws/r2"))
    await refresh(keeper, clock)
    assert status_of(one, keeper)["store"]["state"] == "ok"
    assert status_of(one, keeper)["targets"][2]["checkers_down"] == 1


async def test_the_reason_of_a_failed_refresh_is_short_with_many_targets() -> None:
    """A failed bucket fails for each document, and only some are named."""
    clock, shelf = Clock(), MemoryBucket()
    shelf.broken = True
    keeper = SnapshotStore(shelf, balancer(clock, 50), clock)
    await refresh(keeper, clock)
    assert keeper.reason.endswith("; and 47 more")
    assert len(keeper.reason) < 400


async def test_documents_with_unknown_targets_change_only_known_targets() -> None:
    """Removed targets are ignored, documents of removed checkers are not read, and new targets serve."""
    clock, shelf = Clock(), MemoryBucket()
    old = Snapshot("aws/r0", NOW, {**GOOD.results, "aws/gone": GOOD.results["aws/r0"]})
    shelf.objects[object_name("aws/r0")] = dumped(old)
    shelf.objects[object_name("aws/gone")] = dumped(document(*DOWN, checker="aws/gone"))
    one = balancer(clock, 4)
    keeper = SnapshotStore(shelf, one, clock)
    await refresh(keeper, clock)
    assert [state(one, number) for number in range(4)] == [Status.DOWN] + [Status.UNKNOWN] * 3
    assert served(one) == {"aws/r1", "aws/r2", "aws/r3"}
    assert status_of(one, keeper)["rejected"] == {}
    assert [each["checker"] for each in status_of(one, keeper)["checkers"]] == ["aws/r0"]
