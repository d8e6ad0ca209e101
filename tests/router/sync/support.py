"""A bucket in memory, a clock, and a balancer with a snapshot store, for tests of shared state."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from router.config import Place
from router.core.balance.balancer import Balancer
from router.core.health import snapshots
from router.core.health.machine import Status
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT
from router.status import status
from router.sync.snapshots import SnapshotStore
from skyfleet.contract import Strategy
from skyfleet.objects import BucketError, Found, Unchanged
from tests.router.core.health.support import targets
from tests.router.support import eventually


class MemoryBucket:
    """A bucket in memory that can be slow or broken."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.broken = self.read_only = False
        self.hang = asyncio.Event()
        self.hang.set()
        self.reads = 0

    async def get(self, name: str, tag: str | None = None) -> Found | Unchanged | None:
        await self.hang.wait()
        self.reads += 1
        if self.broken:
            raise BucketError("the bucket is on fire")
        data = self.objects.get(name)
        if data is None:
            return None
        return Unchanged() if tag == str(hash(data)) else Found(data, str(hash(data)))

    async def put(self, name: str, data: bytes) -> None:
        if self.broken or self.read_only:
            raise BucketError("the bucket is on fire" if self.broken else "403 for writers")
        self.objects[name] = data

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        if self.objects.get(name) != (None if known is None else known.data):
            return False
        await self.put(name, data)
        return True


NOW = 1_000_000_000.0


YEAR = 365 * 86_400.0


DOWN = (False, False, False)


@dataclass
class Clock:
    """A clock that the test sets."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


def balancer(clock: Clock, count: int = 3) -> Balancer:
    return Balancer(targets(*[1.0] * count), Strategy.ROUND_ROBIN, DEFAULT, clock, lambda: 0.5)


def document(*oks: bool, checker: str = "aws/r0", key: str = "aws/r0", at: float = NOW) -> Snapshot:
    seen = tuple(ProbeResult(at - len(oks) + n + 1, good) for n, good in enumerate(oks))
    return Snapshot(checker, at, {key: seen})


def dumped(one: Snapshot, **changes: object) -> bytes:
    return json.dumps({**snapshots.dump(one), **changes}).encode()


def status_of(one: Balancer, keeper: SnapshotStore) -> dict[str, Any]:
    return status(one, Place("aws", "r0", "b1"), keeper)


def state(one: Balancer, number: int = 0) -> Status:
    return one.fleet.health[f"aws/r{number}"].status


def served(one: Balancer, requests: int = 30) -> set[str]:
    """The targets that are picked for a number of successful requests."""
    keys: set[str] = set()
    for _ in range(requests):
        choice = one.choose(())
        assert choice is not None
        one.report(choice.key, Outcome.SUCCESS)
        keys.add(choice.key)
    return keys


async def refresh(keeper: SnapshotStore, clock: Clock) -> None:
    """Refresh the store six seconds later; the former refresh may still be running."""
    clock.now += 6

    def done() -> bool:
        keeper.refresh_soon()
        return keeper.at == clock.now

    await eventually(done)


GOOD = document(*DOWN)
