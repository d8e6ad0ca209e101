"""Tests of claims of a key: concurrent claims, lost answers, wrong clocks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from functions.idempotency import middleware
from functions.idempotency.records import EXPIRY_S, LEASE_S
from skyfleet.objects import BucketError, Found
from tests.asgi import Message, Reply
from tests.functions.idempotency.memory_bucket import RUNS, MemoryBucket
from tests.functions.idempotency.support import KEY, Cloud, code, replayed

pytestmark = pytest.mark.usefixtures("no_runs")


@dataclass(slots=True)
class Contended(MemoryBucket):
    """Two clients replace an object at the same time: both read it before the first write."""

    both: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(2))

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        if known is not None:
            await self.both.wait()
        return await super(Contended, self).put_if_unchanged(name, data, known)


@dataclass(slots=True)
class Unreadable(MemoryBucket):
    """hidden: the number of failed creates and reads of claims, after `unanswered` effective writes."""

    hidden: int = 0

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        if known is None and name.endswith("/claim") and name in self.objects:
            self._hide()
        return await super(Unreadable, self).put_if_unchanged(name, data, known)

    async def get(self, name: str, tag: str | None = None) -> Found | None:
        self._hide()
        return await super(Unreadable, self).get(name, tag)

    def _hide(self) -> None:
        if self.hidden:
            self.hidden -= 1
            raise BucketError("it does not answer")


@dataclass(slots=True)
class Silent(MemoryBucket):
    """Creates claims and never answers."""

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        made = await super(Silent, self).put_if_unchanged(name, data, known)
        if name.endswith("/claim"):
            await asyncio.Event().wait()
        return made


@dataclass(slots=True)
class Timeless(MemoryBucket):
    """Stores only claims and replies, so its clock cannot be read."""

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        if name.endswith("-now"):
            raise BucketError("it does not take this")
        return await super(Timeless, self).put_if_unchanged(name, data, known)


async def test_of_two_requests_that_find_an_expired_claim_one_runs() -> None:
    """The conditional replace decides. The other request reads the bucket again and finds the new claim."""
    bucket = Contended()
    cloud = Cloud("counting", bucket)
    await cloud.ask()
    cloud.time += EXPIRY_S
    replies = await asyncio.gather(cloud.ask(), cloud.ask())
    assert RUNS == ["hi", "hi"]
    assert sum(reply.status == 200 and not replayed(reply) for reply in replies) == 1
    assert (await cloud.ask()).json["output"] == "run 2 of hi"


async def test_of_two_requests_that_find_a_released_key_one_runs() -> None:
    """The agent of the earlier run has declared that nothing was done."""
    cloud = Cloud("application", Contended())
    assert (await cloud.ask(b"b", "/busy")).status == 503
    replies = await asyncio.gather(cloud.ask(b"b", "/busy"), cloud.ask(b"b", "/busy"))
    assert len(RUNS) == 2
    assert sum(reply.status == 207 and not replayed(reply) for reply in replies) == 1


@pytest.mark.parametrize("expired", [False, True])
async def test_a_request_finds_its_own_claim_after_a_lost_answer(expired: bool) -> None:
    """The request reads the bucket after a failed write, for a new claim and for a replaced one."""
    bucket = MemoryBucket()
    cloud = Cloud("counting", bucket)
    if expired:
        await cloud.ask()
        cloud.time += EXPIRY_S
        bucket.unanswered = 2  # the first one reads the bucket's clock
    else:
        bucket.unanswered = 1
    RUNS.clear()
    first, again = await cloud.ask(), await cloud.ask()
    assert (first.status, replayed(first), RUNS) == (200, False, ["hi"])
    assert (again.body, replayed(again)) == (first.body, True)


@pytest.mark.parametrize("later", [0, LEASE_S])
async def test_a_claim_of_unknown_outcome_is_released(later: float, caplog: pytest.LogCaptureFixture) -> None:
    """The request was refused and never ran, so its repeat runs immediately."""
    cloud = Cloud("counting", Unreadable(unanswered=1, hidden=middleware.MOST_ROUNDS - 1))
    replies = list[Reply]()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert (message["status"], RUNS) == (503, [])
        else:
            cloud.time += later
            replies.append(await cloud.ask())

    await cloud.ask_into(send)
    assert [(reply.status, replayed(reply)) for reply in replies] == [(200, False)]
    assert RUNS == ["hi"]
    assert "not run, the bucket failed: it does not answer" in caplog.text
    assert KEY not in caplog.text


async def test_the_wait_for_a_silent_bucket_leaves_time_for_another_cloud(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All rounds share one time limit, and a claim that may exist is released."""
    monkeypatch.setattr(middleware, "CLAIM_S", 0.01)

    silent = Silent()
    assert code(await Cloud("counting", silent).ask()) == (503, "store-unavailable")
    repeat = Cloud("counting", MemoryBucket(silent.objects, written=silent.written))
    assert (await repeat.ask()).status == 200
    assert RUNS == ["hi"]


async def test_a_request_that_is_cancelled_during_its_claim_releases_the_key() -> None:
    """The agent had not started when the host's time limit or shutdown came."""
    silent = Silent()
    cancelled = asyncio.create_task(Cloud("counting", silent).ask())
    while not silent.objects:
        await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert cancelled.cancelled()
    repeat = Cloud("counting", MemoryBucket(silent.objects, written=silent.written))
    assert (await repeat.ask()).status == 200
    assert RUNS == ["hi"]


async def test_a_refused_request_does_not_release_the_claim_of_another() -> None:
    """A request releases only its own claim."""
    cloud = Cloud("counting")
    await cloud.ask()
    assert cloud.bucket is not None
    before = dict(cloud.bucket.objects)
    assert (await cloud.ask(b'{"input": "another"}')).status == 422
    assert replayed(await cloud.ask())
    assert cloud.bucket.objects == before


@pytest.mark.parametrize("skew", [EXPIRY_S, -EXPIRY_S, 400 * EXPIRY_S])
async def test_an_instance_with_a_wrong_clock_never_runs_a_key_again(skew: float) -> None:
    """The bucket's clock decides, for the instance that made the claim and for the one that finds it."""
    cloud = Cloud("counting")
    first = await cloud.ask()
    cloud.skew = skew
    again = await cloud.ask()
    assert (again.body, replayed(again)) == (first.body, True)
    made = await cloud.ask(key="claimed-by-the-wrong-clock")
    cloud.skew = 0
    again = await cloud.ask(key="claimed-by-the-wrong-clock")
    assert (again.body, replayed(again)) == (made.body, True)
    assert RUNS == ["hi", "hi"]


async def test_an_instance_with_a_fast_clock_recognises_a_running_request() -> None:
    """The age of a claim is measured with the bucket's clock."""
    cloud = Cloud("waiting")
    first = asyncio.create_task(cloud.ask())
    while not RUNS:
        await asyncio.sleep(0)
    cloud.skew = EXPIRY_S
    assert code(await cloud.ask()) == (409, "still-running")
    first.cancel()
    await asyncio.wait([first])


async def test_without_the_buckets_time_an_expired_claim_is_not_replaced() -> None:
    """The request is refused, since the instance's clock alone is not reliable."""
    cloud = Cloud("counting", Timeless())
    await cloud.ask()
    cloud.time += EXPIRY_S
    assert code(await cloud.ask()) == (503, "store-unavailable")
    assert RUNS == ["hi"]
