"""The records of requests with an `Idempotency-Key`, and the rules over them. Pure.

Objects of a key, in the bucket of the function's cloud and region:
- `replies/<hash>/claim`: written before the agent starts, by a conditional create; the request that creates
  it may run. The hash is of the key, so neither the key nor its length can be read from the bucket.
- `replies/<hash>/<run>`: the stored reply, written at the end of the run. The run id is random and part of
  the claim, so the reply of an expired claim is not found by a later one.
- `replies/<hash>/<run>-now`: written when a claim seems to have expired; its modification time is the
  bucket's current time.
Each is written once, since Google Cloud Storage takes one write per second to an object. Only an expired or
released claim is replaced, and only if it is unchanged since it was read.

Within `EXPIRY_S` of the claim, by the bucket's clock, there is at most one run. An unclear state (no reply
after the lease, a record that cannot be read or has a newer version) is an unknown outcome, and the request
is not run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, Final, cast

from skyfleet.asgi import Header, json_bytes

VERSION: Final = 1
PREFIX: Final = "replies/"
# The same as Stripe's, the best known user of the header: a queue may retry over night.
EXPIRY_S: Final = 86_400.0
# Longer than any cloud lets a request take (230 s on Azure). It only decides which error a repeat gets.
LEASE_S: Final = 300.0
# A reply of text is below 100 kB. 40 concurrent requests of an instance of 512 MB hold at most 40 MB.
MOST_BYTES: Final = 1_048_576
# Fields of one connection or of one point in time, which are not stored.
_NOT_STORED: Final = frozenset(
    {b"connection", b"date", b"keep-alive", b"server", b"trailer", b"transfer-encoding", b"upgrade"}
)
# With these statuses the agent has not done the work, so the key may be used again.
_NOT_DONE: Final = frozenset({429, 503})


class End(Enum):
    """How a run ended.

    DONE: with a whole reply. LARGE: with a reply above `MOST_BYTES`. BROKEN: without a whole reply. REFUSED:
    with a status that means not done, or before the agent was started.
    """

    DONE = "done"
    LARGE = "large"
    BROKEN = "broken"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of a run. request: its fingerprint. until, expires: end of the lease, of the claim (unix
    seconds)."""

    request: str
    run: str
    until: float
    expires: float

    @property
    def made(self) -> float:
        """When it was made, by the clock of the instance that made it (unix seconds)."""
        return self.expires - EXPIRY_S


@dataclass(frozen=True, slots=True)
class StoredReply:
    """The end of a run. status, headers, body: of its reply, if it is DONE."""

    end: End
    status: int = 0
    headers: tuple[Header, ...] = ()
    body: bytes = field(default=b"", repr=False)


class Verdict(Enum):
    """What happens to a request whose key has a claim."""

    FREE = "run: the claim has expired or was released"
    OTHER = "refuse: the key was used for a different request"
    RUNNING = "refuse: the first run has not ended"
    UNKNOWN = "refuse: the outcome of the first run is unknown"
    LARGE = "refuse: the first run ended, its reply was too large to be stored"
    REPLAY = "send the stored reply"


def folder(key: bytes) -> str:
    """The prefix of the names of a key's objects."""
    return f"{PREFIX}{hashlib.sha256(key).hexdigest()}/"


def fingerprint(method: str, path: str, query: bytes, body: bytes) -> str:
    """A hash that only the same request has. Headers are left out: client libraries vary them in retries."""
    where = path.encode("utf-8", "surrogateescape")
    parts = [method.encode(), where, query, hashlib.sha256(body).digest()]
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()


def claim(request: str, run: str, now: float) -> Claim:
    """A claim made now (unix seconds). run: a random id."""
    return Claim(request, run, now + LEASE_S, now + EXPIRY_S)


def judge(found: Claim | None, reply: StoredReply | None, request: str, now: float) -> Verdict:
    """The verdict on a request. found: the claim, None if unreadable. reply: of its run, if it ended."""
    if found is None:
        return Verdict.UNKNOWN
    if now >= found.expires or (reply is not None and reply.end is End.REFUSED):
        return Verdict.FREE
    if found.request != request:
        return Verdict.OTHER
    if reply is None:
        return Verdict.RUNNING if now < found.until else Verdict.UNKNOWN
    return {End.DONE: Verdict.REPLAY, End.LARGE: Verdict.LARGE}.get(reply.end, Verdict.UNKNOWN)


def end_of(status: int, headers: Sequence[Header], body: bytes) -> StoredReply:
    """The end of a run with a whole reply of at most `MOST_BYTES`."""
    if status in _NOT_DONE:
        return StoredReply(End.REFUSED)
    stored = tuple((name, value) for name, value in headers if name.lower() not in _NOT_STORED)
    return StoredReply(End.DONE, status, stored, body)


def dump_claim(made: Claim) -> bytes:
    """The stored form of a claim."""
    return json_bytes({"version": VERSION, **asdict(made)})


def parse_claim(data: bytes) -> Claim | None:
    """A claim from its stored form; None if it is damaged or of another version."""
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


def dump_reply(reply: StoredReply) -> bytes:
    """The stored form of a reply: one line of JSON, then the body."""
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in reply.headers]
    head = {"version": VERSION, "end": reply.end.value, "status": reply.status, "headers": headers}
    return json_bytes(head) + b"\n" + reply.body


def parse_reply(data: bytes) -> StoredReply:
    """A reply from its stored form; BROKEN if it is damaged or of another version."""
    head, _, body = data.partition(b"\n")
    found = _document(head) or {}
    try:
        match found:
            case {"end": str() as end, "status": int() as status, "headers": list()}:
                pairs = cast("list[tuple[str, str]]", found["headers"])
                given = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)
                return StoredReply(End(end), status, given, body)
            case _:
                return StoredReply(End.BROKEN)
    except (ValueError, TypeError, AttributeError):
        return StoredReply(End.BROKEN)


def _document(data: bytes) -> Mapping[str, Any] | None:
    try:
        parsed: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return None
    document = cast("dict[str, Any]", parsed)
    return document if document.get("version") == VERSION else None
