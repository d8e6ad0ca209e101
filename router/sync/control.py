"""The control document: what an operator changes while routers run; `control.json` in the bucket.

    {"version": 1, "strategy": "latency", "draining": ["aws/eu-west-1"], "revision": 7}

Rules
- `strategy` null, or no document at all, means: as configured. `draining` lists targets that get no new
  request while another serves. An update changes the fields that it names.
- Written by compare-and-set, `revision` counted up by one. An update that names the `revision` it read
  replaces only that one.
- Every instance of this router reads it with the store's refresh, which its next request starts. The
  instance that gets an update applies it at once, and a GET reads the document first.
- A document that is not JSON, of another version, with an unknown strategy or an older revision than the
  known one is rejected: the last good one stays, and the status says so. An update replaces a damaged
  document, but never one of a newer version.
- Without a bucket the change holds for this instance only, and the reply says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from router.core.balance.balancer import Balancer
from router.core.errors import CallerError, SnapshotRejected
from router.core.targets import MOST_TARGETS
from router.sync.snapshots import SAVE_S, SnapshotStore, newer
from skyfleet.contract import Strategy
from skyfleet.objects import Bucket, BucketError, Found
from skyfleet.values import frozen

NAME: Final = "control.json"
VERSION: Final = 1
# 300 targets of 80 bytes, all draining.
MOST_BYTES: Final = 32_768
# As a strategy it means null; the command line's name for it.
CONFIGURED: Final = "configured"
# Two operators at once are rare, three in a row another program's loop.
_TRIES: Final = 3


@frozen
class Control:
    """What was set. strategy: None means as configured. revision: 0 means nothing was ever set."""

    strategy: Strategy | None = None
    revision: int = 0
    draining: tuple[str, ...] = ()


@frozen
class Update:
    """What an operator changes: only the fields in `names`. replaces: the revision that it read, if any."""

    control: Control
    names: frozenset[str]
    replaces: int | None

    def applied(self, before: Control, revision: int) -> Control:
        """The document after it."""
        strategy = self.control.strategy if "strategy" in self.names else before.strategy
        draining = self.control.draining if "draining" in self.names else before.draining
        return Control(strategy, revision, draining)


class _Invalid(ValueError):
    """What is wrong with a document or an update."""


def parse(data: bytes) -> Control:
    """A stored document; SnapshotRejected with what is wrong with it."""
    try:
        fields = _decoded(data)
        version = fields.get("version")
        if version != VERSION or isinstance(version, bool):
            raise _Invalid(f"version is {_short(version)}; this router reads version {VERSION}")
        control = _control(fields)
        if control.revision < 1:
            raise _Invalid(f"revision is {_short(fields.get('revision'))}; expected a whole number from 1")
    except _Invalid as invalid:
        raise SnapshotRejected(f"The control document is rejected: {invalid}.") from None
    return control


def parse_update(body: bytes, targets: Collection[str]) -> Update:
    """An operator's update; CallerError with what is wrong with it. targets: the configured keys."""
    try:
        fields = _decoded(body)
        control = _control(fields)
        names = frozenset(fields) & {"strategy", "draining"}
        if unknown := [name for name in fields if name not in (*names, "revision", "version")]:
            raise _Invalid(f"{', '.join(unknown)[:60]} cannot be set")
        if not names:
            raise _Invalid("strategy and draining are both missing")
        if unknown := [key for key in control.draining if key not in targets]:
            known = ", ".join(sorted(targets)[:10])
            raise _Invalid(f"draining: {', '.join(unknown)[:60]} is no target here; known are {known}")
    except _Invalid as invalid:
        message = f'{invalid}. Send for example {{"strategy": "latency"}}.'
        raise CallerError(400, "bad-control", message) from None
    return Update(control, names, None if fields.get("revision") is None else control.revision)


def dump(control: Control) -> bytes:
    """The stored form."""
    return json.dumps(_as_json(control)).encode()


def _as_json(control: Control) -> dict[str, object]:
    return {
        "version": VERSION,
        "strategy": control.strategy,
        "draining": list(control.draining),
        "revision": control.revision,
    }


def _decoded(data: bytes) -> Mapping[str, object]:
    """Strict JSON: parsers disagree on duplicate names, and NaN is not JSON."""
    try:
        found: object = json.loads(data, parse_constant=_reject_constant, object_pairs_hook=_unique_names)
    except _Invalid:
        raise
    except (ValueError, RecursionError):
        raise _Invalid("it is not JSON") from None
    if not isinstance(found, dict):
        raise _Invalid(f"it is {_short(found)}; expected a JSON object")
    return cast("dict[str, object]", found)


def _control(fields: Mapping[str, object]) -> Control:
    """The fields that documents and updates share, checked."""
    strategy, revision = fields.get("strategy"), fields.get("revision", 0)
    draining: object = fields.get("draining", ())
    if strategy == CONFIGURED:
        strategy = None
    if strategy is not None and strategy not in tuple(Strategy):
        names = f"{', '.join(Strategy)}, or null to choose as configured"
        raise _Invalid(f"strategy: got {_short(strategy)}, expected one of {names}")
    revision = 0 if revision is None else revision
    if isinstance(revision, bool) or not isinstance(revision, int):
        raise _Invalid(f"revision: got {_short(revision)}, expected the number that GET reports")
    keys = list(cast("list[object]", draining)) if isinstance(draining, list | tuple) else [None]
    if len(keys) > MOST_TARGETS or not all(isinstance(key, str) for key in keys):
        raise _Invalid(
            f"draining: got {_short(fields.get('draining'))}, expected a list of targets, e.g. aws/eu-west-1"
        )
    return Control(None if strategy is None else Strategy(str(strategy)), revision, tuple(map(str, keys)))


class ControlDocument:
    """The control document as one router instance applies it."""

    def __init__(self, bucket: Bucket | None, balancer: Balancer, store: SnapshotStore) -> None:
        self._bucket, self._balancer, self._store = bucket, balancer, store
        self._known = Control()
        store.watch(NAME, self.on_change)

    def on_change(self, data: bytes) -> None:
        """Apply a stored document; SnapshotRejected for an invalid or outdated one."""
        found = parse(data)
        if found.revision < self._known.revision:
            raise SnapshotRejected(
                f"Its revision {found.revision} is older than the last one known, {self._known.revision}."
            )
        self._apply(found)

    def as_json(self) -> Mapping[str, object]:
        """The document that this instance applies, and where it is kept."""
        return {
            **_as_json(self._known),
            "effective": self._balancer.strategy,
            "configured": self._balancer.configured,
            "kept": "instance" if self._bucket is None else "bucket",
        }

    async def read(self) -> Mapping[str, object]:
        """The same after reading the bucket, for new and frozen instances. `unread` says why that
        failed."""
        if self._bucket is None:
            return self.as_json()
        try:
            async with asyncio.timeout(SAVE_S):
                found = await self._bucket.get(NAME)
            if isinstance(found, Found):
                self.on_change(found.data)
        except TimeoutError:
            return {**self.as_json(), "unread": f"the bucket did not answer within {SAVE_S:g} s"}
        except (BucketError, SnapshotRejected) as error:
            return {**self.as_json(), "unread": str(error)}
        return self.as_json()

    async def update(self, body: bytes) -> Mapping[str, object]:
        """Apply an operator's update; CallerError 400, 409 or 503 says why not. body: JSON."""
        update = parse_update(body, self._balancer.targets)
        if self._bucket is None:
            _expect(update.replaces, self._known)
            self._apply(update.applied(self._known, self._known.revision + 1))
            return self.as_json()
        try:
            async with asyncio.timeout(SAVE_S):
                self._apply(await self._write(self._bucket, update))
        except TimeoutError:
            raise _not_kept(f"the bucket did not answer within {SAVE_S:g} s") from None
        except BucketError as error:
            raise _not_kept(str(error)) from None
        return self.as_json()

    async def _write(self, bucket: Bucket, update: Update) -> Control:
        for _ in range(_TRIES):
            found = await bucket.get(NAME)
            stored = found if isinstance(found, Found) else None
            now = self._stored(stored)
            _expect(update.replaces, now)
            after = update.applied(now, max(now.revision, self._known.revision) + 1)
            if await bucket.put_if_unchanged(NAME, dump(after), stored):
                self._store.reread(NAME)
                return after
        message = "The control document changed during the update. Read it again and retry."
        raise CallerError(409, "changed-meanwhile", message)

    def _stored(self, found: Found | None) -> Control:
        """The document to replace; a damaged one counts as the last that is known."""
        if found is None:
            return Control()
        try:
            return parse(found.data)
        except SnapshotRejected as rejected:
            if newer(found.data, VERSION):
                message = f"{rejected.message} Change it with the release that wrote it."
                raise CallerError(409, "newer-version", message) from None
            return self._known

    def _apply(self, control: Control) -> None:
        self._known = control
        self._balancer.control(control.strategy, control.draining)


def _expect(replaces: int | None, now: Control) -> None:
    if replaces is not None and replaces != now.revision:
        message = f"The revision is {now.revision}, not {replaces}. Read the document again and retry."
        raise CallerError(409, "changed-meanwhile", message)


def _reject_constant(name: str) -> object:
    raise _Invalid(f"{name} is no JSON")


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Invalid(f"{twice[:60]} is there more than once")
    return fields


def _not_kept(why: str) -> CallerError:
    message = f"It is unknown whether the change was stored: {why}. Read the document, and retry."
    return CallerError(503, "not-kept", message)


def _short(value: object) -> str:
    return repr(value)[:60]
