"""Snapshots in this cloud's own bucket: one object per checker, `health/aws-eu-west-1.json`.

Rules
- A request never waits for a refresh: it starts one at most every `REFRESH_S`, which runs beside it. Only the
  reply to a snapshot waits for its write, because a sandbox may freeze right after a reply. Time in which the
  sandbox was frozen does not count. A read that fails after such a time proves nothing about the bucket, so
  the next request repeats it.
- One writer per object, since a checker sends to one router of each cloud, so nothing is locked. A write
  folds what is stored first, and folding is a union, so even two writers only delay a result.
- Without the bucket, or with a slow one, the router serves on by its own evidence, and the status names the
  reason; also when reads work but the newest write failed. An object that cannot be read or is invalid never
  hides the others: its last valid snapshot stays, and the status names it until it can be read again. A write
  replaces a damaged object, but never one of a newer version: it belongs to the release that wrote it.
- Other small documents of the router (`watch`) are read in the same refresh. Documents with several writers
  use `put_if_unchanged`, which fails if the object has changed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from typing import Any, Final, TypeVar, cast

from router.core.balance.balancer import Balancer
from router.core.errors import SnapshotRejected
from router.core.health import snapshots
from router.core.health.snapshots import Snapshot
from router.sync.rejected import Rejected
from skyfleet.objects import Bucket, BucketError, Found, first_line

T = TypeVar("T")

# As long as a checker's default pause between two rounds of probes, so one refresh for each round.
REFRESH_S: Final = 5.0
# The reply to a snapshot waits so long for the bucket, and is sent without it then.
SAVE_S: Final = 3.0
# A timer of the loop that is so late shows that the sandbox was frozen.
_LATE_S: Final = 0.5
# Ten results of 300 targets are below 600 kB.
MOST_BYTES: Final = 1_048_576
# With a bucket that is down all objects fail alike; more names add nothing.
_MOST_NAMED: Final = 3


def object_name(checker: str) -> str:
    """The object of a checker's snapshot."""
    return f"health/{checker.replace('/', '-')}.json"


Apply = Callable[[Iterable[Snapshot]], Awaitable[None]]


class SnapshotStore:
    """Reads and writes the documents of one router."""

    def __init__(
        self,
        bucket: Bucket | None,
        balancer: Balancer,
        clock: Callable[[], float],
        apply: Apply | None = None,
        checkers: Collection[str] = (),
        beside: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """apply: applies snapshots; without it the balancer does so at once. checkers: their places; empty:
        each target's place may have one. beside: called after each refresh."""
        self.checkers = tuple(checkers) or tuple(balancer.targets)
        self._bucket, self._balancer, self._clock, self._apply = bucket, balancer, clock, apply
        self._beside = beside
        self.rejected = Rejected(balancer.targets, clock)
        self._tags: dict[str, str] = {}
        self._watched: dict[str, Callable[[bytes], None]] = {}
        self._refreshed_at = float("-inf")
        self._unwritten = ""  # why the newest write failed, though the bucket could be read
        self._task: asyncio.Task[None] | None = None
        self.state = "off" if bucket is None else "unread"
        self.reason = "no bucket is configured" if bucket is None else "not read yet"
        self.at: float | None = None

    def refresh_soon(self) -> None:
        """Refresh beside the request, if the last time is long enough ago and over."""
        if self._bucket is None or self._task is not None:
            return
        now = self._clock()
        if 0 <= now - self._refreshed_at < REFRESH_S:
            return
        self._refreshed_at = now
        self._task = asyncio.get_running_loop().create_task(self._refresh_all(self._bucket))
        self._task.add_done_callback(self._refreshed)

    async def refreshed(self) -> None:
        """As `refresh_soon`, and wait for it, up to `SAVE_S`."""
        self.refresh_soon()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=SAVE_S)

    async def save(self, snapshot: Snapshot) -> bool:
        """Fold a snapshot into the stored one. False if the bucket is slow or has a newer version."""
        if self._bucket is None:
            return False
        name = object_name(snapshot.checker)
        try:
            kept = await _in_time(self._fold_in(self._bucket, name, snapshot))
        except BucketError as error:
            if self.state != "down":
                self._unwritten = str(error)
            self._note("down", str(error))
            return False
        self._unwritten = ""
        self._note("ok", "")
        return kept

    async def _fold_in(self, bucket: Bucket, name: str, snapshot: Snapshot) -> bool:
        found = await bucket.get(name)
        if isinstance(found, Found):
            stored = self._parse(name, found.data)
            if stored is None and newer(found.data, snapshots.VERSION):
                return False
            snapshot = snapshot if stored is None else snapshots.fold(stored, snapshot)
        await bucket.put(name, json.dumps(snapshots.dump(snapshot)).encode())
        # The rejected object has been replaced.
        self.rejected.forget(name)
        return True

    async def close(self) -> None:
        """Stop a running refresh."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def watch(self, name: str, on_change: Callable[[bytes], None]) -> None:
        """Read one more object in each refresh. If it has changed, `on_change` gets its bytes.

        `on_change` raises SnapshotRejected for an invalid document; the status then names the object."""
        self._watched[name] = on_change

    def reread(self, name: str) -> None:
        """Have the next refresh read an object even if it has not changed since."""
        self._tags.pop(name, None)

    async def _refresh_all(self, bucket: Bucket) -> None:
        await self._refresh(bucket)
        if self._beside is not None:
            await self._beside()

    async def _refresh(self, bucket: Bucket) -> None:
        began = self._clock()
        names = [object_name(checker) for checker in self.checkers] + list(self._watched)
        results = await asyncio.gather(
            *(_in_time(bucket.get(name, self._tags.get(name))) for name in names), return_exceptions=True
        )
        if any(isinstance(result, Exception) for result in results) and self._slept_since(began):
            self._refreshed_at = float("-inf")
            return
        received: list[Snapshot] = []
        failures: list[str] = []
        for name, result in zip(names, results, strict=True):
            if isinstance(result, Exception):
                text = first_line(result)
                failures.append(text if name in text else f"{name}: {text}")
            elif isinstance(result, BaseException):
                raise result
            elif isinstance(result, Found):
                snapshot = self._read(name, result)
                if snapshot is not None:
                    received.append(snapshot)
            elif result is None:
                # A deleted object is no longer rejected, and is read again when it returns.
                self.rejected.forget(name)
                self._tags.pop(name, None)
        if self._apply is None:
            self._balancer.fold(received)
        else:
            await self._apply(received)
        for snapshot in received:
            self.rejected.forget(snapshot.checker)
        more = f"; and {len(failures) - _MOST_NAMED} more" if len(failures) > _MOST_NAMED else ""
        if failures:
            self._unwritten = ""
            self._note("down", "; ".join(failures[:_MOST_NAMED]) + more)
        else:
            self._note("unwritten" if self._unwritten else "ok", self._unwritten)

    def _slept_since(self, began: float) -> bool:
        """Whether the sandbox was frozen meanwhile: awake, everything ends in `SAVE_S`."""
        return not 0 <= self._clock() - began < SAVE_S + _LATE_S

    def _read(self, name: str, found: Found) -> Snapshot | None:
        """Parse one object. A rejected one keeps its tag too, so that it is rejected only once."""
        if found.tag is not None:
            self._tags[name] = found.tag
        on_change = self._watched.get(name)
        if on_change is None:
            return self._parse(name, found.data)
        try:
            on_change(found.data)
            self.rejected.forget(name)
        except SnapshotRejected as rejected:
            self.rejected.note(name, rejected.message)
        return None

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._note("down", f"{type(error).__name__}: {error}")

    def _parse(self, name: str, data: bytes) -> Snapshot | None:
        try:
            if len(data) > MOST_BYTES:
                raise SnapshotRejected(f"It has {len(data)} bytes, more than {MOST_BYTES}.")
            snapshot = snapshots.parse(json.loads(data), self._balancer.targets, self._clock(), self.checkers)
            if object_name(snapshot.checker) != name:
                raise SnapshotRejected(f"It is of another checker, {snapshot.checker}.")
        except SnapshotRejected as rejected:
            self.rejected.note(name, rejected.message)
        except (ValueError, RecursionError):
            self.rejected.note(name, "The stored document is not JSON.")
        else:
            self.rejected.forget(name)
            return snapshot
        return None

    def _note(self, state: str, reason: str) -> None:
        self.state, self.reason, self.at = state, reason, self._clock()


def newer(data: bytes, version: int) -> bool:
    """Whether these bytes are a document of a later release than this one, which writes this version."""
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError):
        return False
    text = cast("dict[str, object]", found).get("version") if isinstance(found, dict) else None
    return isinstance(text, int) and text > version


async def _in_time(work: Coroutine[Any, Any, T]) -> T:
    """Its result within `SAVE_S`, counted again from the end of a time in which the loop did not run."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    try:
        while True:
            began = loop.time()
            done, _ = await asyncio.wait({task}, timeout=SAVE_S)
            if done:
                return task.result()
            if loop.time() - began < SAVE_S + _LATE_S:
                raise BucketError(f"it did not answer within {SAVE_S:g} s")
    finally:
        task.cancel()
