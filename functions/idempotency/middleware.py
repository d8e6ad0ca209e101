"""Run requests with an `Idempotency-Key` at most once in this cloud, and replay their stored replies.

Rules
- The key is claimed before the agent starts. The reply is stored before its last byte is sent, so a client
  that has read a whole reply can get it again.
- The run goes on if its client disconnects, so a repeat finds its reply.
- If the bucket fails before the agent starts, nothing runs (503). A claim that may have been written is
  released, so that a repeat can run. If the bucket fails at the end, the client gets the reply, and a repeat
  an error: the outcome is unknown.
- Logs, messages and object names never contain the key.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from functions.errors import send_error
from functions.idempotency import records
from functions.idempotency.errors import (
    BadKey,
    KeyReused,
    OutcomeUnknown,
    ReplyTooLarge,
    StillRunning,
    StoreUnavailable,
)
from functions.idempotency.records import End, StoredReply, Verdict
from functions.runner import ON_START, ReplayStored
from skyfleet.asgi import ASGIApp, Header, Message, Scope, Send, header_text
from skyfleet.idempotency_key import InvalidKey, parse_key
from skyfleet.objects import TIMEOUT_S, Bucket, BucketError, CloudBucket, Found

LOG: Final = logging.getLogger("skyfleet.idempotency")
KEY: Final = b"idempotency-key"
REPLAYED: Final[Header] = (b"idempotency-replayed", b"true")
# A round follows a change by another request, or a failure that may have been a success.
MOST_ROUNDS: Final = 3
# All rounds together: one write without an answer, and a read that shows whether it took effect. With the
# release of the claim (one more write) the 503 comes within 8 s, in time for a router to try another cloud.
CLAIM_S: Final = 5.0
# A stored reply: one line with status and headers, then the body.
_MOST_READ: Final = records.MOST_BYTES + 262_144


@dataclass(frozen=True, slots=True)
class IdempotencyMiddleware:
    """bucket: None if the function has none. now: unix seconds. new_run_id: returns a random id."""

    bucket: Bucket | None
    now: Callable[[], float]
    new_run_id: Callable[[], str] = lambda: secrets.token_hex(16)

    @classmethod
    def for_url(cls, url: str | None, now: Callable[[], float]) -> IdempotencyMiddleware:
        """The middleware with the bucket of this URL."""
        if not url:
            return cls(None, now)
        # The function may not list the bucket, so S3 answers a read of a missing object with 403.
        bucket = CloudBucket(url, most_bytes=_MOST_READ, timeout_s=TIMEOUT_S, denied_is_missing=True)
        return cls(bucket, now)

    async def handle(self, app: ASGIApp, scope: Scope, body: bytes, send: Send) -> None:
        """Handle a request with the header.

        app: calls `notify_start` before its agent starts, and sends error responses. body: of the request.
        """
        keys = [value for name, value in scope["headers"] if name.lower() == KEY]
        try:
            if len(keys) > 1:
                raise InvalidKey("given more than once")
            key = parse_key(keys[0])
        except InvalidKey as problem:
            await send_error(send, BadKey(str(problem)))
            return
        run = _Run(self, key, scope, body, send)
        try:
            await app({**scope, ON_START: run.start}, run.receive, run.send)
        except ReplayStored:
            await run.replay()
        finally:
            await run.end()


class _Run:
    """One request with a key: claims the key, then records and stores the reply."""

    def __init__(
        self, middleware: IdempotencyMiddleware, key: bytes, scope: Scope, body: bytes, send: Send
    ) -> None:
        self._middleware, self._send, self._body = middleware, send, body
        self._folder = records.folder(key)
        self._request = records.fingerprint(scope["method"], scope["path"], scope["query_string"], body)
        self._request_id = header_text(scope, b"x-request-id") or "without id"
        self._run = middleware.new_run_id()
        self._given = False
        self._ended = asyncio.Event()
        # asked: a claim of this run may be in the bucket. claimed: it is there, and the agent may start.
        # settled: the end of the run is stored, or there is none to store. gone: the client has disconnected.
        self._asked = self._claimed = self._settled = self._gone = False
        self._why = "it changed in each round"
        self._found: StoredReply | None = None
        self._status, self._size = 0, 0
        self._headers: list[Header] = []
        self._chunks: list[bytes] = []

    async def start(self) -> None:
        """Claim the key. Raises KeyRefusal or ReplayStored if the agent must not start."""
        if self._middleware.bucket is None:
            LOG.warning("request %s: not run, SKYFLEET_BUCKET is not set", self._request_id)
            raise StoreUnavailable
        self._asked = True
        try:
            async with asyncio.timeout(CLAIM_S):
                self._claimed = await self._claim_in_rounds(self._middleware.bucket)
        except TimeoutError:
            self._why = f"no claim within {CLAIM_S:g} s"
        if not self._claimed:
            LOG.warning("request %s: not run, the bucket failed: %s", self._request_id, self._why)
            await self._store(StoredReply(End.REFUSED))
            raise StoreUnavailable

    async def _claim_in_rounds(self, bucket: Bucket) -> bool:
        for _ in range(MOST_ROUNDS):
            try:
                if await self._claim(bucket):
                    return True
            except BucketError as error:  # the write may have taken effect: the next round reads it
                self._why = str(error)
        return False

    async def _claim(self, bucket: Bucket) -> bool:  # noqa: RET503  # _turn_away never returns
        """Claim the key; False if another request changed its claim meanwhile."""
        now = self._middleware.now()
        name, mine = f"{self._folder}claim", records.claim(self._request, self._run, now)
        data = records.dump_claim(mine)
        if await bucket.put_if_unchanged(name, data, None):
            return True
        found = await _read(bucket, name)
        if found is None:
            return False
        theirs = records.parse_claim(found.data)
        if theirs is None:
            self._turn_away(Verdict.UNKNOWN)
        if theirs.run == self._run:  # written in an earlier round whose answer was lost
            return True
        if now >= theirs.expires:
            now = theirs.made + await self._age(bucket, found)
        end = await _read(bucket, f"{self._folder}{theirs.run}")
        reply = records.parse_reply(end.data) if end is not None else None
        verdict = records.judge(theirs, reply, self._request, now)
        if verdict is Verdict.FREE:
            return await bucket.put_if_unchanged(name, data, found)
        self._turn_away(verdict, reply)

    async def _age(self, bucket: Bucket, found: Found) -> float:
        """Seconds since an object was written, by the bucket's clock.

        An instance whose own clock is a day ahead would otherwise run a key again."""
        name = f"{self._folder}{self._run}-now"
        await bucket.put_if_unchanged(name, b"", None)
        probe = await _read(bucket, name)
        if probe is None:
            raise BucketError("an object that was just written is missing")
        return probe.modified - found.modified

    def _turn_away(self, verdict: Verdict, reply: StoredReply | None = None) -> NoReturn:
        """Refuse the request, or replay a stored reply: the claim is of another run."""
        self._settled, self._found = True, reply
        match verdict:
            case Verdict.REPLAY:
                raise ReplayStored
            case Verdict.OTHER:
                raise KeyReused
            case Verdict.RUNNING:
                raise StillRunning
            case Verdict.LARGE:
                raise ReplyTooLarge
            case _:
                raise OutcomeUnknown

    async def replay(self) -> None:
        """Send the stored reply."""
        reply = self._found or StoredReply(End.BROKEN)
        headers = [*reply.headers, REPLAYED]
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": reply.body})

    async def receive(self) -> Message:
        """Return the body, then a disconnect after the end of the reply."""
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Record a part of the reply and forward it; the last one only after the reply is stored."""
        if not self._claimed:
            await self._send(message)
            return
        kind, last = message["type"], False
        if kind == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", ()))
            self._size = sum(len(name) + len(value) for name, value in self._headers)
        elif kind == "http.response.body":
            self._note(message.get("body", b""))
            last = not message.get("more_body", False)
        if last:
            await self._store(self._whole())
        await self._forward(message)
        if last:
            self._ended.set()

    async def end(self) -> None:
        """The application has returned or raised.

        A run without a whole reply is BROKEN; one that was cancelled while it claimed the key is REFUSED."""
        self._ended.set()
        if self._asked and not self._settled:
            await self._store(StoredReply(End.BROKEN if self._claimed else End.REFUSED))

    def _note(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > records.MOST_BYTES:
            self._chunks.clear()
        else:
            self._chunks.append(chunk)

    def _whole(self) -> StoredReply:
        if self._size > records.MOST_BYTES:
            return StoredReply(End.LARGE)
        return records.end_of(self._status, self._headers, b"".join(self._chunks))

    async def _store(self, reply: StoredReply) -> None:
        self._settled = True
        bucket = self._middleware.bucket
        if bucket is None:
            return
        try:
            await bucket.put_if_unchanged(f"{self._folder}{self._run}", records.dump_reply(reply), None)
        except BucketError as error:
            LOG.warning("request %s: its end could not be stored: %s", self._request_id, error)

    async def _forward(self, message: Message) -> None:
        if self._gone:
            return
        try:
            await self._send(message)
        except Exception:  # servers raise different exceptions after a disconnect; the run goes on
            LOG.info("request %s: its client disconnected, the run goes on", self._request_id)
            self._gone = True


async def _read(bucket: Bucket, name: str) -> Found | None:
    found = await bucket.get(name)
    return found if isinstance(found, Found) else None
