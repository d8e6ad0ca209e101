"""The minutes of all instances of this router, in one object of its bucket: `health/minutes.json`.

Rules
- An instance adds what it has counted since it last did, at most once a minute and beside a refresh of
  snapshots. The object is written by compare-and-set, so instances add up and overwrite nothing.
- What could not be added is kept and added later. An instance adds once more when it is told to end; one
  that is killed, or frozen for ever, loses a minute of its counts.
- Counts are read from the balancer beside each refresh, every few seconds under traffic, and go to the
  minute of that moment.
- Without a bucket an instance tells its own counts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Final

from router.core import minutes
from router.core.balance.balancer import Balancer
from skyfleet.objects import Bucket, BucketError, Found

NAME: Final = "health/minutes.json"
# A document of an hour has 60 minutes with about 60 numbers each.
MOST_BYTES: Final = 128 * 1024
_IN_TIME_S: Final = 3.0
_TRIES: Final = 3


class MinuteStore:
    """Counts of one instance, and of all together. clock: Unix seconds."""

    def __init__(self, bucket: Bucket | None, balancer: Balancer, clock: Callable[[], float]) -> None:
        self._bucket, self._balancer, self._clock = bucket, balancer, clock
        self._before = minutes.NOTHING
        self._mine: dict[int, minutes.Counts] = {}  # not added yet
        self._added_at = clock()

    def sample(self) -> None:
        """Read the balancer's counts."""
        counts, now = self._balancer.counts(), self._clock()
        if counts != self._before:
            new = {minutes.start_of(now): minutes.since(self._before, counts)}
            self._mine, self._before = minutes.merge([self._mine, new], now), counts

    async def add(self, *, last: bool = False) -> None:
        """Add the counts of this instance to the object, if the last time is a minute ago. last: it ends, and
        does not wait for the minute."""
        self.sample()
        now = self._clock()
        waits = not last and 0 <= now - self._added_at < minutes.MINUTE_S
        if self._bucket is None or not self._mine or waits:
            return
        self._added_at = now
        try:
            async with asyncio.timeout(_IN_TIME_S):
                await self._add(self._bucket)
        except (TimeoutError, BucketError):
            return  # kept for the next time; the store of snapshots reports the state of the bucket

    async def _add(self, bucket: Bucket) -> None:
        for _ in range(_TRIES):
            found = await bucket.get(NAME)
            stored = found if isinstance(found, Found) else None
            known = {} if stored is None else _parse(stored.data)
            if known is None:
                return  # of a newer release, whose instances write it
            adding = self._mine
            added = minutes.merge([known, adding], self._clock())
            if await bucket.put_if_unchanged(NAME, json.dumps(minutes.dump(added)).encode(), stored):
                self._mine = _left(self._mine, adding)
                return

    async def read(self) -> Mapping[str, object]:
        """The document of `GET /api/minutes`: all instances, as far as they have added their counts."""
        self.sample()
        stored: Mapping[int, minutes.Counts] = {}
        if self._bucket is not None:
            try:
                async with asyncio.timeout(_IN_TIME_S):
                    found = await self._bucket.get(NAME)
            except (TimeoutError, BucketError):
                found = None
            stored = (_parse(found.data) if isinstance(found, Found) else None) or {}
        return minutes.dump(minutes.merge([stored, self._mine], self._clock()))


def _left(mine: minutes.Minutes, added: minutes.Minutes) -> dict[int, minutes.Counts]:
    """What was counted while `added` was written."""
    left = {at: minutes.since(added.get(at, minutes.NOTHING), counts) for at, counts in mine.items()}
    return {at: counts for at, counts in left.items() if any(counts)}


def _parse(data: bytes) -> dict[int, minutes.Counts] | None:
    """The stored minutes; None for a document of another release, empty for a damaged one."""
    if len(data) > MOST_BYTES:
        return {}
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return minutes.parse(value)
