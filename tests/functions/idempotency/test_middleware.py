"""Tests of requests with an `Idempotency-Key`: one run in a cloud within the expiry, and replays."""

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
from tests.functions.idempotency.memory_bucket import RUNS
from tests.functions.idempotency.support import ASK, KEY, Cloud, code, replayed
from tests.functions.support import ENVIRON, signature

pytestmark = pytest.mark.usefixtures("no_runs")


async def test_two_equal_requests_are_one_run_and_two_equal_replies() -> None:
    """This holds across instances, since the bucket stores the reply."""
    cloud = Cloud("counting")
    first, again, third = await cloud.ask(), await cloud.ask(), await cloud.ask()
    assert RUNS == ["hi"]
    assert first.json["output"] == "run 1 of hi"
    assert first.body == again.body == third.body
    assert (first.status, again.status) == (200, 200)
    assert [replayed(reply) for reply in (first, again, third)] == [False, True, True]
    assert first.header("content-type") == again.header("content-type")


async def test_only_replays_are_marked_and_no_run_has_the_outcome_caller() -> None:
    """A replay is no evidence of the target's health, and `caller` marks the refusal of a single request."""
    cloud = Cloud("counting")
    replies = [await cloud.ask(), await cloud.ask()]
    assert [reply.header("idempotency-replayed") for reply in replies] == [None, "true"]
    assert [reply.header("x-skyfleet-outcome") for reply in replies] == [None, None]


@pytest.mark.parametrize("path", ["/invoke", "/v1/chat/completions"])
async def test_a_repeated_stream_has_the_same_events(path: str) -> None:
    """The replay is equal to the byte, with ids, times and the end, and is an event stream."""
    cloud = Cloud("streaming")
    body = b'{"messages": [{"role": "user", "content": "hi"}], "stream": true}'
    first, again = await cloud.ask(body, path), await cloud.ask(body, path)
    assert RUNS == ["hi"]
    assert b"run 1" in first.body
    assert first.body == again.body
    assert again.header("content-type") == "text/event-stream; charset=utf-8"
    assert again.complete
    assert replayed(again)


async def test_a_replay_has_the_status_and_headers_of_an_asgi_agent() -> None:
    """Repeated fields are kept; `date` and `server` are left to the server."""
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
async def test_a_reply_can_be_replayed_as_soon_as_its_last_byte_is_sent(agent: str) -> None:
    """The reply, also a stream, is stored before its last byte is forwarded."""
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
    """Another method, path, query or body with the same key is refused."""
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
def test_requests_with_equal_text_and_different_parts_are_different(
    other: tuple[str, str, bytes, bytes],
) -> None:
    """The fingerprint separates the parts, so `/a?b` differs from `/ab`."""
    assert fingerprint(*other) != fingerprint("POST", "/a", b"b", b"cd")


async def test_a_repeat_during_the_first_run_gets_409_with_retry_after() -> None:
    """A repeat after the end of the first run gets its reply."""
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


async def test_of_many_concurrent_requests_one_runs() -> None:
    """The conditional create decides."""
    cloud = Cloud("counting")
    replies = await asyncio.gather(*(cloud.ask() for _ in range(20)))
    assert RUNS == ["hi"]
    assert {reply.status for reply in replies} <= {200, 409}
    assert len({reply.body for reply in replies if reply.status == 200}) == 1


async def test_after_the_expiry_the_key_is_new() -> None:
    """The function checks the expiry, regardless of the bucket's lifecycle rule."""
    cloud = Cloud("counting")
    await cloud.ask()
    cloud.time += EXPIRY_S
    other = await cloud.ask(b'{"input": "another"}')
    assert (other.status, replayed(other)) == (200, False)
    assert RUNS == ["hi", "another"]
    assert (await cloud.ask(b'{"input": "another"}')).body == other.body


async def test_an_error_is_stored_like_a_reply() -> None:
    """A repeat of a failed run gets the same error without a run; a new key causes a run."""
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
async def test_an_invalid_request_claims_no_key(body: bytes, path: str, method: str, status: int) -> None:
    """The agent has not started, so the corrected request may use the same key."""
    cloud = Cloud("counting")
    assert (await cloud.ask(body, path, method=method)).status == status
    assert cloud.bucket is not None
    assert cloud.bucket.objects == {}
    assert (await cloud.ask()).status == 200


@pytest.mark.parametrize(("path", "status"), [("/busy", 503), ("/limited", 429)])
async def test_an_agent_that_refuses_with_429_or_503_releases_the_key(path: str, status: int) -> None:
    """The next request with the key runs."""
    cloud = Cloud("application")
    busy, done, again = [await cloud.ask(b"b", path) for _ in range(3)]
    assert [busy.status, done.status, again.status] == [status, 207, 207]
    assert [replayed(reply) for reply in (busy, done, again)] == [False, False, True]
    assert len(RUNS) == 2


async def test_a_stream_that_ends_in_an_error_event_is_a_whole_reply(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has a valid end, so it is replayed with its error."""
    caplog.set_level(logging.CRITICAL, "skyfleet.agent")
    cloud = Cloud("breaking")
    body = b'{"input": "hi", "stream": true}'
    first, again = await cloud.ask(body), await cloud.ask(body)
    assert b"event: error" in first.body
    assert (first.body, RUNS) == (again.body, ["hi"])


async def test_a_reply_over_the_limit_is_sent_and_not_stored() -> None:
    """A repeat gets 409 and does not run."""
    cloud = Cloud("application")
    first = await cloud.ask(b"b", "/large")
    assert len(first.body) > 2_000_000
    assert code(await cloud.ask(b"b", "/large")) == (409, "reply-too-large-to-replay")
    assert cloud.bucket is not None
    assert max(map(len, cloud.bucket.objects.values())) < 1000
    assert RUNS == ["/large"]


async def test_a_reply_over_the_limit_is_not_held_in_memory() -> None:
    """Its chunks are released at the limit, since 40 such replies must fit into an instance of 512 MB."""
    cloud, passed, held, before = Cloud("application"), 0, 0, 0

    async def send(message: Message) -> None:
        nonlocal passed, held
        passed += len(message.get("body", b""))
        if passed > MOST_BYTES:
            held = max(held, tracemalloc.get_traced_memory()[0] - before)

    tracemalloc.start()
    try:
        await cloud.ask_into(send, b"b", "/large", "a-key-for-the-first-imports")
        passed, held, before = 0, 0, tracemalloc.get_traced_memory()[0]
        await cloud.ask_into(send, b"b", "/large")
    finally:
        tracemalloc.stop()
    assert passed > MOST_BYTES
    assert held < MOST_BYTES / 4


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "tab\there", "smörgås", '"abc'])
async def test_an_invalid_key_is_a_bad_request(key: str) -> None:
    """The message describes a valid key and does not contain the sent one."""
    cloud = Cloud("counting")
    headers = [(b"idempotency-key", key.encode("latin-1")), *signature("POST", "/invoke", b"", ASK)]
    caller = Caller([ASK])
    await cloud.instance()(scope("POST", "/invoke", b"", headers), caller.receive, caller.send)
    reply = caller.reply()
    assert code(reply) == (400, "bad-idempotency-key")
    assert not key or key not in reply.body.decode()
    assert RUNS == []
    assert (await cloud.ask(key="x" * 255)).status == 200


async def test_a_quoted_key_is_the_bare_one() -> None:
    """The draft standard has quotes, older APIs have none: a client may change its form."""
    cloud = Cloud("counting")
    first = await cloud.ask(key='"one-key"')
    assert (first.status, replayed(first)) == (200, False)
    assert replayed(await cloud.ask(key="one-key"))


async def test_two_keys_in_one_request_are_a_bad_request() -> None:
    """The function does not choose one of them."""
    headers = [(b"idempotency-key", b"a"), (b"idempotency-key", b"b")]
    caller = Caller([ASK])
    given = [*headers, *signature("POST", "/invoke", b"", ASK)]
    await Cloud("counting").instance()(scope("POST", "/invoke", b"", given), caller.receive, caller.send)
    assert code(caller.reply()) == (400, "bad-idempotency-key")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_the_header_is_ignored_for_safe_methods(method: str) -> None:
    """A safe request may run any number of times."""
    cloud = Cloud("application")
    await cloud.ask(b"", "/any", method=method)
    await cloud.ask(b"", "/any", method=method)
    assert len(RUNS) == 2
    assert cloud.bucket is not None
    assert cloud.bucket.asked == 0


async def test_neither_key_nor_request_is_readable_in_the_bucket() -> None:
    """Names are hashes, and a document contains only the reply."""
    cloud = Cloud("counting")
    await cloud.ask(b'{"input": "my secret wish"}')
    assert cloud.bucket is not None
    objects = cloud.bucket.objects
    claim = next(data for name, data in objects.items() if name.endswith("/claim"))
    assert all(name.startswith("replies/") and KEY not in name for name in objects)
    assert not any(KEY.encode() in data for data in objects.values())
    assert b"wish" not in claim


def test_requests_without_a_key_import_no_bucket_client() -> None:
    """A cold start imports neither functions.idempotency nor obstore."""
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
