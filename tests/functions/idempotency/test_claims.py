"""Who may run a key: claims that two want at once, whose answers are lost, that wrong clocks look at."""

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
    """Two replace an object in the same moment: both have read it before either writes."""

    both: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(2))

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        if known is not None:
            await self.both.wait()
        return await super(Contended, self).put_if_unchanged(name, data, known)


@dataclass(slots=True)
class Unreadable(MemoryBucket):
    """hidden: creates and reads of claims that fail, after `unanswered` writes that did take effect."""

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
    """Claims are made and never answered."""

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        made = await super(Silent, self).put_if_unchanged(name, data, known)
        if name.endswith("/claim"):
            await asyncio.Event().wait()
        return made


@dataclass(slots=True)
class Timeless(MemoryBucket):
    """Takes claims and replies only, so nothing tells its time."""

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        if name.endswith("-now"):
            raise BucketError("it does not take this")
        return await super(Timeless, self).put_if_unchanged(name, data, known)


async def test_of_two_that_find_the_same_expired_claim_one_runs() -> None:
    """The conditional replace decides, and whoever lost it looks again: the claim is the other's now."""
    bucket = Contended()
    cloud = Cloud("counting", bucket)
    await cloud.ask()
    cloud.time += EXPIRY_S
    replies = await asyncio.gather(cloud.ask(), cloud.ask())
    assert RUNS == ["hi", "hi"]
    assert sum(reply.status == 200 and not replayed(reply) for reply in replies) == 1
    assert (await cloud.ask()).json["output"] == "run 2 of hi"


async def test_of_two_that_find_the_key_freed_by_the_agent_one_runs() -> None:
    """The same for a run that said that it did not do it."""
    cloud = Cloud("application", Contended())
    assert (await cloud.ask(b"b", "/busy")).status == 503
    replies = await asyncio.gather(cloud.ask(b"b", "/busy"), cloud.ask(b"b", "/busy"))
    assert len(RUNS) == 2
    assert sum(reply.status == 207 and not replayed(reply) for reply in replies) == 1


@pytest.mark.parametrize("expired", [False, True])
async def test_a_claim_that_was_made_without_an_answer_is_found_and_goes_on(expired: bool) -> None:
    """Nobody knows whether a failed write took effect, so whoever made it looks: made anew or in the place
    of an old one.
    """
    bucket = MemoryBucket()
    cloud = Cloud("counting", bucket)
    if expired:
        await cloud.ask()
        cloud.time += EXPIRY_S
        bucket.unanswered = 2  # the first is what tells the bucket's time
    else:
        bucket.unanswered = 1
    RUNS.clear()
    first, again = await cloud.ask(), await cloud.ask()
    assert (first.status, replayed(first), RUNS) == (200, False, ["hi"])
    assert (again.body, replayed(again)) == (first.body, True)


@pytest.mark.parametrize("later", [0, LEASE_S])
async def test_a_claim_that_nobody_could_find_again_is_given_up(
    later: float, caplog: pytest.LogCaptureFixture
) -> None:
    """The request was refused and never ran, so its repeat runs as soon as the refusal was seen: the first is
    neither running nor unknown.
    """
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


async def test_a_bucket_that_never_answers_is_given_up_in_time_for_another_cloud(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All rounds together have one time limit; the claim that it may have made is given up too."""
    monkeypatch.setattr(middleware, "CLAIM_S", 0.01)

    silent = Silent()
    assert code(await Cloud("counting", silent).ask()) == (503, "store-unavailable")
    repeat = Cloud("counting", MemoryBucket(silent.objects, written=silent.written))
    assert (await repeat.ask()).status == 200
    assert RUNS == ["hi"]


async def test_a_request_that_is_cancelled_while_it_claims_leaves_the_key_free() -> None:
    """A host's time limit or shutdown: the agent had not started."""
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


async def test_who_is_turned_away_leaves_the_other_ones_claim_alone() -> None:
    """Only a run's own claim is given up."""
    cloud = Cloud("counting")
    await cloud.ask()
    assert cloud.bucket is not None
    before = dict(cloud.bucket.objects)
    assert (await cloud.ask(b'{"input": "another"}')).status == 422
    assert replayed(await cloud.ask())
    assert cloud.bucket.objects == before


@pytest.mark.parametrize("skew", [EXPIRY_S, -EXPIRY_S, 400 * EXPIRY_S])
async def test_an_instance_with_a_wrong_clock_never_runs_a_key_again(skew: float) -> None:
    """Whether it is the one that made the claim or the one that finds it: the bucket's clock decides."""
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


async def test_a_clock_that_is_ahead_does_not_call_a_run_that_goes_on_unknown() -> None:
    """Its age is the bucket's to tell."""
    cloud = Cloud("waiting")
    first = asyncio.create_task(cloud.ask())
    while not RUNS:
        await asyncio.sleep(0)
    cloud.skew = EXPIRY_S
    assert code(await cloud.ask()) == (409, "still-running")
    first.cancel()
    await asyncio.wait([first])


async def test_without_the_buckets_time_an_expired_claim_is_not_replaced() -> None:
    """Refused rather than run on the word of one clock."""
    cloud = Cloud("counting", Timeless())
    await cloud.ask()
    cloud.time += EXPIRY_S
    assert code(await cloud.ask()) == (503, "store-unavailable")
    assert RUNS == ["hi"]
