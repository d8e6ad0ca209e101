"""A sandbox that freezes between requests: what ran beside a reply goes on later and proves nothing."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from functools import partial

import pytest

from router.core.balance.balancer import Balancer
from router.core.health.snapshots import ProbeResult, Snapshot, dump
from router.core.policy import DEFAULT
from router.net.pool import Pool
from router.proxy import prober
from router.proxy.prober import Prober
from router.sync import snapshots
from router.sync.snapshots import SnapshotStore, object_name
from skyfleet.contract import Strategy
from tests.router.support import CALM, Peer, Received, eventually, settings, upstream
from tests.router.sync.support import MemoryBucket

FROZEN_S = 0.6  # a loop that does not run is what freezing looks like from inside


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """All times so short that a test can outlast them."""
    monkeypatch.setattr(snapshots, "SAVE_S", 0.1)
    monkeypatch.setattr(snapshots, "_LATE_S", 0.1)
    monkeypatch.setattr(prober, "_FROZEN_S", 0.1)


def balancer() -> Balancer:
    return Balancer(settings(["http://127.0.0.1:9"]).targets, Strategy.WEIGHTED, CALM, time.time, lambda: 0.5)


def shelf_with_news() -> MemoryBucket:
    shelf = MemoryBucket()
    document = Snapshot("aws/r0", time.time(), {"aws/r0": (ProbeResult(time.time(), ok=True),)})
    shelf.objects[object_name("aws/r0")] = json.dumps(dump(document)).encode()
    return shelf


async def test_a_refresh_that_was_frozen_ends_after_the_thaw(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time in which nothing ran is not the bucket's, so its answer is still waited for."""
    monkeypatch.setattr(snapshots, "SAVE_S", 0.4)
    shelf = shelf_with_news()
    shelf.hang.clear()
    keeper = SnapshotStore(shelf, balancer(), time.time)
    keeper.refresh_soon()
    await asyncio.sleep(0.02)
    time.sleep(FROZEN_S)
    asyncio.get_running_loop().call_later(0.05, shelf.hang.set)
    await eventually(lambda: keeper.state != "unread")
    assert (keeper.state, keeper.reason) == ("ok", "")


async def test_a_bucket_that_hangs_while_the_loop_runs_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Awake, the time counts."""
    monkeypatch.setattr(snapshots, "_LATE_S", 60.0)  # a loop that is late on a loaded machine is awake
    shelf = MemoryBucket()
    shelf.hang.clear()
    keeper = SnapshotStore(shelf, balancer(), time.time)
    keeper.refresh_soon()
    await eventually(lambda: keeper.state != "unread")
    assert (keeper.state, "did not answer within 0.1 s" in keeper.reason) == ("down", True)
    await keeper.close()


async def test_a_refresh_that_fails_after_a_freeze_is_made_again_by_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connections may have ended meanwhile; nothing is said of the bucket, and nothing waits for it."""
    shelf = shelf_with_news()
    shelf.hang.clear()
    keeper = SnapshotStore(shelf, balancer(), time.time)
    keeper.refresh_soon()
    await asyncio.sleep(0.02)
    time.sleep(FROZEN_S)
    shelf.broken = True
    shelf.hang.set()
    await eventually(lambda: shelf.reads > 0)
    await asyncio.sleep(0.01)
    assert keeper.state == "unread"
    shelf.broken = False
    monkeypatch.setattr(snapshots, "SAVE_S", 30.0)
    keeper.refresh_soon()
    await eventually(lambda: keeper.state == "ok")


@pytest.mark.parametrize("frozen", [True, False])
async def test_a_question_that_fails_after_a_freeze_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, *, frozen: bool
) -> None:
    """Awake, silence for as long as a cold start takes is one: the target is not alive."""
    if not frozen:
        monkeypatch.setattr(prober, "_FROZEN_S", 60.0)  # a loop that is late on a loaded machine is awake

    async def silent(request: Received, peer: Peer) -> None:
        await asyncio.sleep(60)

    heard: list[bool] = []
    async with upstream(silent) as up:
        pool = Pool(connect_timeout_s=1)
        policy = replace(DEFAULT, cold_timeout_s=0.1)
        targets, ticks = (
            settings([f"http://127.0.0.1:{up.port}"]).targets,
            asyncio.get_running_loop().time,
        )
        balancer = Balancer(targets, Strategy.WEIGHTED, policy, time.time, lambda: 0.5)
        probes = Prober(pool, balancer, ticks)
        probes.verify(targets[0].key, heard.append)
        await eventually(partial(bool, up.received))
        if frozen:
            time.sleep(FROZEN_S)
        await eventually(lambda: not balancer.probing)
        await asyncio.sleep(0)
        assert heard == ([] if frozen else [False])
        probes.close()
        pool.close()
