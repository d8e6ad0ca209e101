"""What is remembered of a request with an `Idempotency-Key`, as plain values; the rules, without I/O.

Two objects a key in the bucket of the function's own place:
- `replies/<hash>/claim`, made before the agent starts, by a conditional create: whoever makes it runs. `hash`
  is of the key: neither key nor its length can be read from the bucket.
- `replies/<hash>/<run>`, made when the run has ended: its reply. `run` is the claim's own random id, so that
  the reply of a run whose time is over belongs to nobody.
- `replies/<hash>/<run>-now`, made when a claim seems to be over: when it was written is the bucket's time.
Each is written once (Google takes one write a second of one object); only a claim that counts no longer is
replaced, under the condition that it is still the one that was read.

The promise: within `EXPIRY_S` of the claim at most one run, by the bucket's clock: those of two instances may
differ. So whatever is unclear (no reply after the lease,
documents that cannot be read, that are newer than this code) is *unknown*, and never run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, Final, cast

from functions.asgi import Header, json_bytes

VERSION: Final = 1
PREFIX: Final = "replies/"
# What Stripe, the header's best known user, promises too: enough for a queue that is retried over night.
EXPIRY_S: Final = 86_400.0
# Longer than a cloud lets a request take (230 s, Azure's front door). It decides only what a repeat is told.
LEASE_S: Final = 300.0
# A reply of text is below 100 kB. 40 requests at once in an instance of 512 MB hold 40 MB of them at most.
MOST_BYTES: Final = 1_048_576
LONGEST_KEY: Final = 255
# Of one connection or one moment, so not the reply's own.
_NOT_KEPT: Final = frozenset(
    {b"connection", b"date", b"keep-alive", b"server", b"trailer", b"transfer-encoding", b"upgrade"}
)
# Statuses by which an agent says that it did not do the work: the key is free again.
_NOT_DONE: Final = frozenset({429, 503})


class End(Enum):
    """How a run ended. BROKEN: in the middle of its reply; LARGE: with more than is kept; REFUSED: the agent
    said it did not do it, or was never started."""

    DONE = "done"
    LARGE = "large"
    BROKEN = "broken"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that was started. request: its fingerprint; until: end of the lease (unix seconds)."""

    request: str
    run: str
    until: float
    expires: float

    @property
    def made(self) -> float:
        """By the clock of whoever made it."""
        return self.expires - EXPIRY_S


@dataclass(frozen=True, slots=True)
class Kept:
    """A run's end; status, headers and body only when it is DONE."""

    end: End
    status: int = 0
    headers: tuple[Header, ...] = ()
    body: bytes = field(default=b"", repr=False)


class Verdict(Enum):
    """What a request is told whose key is known."""

    FREE = "the claim counts no longer"
    OTHER = "the key was used for another request"
    RUNNING = "the first run has not ended"
    UNKNOWN = "the first run's outcome is not known"
    LARGE = "it ended, and its reply was not kept"
    REPLAY = "it ended, and here is its reply"


def problem_of(key: bytes) -> str:
    """Why it is none: a key is 1 to 255 visible ASCII characters; empty when it is one."""
    if not 0 < len(key) <= LONGEST_KEY:
        return f"{len(key)} characters long"
    if not all(0x21 <= byte <= 0x7E for byte in key):
        return "not all visible ASCII"
    return ""


def folder(key: bytes) -> str:
    """Where the objects of a key are, with the slash."""
    return f"{PREFIX}{hashlib.sha256(key).hexdigest()}/"


def fingerprint(method: str, path: str, query: bytes, body: bytes) -> str:
    """Equal only for the same request. Headers are not in it: client libraries vary them from try to try."""
    where = path.encode("utf-8", "surrogateescape")
    parts = [method.encode(), where, query, hashlib.sha256(body).digest()]
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()


def claim(request: str, run: str, now: float) -> Claim:
    """A claim made now. run: a random id."""
    return Claim(request, run, now + LEASE_S, now + EXPIRY_S)


def judge(found: Claim | None, kept: Kept | None, request: str, now: float) -> Verdict:
    """What a request is told. found: the key's claim, None if it is unreadable; kept: its end, if known."""
    if found is None:
        return Verdict.UNKNOWN
    if now >= found.expires or (kept is not None and kept.end is End.REFUSED):
        return Verdict.FREE
    if found.request != request:
        return Verdict.OTHER
    if kept is None:
        return Verdict.RUNNING if now < found.until else Verdict.UNKNOWN
    return {End.DONE: Verdict.REPLAY, End.LARGE: Verdict.LARGE}.get(kept.end, Verdict.UNKNOWN)


def end_of(status: int, headers: Sequence[Header], body: bytes) -> Kept:
    """The end of a run that gave a whole reply of at most `MOST_BYTES`."""
    if status in _NOT_DONE:
        return Kept(End.REFUSED)
    worth = tuple((name, value) for name, value in headers if name.lower() not in _NOT_KEPT)
    return Kept(End.DONE, status, worth, body)


def dump_claim(made: Claim) -> bytes:
    """The stored form of a claim, which `parse_claim` reads."""
    return json_bytes({"version": VERSION, **asdict(made)})


def parse_claim(data: bytes) -> Claim | None:
    """None for what this code cannot read."""
    found = _document(data)
    match found:
        case {
            "request": str() as request,
            "run": str() as run,
            "until": int() | float() as until,
            "expires": int() | float() as expires,
        }:
            return Claim(request, run, until, expires)
        case _:
            return None


def dump_kept(kept: Kept) -> bytes:
    """One line of JSON, then the body as it was."""
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in kept.headers]
    head = {"version": VERSION, "end": kept.end.value, "status": kept.status, "headers": headers}
    return json_bytes(head) + b"\n" + kept.body


def parse_kept(data: bytes) -> Kept:
    """What this code cannot read is an end of which nothing is known."""
    head, _, body = data.partition(b"\n")
    found = _document(head) or {}
    try:
        match found:
            case {"end": str() as end, "status": int() as status, "headers": list()}:
                pairs = cast("list[tuple[str, str]]", found["headers"])
                given = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)
                return Kept(End(end), status, given, body)
            case _:
                return Kept(End.BROKEN)
    except (ValueError, TypeError, AttributeError):
        return Kept(End.BROKEN)


def _document(data: bytes) -> Mapping[str, Any] | None:
    try:
        parsed: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return None
    document = cast("dict[str, Any]", parsed)
    return document if document.get("version") == VERSION else None
