"""Requests with an `Idempotency-Key`: run at most once in one cloud within the expiry, answered again."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import tracemalloc

import pytest

from functions.idempotency.records import EXPIRY_S, MOST_BYTES, fingerprint
from tests.asgi import Caller, Message, Reply, scope
from tests.functions.idempotency import memory_bucket
from tests.functions.idempotency.memory_bucket import RUNS, MemoryBucket
from tests.functions.idempotency.support import ASK, KEY, Cloud, code, replayed
from tests.functions.support import ENVIRON, signature

pytestmark = pytest.mark.usefixtures("no_runs")


async def test_two_equal_requests_are_one_run_and_two_equal_replies() -> None:
    """On another instance too: the bucket remembers, not the process."""
    cloud = Cloud("counting")
    first, again, third = await cloud.ask(), await cloud.ask(), await cloud.ask()
    assert RUNS == ["hi"]
    assert first.json["output"] == "run 1 of hi"
    assert first.body == again.body == third.body
    assert (first.status, again.status) == (200, 200)
    assert [replayed(reply) for reply in (first, again, third)] == [False, True, True]
    assert first.header("content-type") == again.header("content-type")


def test_only_what_is_replayed_says_so_and_nothing_that_ran_is_called_the_callers() -> None:
    """A router takes a replay for no news of this target, and `caller` for a refusal of this request only."""

    async def run() -> list[Reply]:
        cloud = Cloud("counting")
        return [await cloud.ask(), await cloud.ask()]

    replies = asyncio.run(run())
    assert [reply.header("idempotency-replayed") for reply in replies] == [None, "true"]
    assert [reply.header("x-skyfleet-outcome") for reply in replies] == [None, None]


@pytest.mark.parametrize("path", ["/invoke", "/v1/chat/completions"])
async def test_a_repeated_stream_has_the_same_events(path: str) -> None:
    """To the last byte, with ids, times and its end, and still as an event stream."""
    cloud = Cloud("streaming")
    body = b'{"messages": [{"role": "user", "content": "hi"}], "stream": true}'
    first, again = await cloud.ask(body, path), await cloud.ask(body, path)
    assert RUNS == ["hi"]
    assert b"run 1" in first.body
    assert first.body == again.body
    assert again.header("content-type") == "text/event-stream; charset=utf-8"
    assert again.complete
    assert replayed(again)


async def test_an_asgi_agents_reply_keeps_status_and_headers_but_those_of_the_moment() -> None:
    """Repeated header fields stay repeated; `date` and `server` are the server's to write."""
    cloud = Cloud("application")
    first, again = (
        await cloud.ask(b"b", "/any", method="PATCH"),
        await cloud.ask(b"b", "/any", method="PATCH"),
    )
    assert RUNS == ["/any"]
    assert (again.status, again.body) == (first.status, first.body) == (207, b"one b and two")
    assert [value for name, value in again.headers if name == "x-run"] == ["1", "twice"]
    assert (again.header("date"), again.header("server")) == (None, None)
    assert replayed(again)


@pytest.mark.parametrize("agent", ["counting", "streaming", "application"])
async def test_whoever_has_seen_the_end_of_a_reply_can_have_it_again(agent: str) -> None:
    """At once, with no wait in between: it is kept before its last byte is passed on, streams too."""
    cloud, again = Cloud(agent), list[Reply]()
    body = b'{"input": "hi", "stream": true}' if agent == "streaming" else ASK

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            again.append(await cloud.ask(body))

    await cloud.ask_into(send, body)
    assert [replayed(reply) for reply in again] == [True]
    assert len(RUNS) == 1


@pytest.mark.parametrize("change", ["method", "path", "query", "body"])
async def test_a_key_belongs_to_one_request(change: str) -> None:
    """Another method, path, query or body with the same key is a mistake that is named, and does not run."""
    cloud = Cloud("application")
    await cloud.ask(b"b", "/any")
    other = await cloud.ask(
        b"c" if change == "body" else b"b",
        "/other" if change == "path" else "/any",
        method="PUT" if change == "method" else "POST",
        query=b"a=1" if change == "query" else b"",
    )
    assert code(other) == (422, "idempotency-key-reused")
    assert other.header("x-skyfleet-outcome") == "caller"
    assert change in other.json["error"]["message"]
    assert len(RUNS) == 1


@pytest.mark.parametrize(
    "other",
    [
        ("POST", "/ab", b"", b"cd"),
        ("POST", "/", b"ab", b"cd"),
        ("POST", "/a", b"", b"bcd"),
        ("POST", "/a", b"bcd", b""),
        ("POST/", "a", b"b", b"cd"),
        ("PO", "ST/a", b"b", b"cd"),
    ],
)
def test_requests_that_differ_only_in_where_their_parts_meet_are_not_the_same(
    other: tuple[str, str, bytes, bytes],
) -> None:
    """`/a?b` is not `/ab`: a fingerprint of the parts, not of the text they make together."""
    assert fingerprint(*other) != fingerprint("POST", "/a", b"b", b"cd")


async def test_while_the_first_runs_a_repeat_is_told_to_come_back() -> None:
    """409 and Retry-After; the reply is there when the first has ended."""
    cloud = Cloud("waiting")
    first = asyncio.create_task(cloud.ask())
    while not RUNS:
        await asyncio.sleep(0)
    early = await cloud.ask()
    assert (code(early), early.header("retry-after")) == ((409, "still-running"), "1")
    assert early.header("x-skyfleet-outcome") == "caller"
    memory_bucket.GO_ON.set()
    assert (await first).body == (await cloud.ask()).body
    assert RUNS == ["hi"]


def test_of_many_at_once_exactly_one_runs() -> None:
    """The conditional create decides."""

    async def run() -> list[Reply]:
        cloud = Cloud("counting")
        return list(await asyncio.gather(*(cloud.ask() for _ in range(20))))

    replies = asyncio.run(run())
    assert RUNS == ["hi"]
    assert {reply.status for reply in replies} <= {200, 409}
    assert len({reply.body for reply in replies if reply.status == 200}) == 1


async def test_after_the_expiry_the_key_is_new() -> None:
    """The runtime itself honours it, whether the bucket's rule has deleted the documents or not."""
    cloud = Cloud("counting")
    await cloud.ask()
    cloud.time += EXPIRY_S
    other = await cloud.ask(b'{"input": "another"}')
    assert (other.status, replayed(other)) == (200, False)
    assert RUNS == ["hi", "another"]
    assert (await cloud.ask(b'{"input": "another"}')).body == other.body


async def test_an_error_is_remembered_like_a_reply() -> None:
    """The agent ran and failed: a repeat is told the same and makes nothing run; a new key does."""
    cloud = Cloud("failing")
    first, again = await cloud.ask(), await cloud.ask()
    assert code(first) == code(again) == (502, "model-failed")
    assert first.body == again.body
    assert (RUNS, replayed(again)) == (["hi"], True)
    assert not replayed(await cloud.ask(key="another-key"))


@pytest.mark.parametrize(
    ("body", "path", "method", "status"),
    [
        (b"{", "/invoke", "POST", 400),
        (b"{}", "/invoke", "POST", 400),
        (ASK, "/no", "POST", 404),
        (ASK, "/invoke", "PUT", 405),
    ],
)
async def test_what_our_own_parsing_refuses_claims_nothing(
    body: bytes, path: str, method: str, status: int
) -> None:
    """The agent has not started, so the corrected request may have the same key."""
    cloud = Cloud("counting")
    assert (await cloud.ask(body, path, method=method)).status == status
    assert cloud.bucket is not None
    assert cloud.bucket.objects == {}
    assert (await cloud.ask()).status == 200


@pytest.mark.parametrize(("path", "status"), [("/busy", 503), ("/limited", 429)])
async def test_an_agent_that_says_it_did_not_do_it_leaves_the_key_free(path: str, status: int) -> None:
    """429 and 503 mean that: the next request with the key runs."""
    cloud = Cloud("application")
    busy, done, again = [await cloud.ask(b"b", path) for _ in range(3)]
    assert [busy.status, done.status, again.status] == [status, 207, 207]
    assert [replayed(reply) for reply in (busy, done, again)] == [False, False, True]
    assert len(RUNS) == 2


def test_a_stream_that_ends_in_an_error_event_is_a_whole_reply() -> None:
    """It was ended truthfully, so it is replayed with its error."""

    async def run() -> None:
        cloud = Cloud("breaking")
        body = b'{"input": "hi", "stream": true}'
        first, again = await cloud.ask(body), await cloud.ask(body)
        assert b"event: error" in first.body
        assert (first.body, RUNS) == (again.body, ["hi"])

    logging.getLogger("skyfleet.agent").setLevel(logging.CRITICAL)
    try:
        asyncio.run(run())
    finally:
        logging.getLogger("skyfleet.agent").setLevel(logging.NOTSET)


async def test_a_reply_over_the_bound_reaches_its_caller_and_is_not_kept() -> None:
    """A repeat is told that it ran, and does not run."""
    cloud = Cloud("application")
    first = await cloud.ask(b"b", "/large")
    assert len(first.body) > 2_000_000
    assert code(await cloud.ask(b"b", "/large")) == (409, "reply-too-large-to-replay")
    assert cloud.bucket is not None
    assert max(map(len, cloud.bucket.objects.values())) < 1000
    assert RUNS == ["/large"]


def test_a_reply_over_the_bound_is_not_held_in_memory() -> None:
    """Once it is known to be too large, nothing of it is: 40 of them must fit into an instance of 512 MB."""

    async def run() -> int:
        cloud, passed, held = Cloud("application"), 0, 0

        async def send(message: Message) -> None:
            nonlocal passed, held
            passed += len(message.get("body", b""))
            if passed > MOST_BYTES:
                held = max(held, tracemalloc.get_traced_memory()[0] - before)

        before = 0
        await cloud.ask_into(send, b"b", "/large", "a-key-for-what-only-the-first-loads")
        passed, held, before = 0, 0, tracemalloc.get_traced_memory()[0]
        await cloud.ask_into(send, b"b", "/large")
        assert passed > MOST_BYTES
        return held

    tracemalloc.start()
    try:
        assert asyncio.run(run()) < MOST_BYTES / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "tab\there", "smörgås"])
async def test_what_is_no_key_is_a_bad_request(key: str) -> None:
    """1 to 255 visible ASCII characters; the message says so and does not repeat what was sent."""
    cloud = Cloud("counting")
    headers = [(b"idempotency-key", key.encode("latin-1")), *signature("POST", "/invoke", b"", ASK)]
    caller = Caller([ASK])
    await cloud.instance()(scope("POST", "/invoke", b"", headers), caller.receive, caller.send)
    reply = caller.reply()
    assert code(reply) == (400, "bad-idempotency-key")
    assert not key or key not in reply.body.decode()
    assert RUNS == []
    assert (await cloud.ask(key="x" * 255)).status == 200


def test_two_keys_in_one_request_are_a_bad_request() -> None:
    """Nobody could say which one counts."""

    async def run() -> Reply:
        headers = [(b"idempotency-key", b"a"), (b"idempotency-key", b"b")]
        caller = Caller([ASK])
        given = [*headers, *signature("POST", "/invoke", b"", ASK)]
        await Cloud("counting").instance()(scope("POST", "/invoke", b"", given), caller.receive, caller.send)
        return caller.reply()

    assert code(asyncio.run(run())) == (400, "bad-idempotency-key")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_on_a_safe_method_the_header_means_nothing(method: str) -> None:
    """It changes nothing, so it may run as often as it is sent."""
    cloud = Cloud("application")
    await cloud.ask(b"", "/any", method=method)
    await cloud.ask(b"", "/any", method=method)
    assert len(RUNS) == 2
    assert cloud.bucket is not None
    assert cloud.bucket.asked == 0


def test_neither_key_nor_request_is_readable_in_the_bucket() -> None:
    """Names are hashes; a document holds the reply alone."""

    async def run() -> MemoryBucket:
        cloud = Cloud("counting")
        await cloud.ask(b'{"input": "my secret wish"}')
        assert cloud.bucket is not None
        return cloud.bucket

    objects = asyncio.run(run()).objects
    claim = next(data for name, data in objects.items() if name.endswith("/claim"))
    assert all(name.startswith("replies/") and KEY not in name for name in objects)
    assert not any(KEY.encode() in data for data in objects.values())
    assert b"wish" not in claim


def test_requests_without_a_key_load_nothing_for_it() -> None:
    """A cold start pays for no bucket: neither this room's package nor obstore is imported."""
    program = (
        "import asyncio, json, os, sys\n"
        "from tests.functions.support import application, signed\n"
        "app = application('tests.functions.agents:echo')\n"
        "asked = signed(app, 'POST', '/invoke', b'{\"input\": \"hi\"}')\n"
        "assert asyncio.run(asked).status == 200\n"
        "print(json.dumps([m for m in sys.modules if m.startswith(('functions.idempotency', 'obstore'))]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRON, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
