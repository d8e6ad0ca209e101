"""Tests of requests with an `Idempotency-Key` under faults: no fault causes a second run."""

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


async def test_a_run_of_a_dead_instance_is_not_repeated_within_the_expiry() -> None:
    """Its claim counts as running within the lease, then as unknown, and expires."""
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


async def test_a_truncated_run_has_an_unknown_outcome(caplog: pytest.LogCaptureFixture) -> None:
    """A partial reply is not replayed, and the agent does not run again."""
    cloud = Cloud("application")
    with pytest.raises(RuntimeError, match="cut"):
        await cloud.ask(b"b", "/cut")
    assert code(await cloud.ask(b"b", "/cut")) == (409, "outcome-unknown")
    assert len(RUNS) == 1
    assert KEY not in caplog.text


async def test_a_run_without_a_response_is_a_failed_one(caplog: pytest.LogCaptureFixture) -> None:
    """Its error is replayed, and the agent does not run again."""
    cloud = Cloud("application")
    assert code(await cloud.ask(b"b", "/silent")) == (500, "agent-failed")
    again = await cloud.ask(b"b", "/silent")
    assert (code(again), replayed(again)) == ((500, "agent-failed"), True)
    assert len(RUNS) == 1
    assert KEY not in caplog.text


@pytest.mark.parametrize("bucket", [MemoryBucket(down=True), None])
async def test_without_its_bucket_no_keyed_request_runs(
    bucket: MemoryBucket | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The reply is 503 with Retry-After. Its outcome header tells the router to retry this request on another
    target and to keep the target healthy.
    """
    cloud = Cloud("counting", bucket)
    reply = await cloud.ask()
    assert (code(reply), reply.header("retry-after")) == ((503, "store-unavailable"), "1")
    assert reply.header("x-skyfleet-outcome") == "caller"
    assert RUNS == []
    assert (await signed(cloud.instance(), "POST", "/invoke", ASK)).status == 200
    assert "r-7" in caplog.text
    assert KEY not in caplog.text


async def test_a_bucket_failure_during_the_run_prevents_only_the_replay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first request gets its reply; the repeat gets 409 with an unknown outcome."""
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


async def test_a_claim_with_a_lost_confirmation_belongs_to_its_request() -> None:
    """The client of the bucket retries and finds the object of its first try."""
    cloud = Cloud("counting", MemoryBucket(lost=1))
    first = await cloud.ask()
    assert (first.status, replayed(first), RUNS) == (200, False, ["hi"])


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b'{"version": 2}', b'{"version": 1, "run": "x"}', b"\xff" * 40]
)
@pytest.mark.parametrize("which", ["claim", "reply"])
async def test_an_unreadable_document_never_causes_a_second_run(which: str, damage: bytes) -> None:
    """For a truncated, foreign or invalid document the outcome is unknown."""
    cloud = Cloud("counting")
    await cloud.ask()
    assert cloud.bucket is not None
    for name in cloud.bucket.objects:
        if name.endswith("/claim") == (which == "claim"):
            cloud.bucket.objects[name] = damage
    assert code(await cloud.ask()) == (409, "outcome-unknown")
    assert RUNS == ["hi"]


async def test_a_client_that_disconnects_gets_the_reply_with_a_repeat() -> None:
    """A keyed run continues without its client."""
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


async def test_a_closed_connection_does_not_end_the_run() -> None:
    """A server may raise when it sends to a disconnected client; the reply is stored nevertheless."""
    cloud = Cloud("application")
    headers = [(b"idempotency-key", KEY.encode()), *signature("POST", "/any", b"", b"b")]

    async def gone(message: object) -> None:
        raise OSError("connection lost")

    await cloud.instance()(scope("POST", "/any", b"", headers), Caller([b"b"]).receive, gone)
    again = await cloud.ask(b"b", "/any")
    assert (again.status, again.body, RUNS) == (207, b"one b and two", ["/any"])


async def test_a_run_that_the_host_cancels_has_an_unknown_outcome() -> None:
    """A server's time limit stops the agent at an unknown point."""
    cloud = Cloud("waiting")
    cancelled = asyncio.create_task(cloud.ask())
    while not RUNS:
        await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert cancelled.cancelled()
    assert code(await cloud.ask()) == (409, "outcome-unknown")
