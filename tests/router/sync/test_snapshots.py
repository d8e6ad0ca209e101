"""Claims about health documents in a bucket: shared between instances, never in the way."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from router.core.balance.balancer import Balancer
from router.core.health.snapshots import ProbeResult, Snapshot
from router.sync.minutes import NAME as MINUTES
from router.sync.snapshots import REFRESH_S, SnapshotStore, object_name
from skyfleet.contract import Strategy
from skyfleet.objects import BucketError, CloudBucket, Found, Unchanged
from tests.router.snapshots import send, snapshot
from tests.router.support import CALM, Front, eventually, ok, router, settings, upstream
from tests.router.sync.support import MemoryBucket


async def until_read(front: Front) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (status := await front.status())["store"]["state"] == "unread":
            await asyncio.sleep(0.005)
    return status


async def test_a_new_instance_reads_the_documents_and_thinks_the_same() -> None:
    """What one instance was told and stored, another one knows from its first refresh on."""
    shelf = MemoryBucket()
    urls = ["http://127.0.0.1:9", "http://127.0.0.1:10"]
    now = time.time()
    async with router(urls, bucket=shelf) as told:
        for checker in ("aws/r0", "azure/r1"):
            body = json.dumps(snapshot(False, False, False, at=now, checker=checker)).encode()
            assert (await send(told, body)).json() == {"accepted": True, "stored": True}
        first = await told.target("aws/r0")
    documents = sorted(name for name in shelf.objects if name != MINUTES)
    assert documents == ["health/aws-r0.json", "health/azure-r1.json"]
    async with router(urls, bucket=shelf) as fresh:
        await until_read(fresh)
        second = await fresh.target("aws/r0")
    assert (first["state"], first["reason"]) == (second["state"], second["reason"])
    assert first["state"] == "down"


async def test_a_write_keeps_the_last_ten_observations_of_what_was_stored() -> None:
    """An instance that knows nothing does not wipe out what others stored."""
    shelf = MemoryBucket()
    now = time.time()
    for age in (30, 20, 10):
        async with router(["http://127.0.0.1:9"], bucket=shelf) as front:
            await send(front, json.dumps(snapshot(*[True] * 4, at=now - age)).encode())
    stored = json.loads(shelf.objects[object_name("aws/r0")])
    times = [one["at"] for one in stored["results"]]
    assert len(times) == 10
    assert times == sorted(times)
    assert times[-1] == now - 10


async def test_a_broken_or_hanging_store_never_delays_a_request() -> None:
    """Requests are served at once; the status says that the router decides alone."""
    shelf = MemoryBucket()
    shelf.broken = True
    async with upstream(ok) as up, router([up.url], bucket=shelf) as front:
        assert (await front.client.get("/")).status_code == 200
        status = await until_read(front)
        assert status["store"]["state"] == "down"
        assert "on fire" in status["store"]["reason"]
        body = json.dumps(snapshot(True, True, at=time.time())).encode()
        assert (await send(front, body)).json() == {"accepted": True, "stored": False}
    shelf.hang.clear()
    async with upstream(ok) as up, router([up.url], bucket=shelf) as front:
        for _ in range(3):
            assert (await front.client.get("/")).status_code == 200
        assert (await front.status())["store"]["state"] == "unread"


async def test_a_bucket_that_can_only_be_read_is_not_ok() -> None:
    """The status says so until a write succeeds, however well it is read meanwhile."""
    shelf, now = MemoryBucket(), [2_000_000_000.0]
    balancer = Balancer(
        settings(["http://127.0.0.1:9"]).targets, Strategy.WEIGHTED, CALM, lambda: now[0], lambda: 0
    )
    keeper = SnapshotStore(shelf, balancer, lambda: now[0])
    document = Snapshot("aws/r0", now[0], {"aws/r0": (ProbeResult(now[0], ok=True),)})

    async def read() -> str:
        now[0] += REFRESH_S
        before = shelf.reads
        keeper.refresh_soon()
        await eventually(lambda: shelf.reads > before and keeper.at == now[0])
        return keeper.state

    assert await read() == "ok"
    shelf.read_only = True
    assert not await keeper.save(document)
    assert (await read(), keeper.reason) == ("unwritten", "403 for writers")
    shelf.read_only = False
    assert await keeper.save(document)
    assert await read() == "ok"
    await keeper.close()


async def test_corrupt_documents_are_refused_and_named() -> None:
    """One bad object does not hide the good one; the reason is in the status."""
    shelf = MemoryBucket()
    good = snapshot(False, False, False, at=time.time(), checker="azure/r1")
    shelf.objects["health/azure-r1.json"] = json.dumps(good).encode()
    shelf.objects["health/aws-r0.json"] = b'{"version": 1, "vanta'
    async with router(["http://127.0.0.1:9", "http://127.0.0.1:10"], bucket=shelf) as front:
        status = await until_read(front)
        assert "not JSON" in status["rejected"]["health/aws-r0.json"]
        assert (await front.target("aws/r0"))["state"] == "down"


async def test_the_bucket_is_read_beside_requests_and_not_for_each() -> None:
    """A hundred requests cause one refresh."""
    shelf = MemoryBucket()
    async with upstream(ok) as up, router([up.url], bucket=shelf) as front:
        for _ in range(100):
            await front.client.get("/")
        # Its one checker, and the orders of operators.
        assert shelf.reads == 2


class _Cloud(http.server.BaseHTTPRequestHandler):
    """Just enough of three object stores and two token services to see what is asked of them."""

    objects: dict[str, bytes]
    seen: list[tuple[str, str, str]]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.seen.append((self.command, self.path, self.headers.get("authorization", "")))
        status, reply = 200, b""
        if "forbidden" in self.path:
            status, reply = 403, b"<Error><Code>AccessDenied</Code></Error>"
        elif "token" in self.path:
            token = {
                "access_token": "T",
                "expires_in": 3600,
                "expires_on": "4000000000",
                "token_type": "Bearer",
            }
            reply = json.dumps(token).encode()
        elif self.command == "PUT" and not self.permitted():
            status = 412
        elif self.command == "PUT":
            self.objects[self.path] = body
        elif self.path not in self.objects:
            status = 404
        elif self.headers.get("if-none-match"):
            status = 304
        else:
            reply = self.objects[self.path]
        self.send_response(status)
        for name, value in (
            ("etag", '"1"'),
            ("x-goog-generation", "1"),
            ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("content-length", str(len(reply))),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply)

    def permitted(self) -> bool:
        """Whether the conditions of a write hold: every object here has tag "1" and generation 1."""
        generation = self.headers.get("x-goog-if-generation-match")
        if self.headers.get("if-none-match") == "*" or generation == "0":
            return self.path not in self.objects
        return self.headers.get("if-match", '"1"') == '"1"' and generation in (None, "1")

    do_GET = do_PUT = answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def cloud() -> Generator[tuple[str, list[tuple[str, str, str]]], None, None]:
    seen: list[tuple[str, str, str]] = []
    handler = type("Handler", (_Cloud,), {"objects": {}, "seen": seen})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"}


BUCKETS: list[tuple[str, dict[str, str], str]] = [
    (
        "s3://b",
        {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": "URL", "AWS_ALLOW_HTTP": "true"},
        "/b/health/x.json",
    ),
    (
        "az://acct/b",
        {
            "AZURE_STORAGE_ENDPOINT": "URL",
            "AZURE_ALLOW_HTTP": "true",
            "IDENTITY_ENDPOINT": "URL/token",
            "IDENTITY_HEADER": "h",
        },
        "/b/health/x.json",
    ),
    (
        "gs://b",
        {
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(
                {
                    "gcs_base_url": "URL",
                    "disable_oauth": True,
                    "client_email": "",
                    "private_key": "",
                    "private_key_id": "",
                }
            )
        },
        "/b/health%2Fx%2Ejson",
    ),
]


@pytest.mark.parametrize(("url", "environ", "put_path"), BUCKETS)
def test_the_environment_alone_configures_each_clouds_bucket(
    url: str, environ: dict[str, str], put_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names in the store's docstring are what obstore really reads; writes compare what was read."""

    async def run() -> None:
        bucket = CloudBucket(url, most_bytes=1_000)
        assert await bucket.get("health/x.json", None) is None
        await bucket.put("health/x.json", b"{}")
        found = await bucket.get("health/x.json", None)
        assert isinstance(found, Found)
        assert (found.data, found.tag) == (b"{}", '"1"')
        assert isinstance(await bucket.get("health/x.json", found.tag), Unchanged)
        write = bucket.put_if_unchanged
        assert await write("health/x.json", b"{}", None) is False
        assert await write("health/x.json", b"{}", found) is True
        assert await write("health/x.json", b"{}", Found(b"{}", '"2"', "2")) is False
        assert await write("health/y.json", b"{}", None) is True

    with cloud() as (base, seen):
        for name, value in environ.items():
            monkeypatch.setenv(name, value.replace("URL", base))
        asyncio.run(run())
    assert ("PUT", put_path) in [(method, path) for method, path, _ in seen]


@pytest.mark.parametrize(("url", "environ"), [one[:2] for one in BUCKETS])
def test_a_failed_request_is_told_by_method_object_and_status(
    url: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's own line says them between an encoded URL and its retries."""

    async def run() -> None:
        bucket = CloudBucket(url, most_bytes=1_000)
        with pytest.raises(BucketError) as read:
            await bucket.get("health/forbidden.json", None)
        with pytest.raises(BucketError) as written:
            await bucket.put("health/forbidden.json", b"{}")
        assert str(read.value) == "GET health/forbidden.json: 403 Forbidden"
        assert str(written.value) == "PUT health/forbidden.json: 403 Forbidden"

    with cloud() as (base, _):
        for name, value in environ.items():
            monkeypatch.setenv(name, value.replace("URL", base))
        asyncio.run(run())


async def test_a_long_reason_ends_with_a_whole_word() -> None:
    """And what names its object already does not name it twice."""

    class Talks(MemoryBucket):
        async def get(self, name: str, tag: str | None = None) -> Found | Unchanged | None:
            raise BucketError(f"GET {name}: {'nonsense ' * 100}" if "health" in name else "no")

    balancer = Balancer(
        settings(["http://127.0.0.1:9"]).targets, Strategy.WEIGHTED, CALM, lambda: 9, lambda: 0
    )
    keeper = SnapshotStore(Talks(), balancer, lambda: 9)
    keeper.watch("control.json", lambda data: None)
    keeper.refresh_soon()
    await eventually(lambda: keeper.state == "down")
    health, control = keeper.reason.split("; ")
    assert health.endswith(" nonsense…")
    assert len(health) <= 200
    assert health.count("health/aws-r0.json") == 1
    assert control == "control.json: no"
    await keeper.close()


async def test_a_bucket_that_is_not_there_is_a_named_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an exception of a library, and soon."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")

    with pytest.raises(BucketError, match=r"PUT health/x\.json: HTTP error: error sending request"):
        await CloudBucket("s3://b", most_bytes=1_000).put("health/x.json", b"{}")
