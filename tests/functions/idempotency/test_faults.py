"""Requests with an `Idempotency-Key` in hard times: whatever breaks, nothing runs a second time."""

from __future__ import annotations

import asyncio

import pytest

from functions.idempotency.records import EXPIRY_S, LEASE_S
from tests.asgi import Caller, scope
from tests.functions.idempotency import memory_bucket
from tests.functions.idempotency.memory_bucket import RUNS, MemoryBucket
from tests.functions.idempotency.support import ASK, KEY, Cloud, code, replayed
from tests.functions.support import signature, signed

pytestmark = pytest.mark.usefixtures("no_runs")


async def test_a_run_whose_instance_died_is_never_repeated_within_the_expiry() -> None:
    """A claim without an end: still running within its lease, then unknown, free again after the expiry."""
    cloud = Cloud("waiting")
    died = asyncio.create_task(cloud.ask())
    while not RUNS:
        await asyncio.sleep(0)
    assert cloud.bucket is not None
    claims = dict(cloud.bucket.objects)
    died.cancel()
    await asyncio.wait([died])
    cloud.bucket.objects = claims
    began, memory_bucket.GO_ON = cloud.time, asyncio.Event()
    memory_bucket.GO_ON.set()
    assert code(await cloud.ask()) == (409, "still-running")
    for later in (LEASE_S, EXPIRY_S - 1):
        cloud.time = began + later
        assert code(await cloud.ask()) == (409, "outcome-unknown")
    assert RUNS == ["hi"]
    cloud.time = began + EXPIRY_S
    assert (await cloud.ask()).status == 200
    assert RUNS == ["hi", "hi"]
    assert replayed(await cloud.ask())


@pytest.mark.parametrize("path", ["/cut", "/silent"])
async def test_a_run_that_broke_off_is_unknown_at_once(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Half a reply is not replayed and the work is not done again."""
    cloud = Cloud("application")
    if path == "/cut":
        with pytest.raises(RuntimeError, match="cut"):
            await cloud.ask(b"b", path)
    else:
        assert (await cloud.ask(b"b", path)).status == 0
    assert code(await cloud.ask(b"b", path)) == (409, "outcome-unknown")
    assert len(RUNS) == 1
    assert KEY not in caplog.text


@pytest.mark.parametrize("bucket", [MemoryBucket(down=True), None])
async def test_without_its_bucket_nothing_with_a_key_runs(
    bucket: MemoryBucket | None, caplog: pytest.LogCaptureFixture
) -> None:
    """503 with Retry-After before the agent starts, so that a router goes elsewhere with this request, and
    marked so that it blames nobody: the rest works on.
    """
    cloud = Cloud("counting", bucket)
    reply = await cloud.ask()
    assert (code(reply), reply.header("retry-after")) == ((503, "store-unavailable"), "1")
    assert reply.header("x-skyfleet-outcome") == "caller"
    assert RUNS == []
    assert (await signed(cloud.instance(), "POST", "/invoke", ASK)).status == 200
    assert "r-7" in caplog.text
    assert KEY not in caplog.text


async def test_a_bucket_that_is_lost_during_the_run_costs_the_replay_not_the_reply(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first caller is answered; a repeat is told the truth: nobody knows any more."""
    cloud = Cloud("waiting")
    assert cloud.bucket is not None
    first = asyncio.create_task(cloud.ask())
    while not RUNS:
        await asyncio.sleep(0)
    cloud.bucket.down = True
    memory_bucket.GO_ON.set()
    assert (await first).json["output"] == "run 1 went on"
    cloud.bucket.down = False
    cloud.time += LEASE_S
    assert code(await cloud.ask()) == (409, "outcome-unknown")
    assert RUNS == ["hi"]
    assert "could not be stored" in caplog.text
    assert KEY not in caplog.text


async def test_a_claim_whose_confirmation_was_lost_is_still_ones_own() -> None:
    """The store's client tries again by itself and finds the object that its first try made."""
    cloud = Cloud("counting", MemoryBucket(lost=1))
    first = await cloud.ask()
    assert (first.status, replayed(first), RUNS) == (200, False, ["hi"])


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b'{"version": 2}', b'{"version": 1, "run": "x"}', b"\xff" * 40]
)
@pytest.mark.parametrize("which", ["claim", "reply"])
async def test_a_document_that_cannot_be_read_never_makes_a_second_run(which: str, damage: bytes) -> None:
    """Cut, of another version, or no document at all: the outcome is unknown."""
    cloud = Cloud("counting")
    await cloud.ask()
    assert cloud.bucket is not None
    for name in cloud.bucket.objects:
        if name.endswith("/claim") == (which == "claim"):
            cloud.bucket.objects[name] = damage
    assert code(await cloud.ask()) == (409, "outcome-unknown")
    assert RUNS == ["hi"]


async def test_a_caller_who_leaves_finds_the_reply_when_it_comes_back() -> None:
    """A run with a key goes on without its caller: a broken connection is what keys are for."""
    cloud = Cloud("waiting")
    headers = [(b"idempotency-key", KEY.encode()), *signature("POST", "/invoke", b"", ASK)]
    caller = Caller([ASK])
    request = scope("POST", "/invoke", b"", headers)
    task = asyncio.create_task(cloud.instance()(request, caller.receive, caller.send))
    while not RUNS:
        await asyncio.sleep(0)
    caller.hang_up.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
    memory_bucket.GO_ON.set()
    await task
    again = await cloud.ask()
    assert (again.json["output"], replayed(again), RUNS) == ("run 1 went on", True, ["hi"])


async def test_a_connection_that_is_gone_does_not_end_the_run() -> None:
    """Servers raise when they are sent something for a caller who left; the reply is kept all the same."""
    cloud = Cloud("application")
    headers = [(b"idempotency-key", KEY.encode()), *signature("POST", "/any", b"", b"b")]

    async def gone(message: object) -> None:
        raise OSError("connection lost")

    await cloud.instance()(scope("POST", "/any", b"", headers), Caller([b"b"]).receive, gone)
    again = await cloud.ask(b"b", "/any")
    assert (again.status, again.body, RUNS) == (207, b"one b and two", ["/any"])


async def test_a_host_that_cancels_a_run_leaves_an_unknown_outcome() -> None:
    """The time limit of a server: the agent was stopped somewhere in the middle."""
    cloud = Cloud("waiting")
    cancelled = asyncio.create_task(cloud.ask())
    while not RUNS:
        await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert cancelled.cancelled()
    assert code(await cloud.ask()) == (409, "outcome-unknown")
