"""An application whose requests with an `Idempotency-Key` run at most once in this cloud.

Rules of this file
- Claimed before the agent starts, kept before the reply's last byte is passed on: whoever has read a whole
  reply gets it again.
- The run does not end when its caller leaves: who asks again is to find its reply.
- The bucket down before the agent starts: nothing runs (503), and a claim that may have been made without an
  answer is given up, so that the repeat runs. Down at the end: the caller gets the reply, and whoever asks
  again is told that the outcome is unknown.
- The key is in no log, no message and no object's name.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from functions.asgi import (
    BEGIN,
    AnswersElsewhere,
    ASGIApp,
    ASGIMessage,
    Header,
    Scope,
    Send,
    header,
    send_error,
)
from functions.idempotency import records
from functions.idempotency.bucket import Bucket, BucketFailed, CloudBucket, Found
from functions.idempotency.errors import (
    BadKey,
    KeyReused,
    NothingKept,
    OutcomeUnknown,
    ReplyTooLarge,
    StillRunning,
)
from functions.idempotency.records import End, Kept, Verdict

LOG: Final = logging.getLogger("skyfleet.remembered")
KEY: Final = b"idempotency-key"
REPLAYED: Final[Header] = (b"idempotency-replayed", b"true")
# Every round but the first follows a change by somebody else or a failure that may have been a success; more
# of them mean that the bucket is not sane.
MOST_ROUNDS: Final = 3
# All rounds together: one write that is never answered, and time to see whether it took effect. With giving
# up (at most one more answer of the bucket) a router is told in 8 s, and still finds another cloud.
CLAIM_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Once:
    """bucket: None when the function has none. now: unix seconds. new_run: a random id."""

    bucket: Bucket | None
    now: Callable[[], float]
    new_run: Callable[[], str] = lambda: secrets.token_hex(16)

    @classmethod
    def at(cls, url: str | None, now: Callable[[], float]) -> Once:
        """With the bucket of that URL."""
        return cls(CloudBucket(url) if url else None, now)

    async def answer(self, app: ASGIApp, scope: Scope, body: bytes, send: Send) -> None:
        """Answer a request that has the header. app: calls `begin` before its agent starts, and answers
        errors; body: all of the request's.
        """
        keys = [value for name, value in scope["headers"] if name.lower() == KEY]
        problem = "there more than once" if len(keys) > 1 else records.problem_of(keys[0])
        if problem:
            await send_error(send, BadKey(problem))
            return
        run = _Run(self, keys[0], scope, body, send)
        try:
            await app({**scope, BEGIN: run.begin}, run.receive, run.send)
        except AnswersElsewhere:
            await run.replay()
        finally:
            await run.end()


class _Run:
    """One request with a key: claims, listens to the reply, keeps it."""

    def __init__(self, once: Once, key: bytes, scope: Scope, body: bytes, send: Send) -> None:
        self._once, self._send, self._body = once, send, body
        self._folder = records.folder(key)
        self._request = records.fingerprint(scope["method"], scope["path"], scope["query_string"], body)
        self._request_id = header(scope, b"x-request-id") or "without id"
        self._run = once.new_run()
        self._given = False
        self._ended = asyncio.Event()
        # asked: a claim of this run may be in the bucket; claimed: it is, and the agent may start; settled:
        # its end is there too, or there is nothing to end.
        self._asked = self._claimed = self._settled = self._gone = False
        self._why = "it changed in each round"
        self._found: Kept | None = None
        self._status, self._size = 0, 0
        self._headers: list[Header] = []
        self._chunks: list[bytes] = []

    async def begin(self) -> None:
        """Claim the key; raises when the agent must not start."""
        if self._once.bucket is None:
            LOG.warning("request %s: not run, SKYFLEET_BUCKET is not set", self._request_id)
            raise NothingKept
        self._asked = True
        try:
            async with asyncio.timeout(CLAIM_S):
                self._claimed = await self._claim_in_rounds(self._once.bucket)
        except TimeoutError:
            self._why = f"no claim within {CLAIM_S:g} s"
        if not self._claimed:
            LOG.warning("request %s: not run, the bucket failed: %s", self._request_id, self._why)
            await self._keep(Kept(End.REFUSED))
            raise NothingKept

    async def _claim_in_rounds(self, bucket: Bucket) -> bool:
        for _ in range(MOST_ROUNDS):
            try:
                if await self._claim(bucket):
                    return True
            except BucketFailed as error:  # what failed may have taken effect: the next round sees it
                self._why = str(error)
        return False

    async def _claim(self, bucket: Bucket) -> bool:  # noqa: RET503  # _turn_away never returns
        """False when somebody else changed something meanwhile."""
        now = self._once.now()
        name, mine = f"{self._folder}claim", records.claim(self._request, self._run, now)
        data = records.dump_claim(mine)
        if await bucket.create(name, data):
            return True
        found = await bucket.read(name)
        if found is None:
            return False
        theirs = records.parse_claim(found.data)
        if theirs is None:
            self._turn_away(Verdict.UNKNOWN)
        if theirs.run == self._run:  # made by an earlier try whose answer was lost
            return True
        if now >= theirs.expires:
            now = theirs.made + await self._age(bucket, found)
        end = await bucket.read(f"{self._folder}{theirs.run}")
        kept = records.parse_kept(end.data) if end is not None else None
        verdict = records.judge(theirs, kept, self._request, now)
        if verdict is Verdict.FREE:
            return await bucket.replace(name, data, found)
        self._turn_away(verdict, kept)

    async def _age(self, bucket: Bucket, found: Found) -> float:
        """Seconds since an object was written, by the bucket's clock alone: an instance whose own is a day
        ahead would run a key again.
        """
        name = f"{self._folder}{self._run}-now"
        await bucket.create(name, b"")
        probe = await bucket.read(name)
        if probe is None:
            raise BucketFailed("it does not tell its time")
        return probe.written - found.written

    def _turn_away(self, verdict: Verdict, kept: Kept | None = None) -> NoReturn:
        """The key is another run's."""
        self._settled, self._found = True, kept
        match verdict:
            case Verdict.REPLAY:
                raise AnswersElsewhere
            case Verdict.OTHER:
                raise KeyReused
            case Verdict.RUNNING:
                raise StillRunning
            case Verdict.LARGE:
                raise ReplyTooLarge
            case _:
                raise OutcomeUnknown

    async def replay(self) -> None:
        """The reply that was found."""
        kept = self._found or Kept(End.BROKEN)
        headers = [*kept.headers, REPLAYED]
        await self._send({"type": "http.response.start", "status": kept.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": kept.body})

    async def receive(self) -> ASGIMessage:
        """The body, and a disconnect only after the reply."""
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: ASGIMessage) -> None:
        """Note a part of the reply and pass it on; the last one only when the reply is kept."""
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
            await self._keep(self._whole())
        await self._pass_on(message)
        if last:
            self._ended.set()

    async def end(self) -> None:
        """The application is done: a run without a whole reply broke off; one that was stopped while it
        claimed never was.
        """
        self._ended.set()
        if self._asked and not self._settled:
            await self._keep(Kept(End.BROKEN if self._claimed else End.REFUSED))

    def _note(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > records.MOST_BYTES:
            self._chunks.clear()
        else:
            self._chunks.append(chunk)

    def _whole(self) -> Kept:
        if self._size > records.MOST_BYTES:
            return Kept(End.LARGE)
        return records.end_of(self._status, self._headers, b"".join(self._chunks))

    async def _keep(self, kept: Kept) -> None:
        self._settled = True
        if self._once.bucket is None:
            return
        try:
            await self._once.bucket.create(f"{self._folder}{self._run}", records.dump_kept(kept))
        except BucketFailed as error:
            LOG.warning("request %s: its end could not be kept: %s", self._request_id, error)

    async def _pass_on(self, message: ASGIMessage) -> None:
        if self._gone:
            return
        try:
            await self._send(message)
        except Exception:  # whatever a server raises for a caller who has left: the run goes on
            LOG.info("request %s: its caller left, it goes on", self._request_id)
            self._gone = True
