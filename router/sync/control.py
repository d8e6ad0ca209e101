"""What an operator may change while routers run: the strategy. One document, `control.json`, in the bucket.

    {"version": 1, "strategy": "latency", "revision": 7}

Rules
- `strategy` null, or no document at all, means: as configured.
- Written by compare-and-set, `revision` counted up by one: of two who write at once, one is told to look
  again. Who names the `revision` that was read changes only that one.
- Every instance of this router takes it in with the keeper's refresh, which its next request starts. The
  instance that was asked follows at once, and one that is looked at reads the document first: what was read
  may be named as `revision` wherever the order goes.
- What cannot be believed (not JSON, another version, an unknown strategy, an older revision than the one
  known) is refused, the last good one stays, and the status says so. A damaged document may be overwritten,
  one of a newer version not.
- Without a bucket the change lives and dies with this instance, and the answer says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, cast

from router.core.balance.balancer import Balancer
from router.core.balance.strategies import Strategy
from router.core.errors import CallerError, SnapshotRejected
from router.sync.snapshots import SAVE_S, SnapshotStore, newer
from skyfleet.objects import Bucket, BucketError, Found
from skyfleet.values import frozen

NAME: Final = "control.json"
VERSION: Final = 1
# The document has about 60 bytes; a request with more says something else.
MOST_BYTES: Final = 4_096
# Undoes an order, like null: what the command line calls it.
CONFIGURED: Final = "configured"
# Two operators at once are rare, three in a row somebody else's loop.
_TRIES: Final = 3


@frozen
class Control:
    """What was ordered. strategy: None means as configured. revision: 0 means nothing was ever ordered."""

    strategy: Strategy | None = None
    revision: int = 0


def parse(data: bytes) -> Control:
    """A stored document, or SnapshotRefused with what is wrong with it."""
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError):
        raise SnapshotRejected("The control document is not JSON.") from None
    if not isinstance(found, dict):
        raise SnapshotRejected("The control document is not a JSON object.")
    fields = cast("dict[str, object]", found)
    version, revision = fields.get("version"), fields.get("revision")
    if version != VERSION or isinstance(version, bool):
        raise SnapshotRejected(f"Its version is {_short(version)}; this router reads version {VERSION}.")
    if isinstance(revision, bool) or not isinstance(revision, int) or revision < 1:
        raise SnapshotRejected(f"Its revision is {_short(revision)}; expected a whole number from 1.")
    strategy = fields.get("strategy")
    if strategy is not None and strategy not in tuple(Strategy):
        raise SnapshotRejected(f"Its strategy is {_short(strategy)}; expected one of {', '.join(Strategy)}.")
    return Control(None if strategy is None else Strategy(str(strategy)), revision)


def dump(control: Control) -> bytes:
    """The stored form."""
    value = {"version": VERSION, "strategy": control.strategy, "revision": control.revision}
    return json.dumps(value).encode()


def decode(body: bytes) -> object:
    """The JSON of an order; CallerError for what only some readers would take for JSON."""
    try:
        return json.loads(body, parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _bad("The order is not JSON") from None


def wish(value: object) -> tuple[Strategy | None, int | None]:
    """What a caller orders: a strategy (None: as configured), and the revision it replaces, if it says one.

    CallerError when it is no order."""
    if not isinstance(value, dict):
        raise _bad(f"The order is {_short(value)}; expected a JSON object")
    fields = cast("dict[str, object]", value)
    unknown = [name for name in fields if name not in ("strategy", "revision", "version")]
    if unknown:
        raise _bad(f"{', '.join(unknown)[:60]} cannot be ordered")
    if "strategy" not in fields:
        raise _bad("strategy is missing")
    strategy, revision = fields["strategy"], fields.get("revision")
    if strategy == CONFIGURED:
        strategy = None
    if strategy is not None and strategy not in tuple(Strategy):
        names = f"{', '.join(Strategy)}, or null to choose as configured"
        raise _bad(f"strategy: got {_short(strategy)}, expected one of {names}")
    if revision is not None and (isinstance(revision, bool) or not isinstance(revision, int)):
        raise _bad(f"revision: got {_short(revision)}, expected the number that GET said")
    return None if strategy is None else Strategy(str(strategy)), revision


class ControlDocument:
    """The orders that one router instance knows and follows."""

    def __init__(self, bucket: Bucket | None, balancer: Balancer, keeper: SnapshotStore) -> None:
        self._bucket, self._balancer, self._keeper = bucket, balancer, keeper
        self._configured = balancer.strategy
        self._known = Control()
        keeper.watch(NAME, self.take)

    def take(self, data: bytes, tag: str | None) -> None:
        """Follow a stored document; SnapshotRefused when it cannot be believed."""
        found = parse(data)
        if found.revision < self._known.revision:
            raise SnapshotRejected(
                f"Its revision {found.revision} is older than the last one known, {self._known.revision}."
            )
        self._follow(found)

    def told(self) -> Mapping[str, object]:
        """The document as this instance follows it, and where it stands."""
        return {
            "version": VERSION,
            "strategy": self._known.strategy,
            "revision": self._known.revision,
            "effective": self._balancer.strategy,
            "configured": self._configured,
            "kept": "instance" if self._bucket is None else "bucket",
        }

    async def look(self) -> Mapping[str, object]:
        """The same after a look at what is kept, for an instance may be new or have slept through an order.
        `unread` says why it could not be read, if so."""
        if self._bucket is None:
            return self.told()
        try:
            async with asyncio.timeout(SAVE_S):
                found = await self._bucket.get(NAME)
            if isinstance(found, Found):
                self.take(found.data, found.tag)
        except TimeoutError:
            return {**self.told(), "unread": f"the bucket did not answer within {SAVE_S:g} s"}
        except (BucketError, SnapshotRejected) as error:
            return {**self.told(), "unread": str(error)}
        return self.told()

    async def order(self, value: object) -> Mapping[str, object]:
        """Do as ordered; CallerError 400, 409 or 503 says why not. value: the decoded JSON of a caller."""
        strategy, replaces = wish(value)
        if self._bucket is None:
            _expect(replaces, self._known)
            self._follow(Control(strategy, self._known.revision + 1))
            return self.told()
        try:
            async with asyncio.timeout(SAVE_S):
                self._follow(await self._store(self._bucket, strategy, replaces))
        except TimeoutError:
            raise _not_kept(f"the bucket did not answer within {SAVE_S:g} s") from None
        except BucketError as error:
            raise _not_kept(str(error)) from None
        return self.told()

    async def _store(self, bucket: Bucket, strategy: Strategy | None, replaces: int | None) -> Control:
        for _ in range(_TRIES):
            found = await bucket.get(NAME)
            stored = found if isinstance(found, Found) else None
            now = self._stored(stored)
            _expect(replaces, now)
            after = Control(strategy, max(now.revision, self._known.revision) + 1)
            if await bucket.put_if_unchanged(NAME, dump(after), stored):
                self._keeper.reread(NAME)
                return after
        raise CallerError(409, "changed-meanwhile", "Somebody else keeps changing it; look and try again.")

    def _stored(self, found: Found | None) -> Control:
        """What is to be replaced; a damaged document counts as the last that is known."""
        if found is None:
            return Control()
        try:
            return parse(found.data)
        except SnapshotRejected as refused:
            if newer(found.data, VERSION):
                raise CallerError(
                    409, "newer-version", f"{refused.message} Change it with the release that wrote it."
                ) from None
            return self._known

    def _follow(self, control: Control) -> None:
        self._known = control
        self._balancer.strategy = control.strategy or self._configured


def _expect(replaces: int | None, now: Control) -> None:
    if replaces is not None and replaces != now.revision:
        raise CallerError(
            409,
            "changed-meanwhile",
            f"It is at revision {now.revision}, not {replaces}; look at it and order again.",
        )


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names differ: of two values under one name readers choose differently."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _bad(f"{twice[:60]} is there more than once")
    return fields


def _bad(what: str) -> CallerError:
    return CallerError(400, "bad-control", f'{what}. Send for example {{"strategy": "latency"}}.')


def _not_kept(why: str) -> CallerError:
    return CallerError(
        503, "not-kept", f"It is not known to be kept: {why}. Look at it, and order again if it is not there."
    )


def _short(value: object) -> str:
    return repr(value)[:60]
