"""Claims about streams that break off and go on with another target's reply."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.request.stream import ResumableStream
from skyfleet.sse import LONGEST_EVENT
from tests.router.proxy.support import CHUNKED, EVENTS, chunk, sends
from tests.router.support import CALM, GROWING_MS, Front, Peer, Received, Script, alive, ok, router, upstream

HEAD = CHUNKED % EVENTS
WORDS = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n", b"data: four\n\n"]
WHOLE = b"".join(WORDS)
END = b"0\r\n\r\n"

streams = st.lists(
    st.sampled_from([b"data: one\n\n", b"data: two\n\n", b": still here\n\n"]), min_size=1, max_size=30
).map(b"".join)


def cuts(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({min(place, len(data)) for place in at} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(places)]


@pytest.mark.pure
@given(streams, st.integers(0, 400), st.lists(st.integers(0, 400)), st.lists(st.integers(0, 400)))
def test_the_same_stream_goes_on_to_the_byte(
    text: bytes, broken: int, pieces: list[int], others: list[int]
) -> None:
    """Wherever it broke off and however both arrive, the caller gets the whole stream once."""
    stream = ResumableStream(may_resume=True)
    out = b""
    for part in cuts(text[:broken], pieces):
        ready = stream.feed(part)
        assert ready is not None
        out += ready
    stream.restart()
    for part in cuts(text, others):
        ready = stream.feed(part)
        assert ready is not None
        out += ready
    rest = stream.finish()
    assert rest is not None
    assert out + rest == text


@pytest.mark.pure
@given(streams, st.integers(1, 400), st.integers(0, 400), st.lists(st.integers(0, 400)))
def test_of_another_stream_nothing_is_passed_on(
    text: bytes, broken: int, where: int, others: list[int]
) -> None:
    """One byte other within what the caller has, or an end before that, is enough."""
    stream = ResumableStream(may_resume=True)
    out = stream.feed(text[:broken])
    if not out:
        return
    where %= len(out)
    other = bytearray(text)
    other[where] ^= 1
    for another in (bytes(other), text[:where]):
        stream.restart()
        for part in cuts(another, others):
            ready = stream.feed(part)
            assert not ready
            if ready is None:
                break
        else:
            assert stream.finish() is None


@pytest.mark.pure
def test_another_end_of_a_long_stream_is_found_by_its_digest() -> None:
    """Only the beginning is kept."""
    text = b"data: " + b"x" * 8_000 + b"\n\n"
    stream = ResumableStream(may_resume=True)
    assert stream.feed(text + text) == text + text
    stream.restart()
    assert stream.feed(text) == b""
    assert stream.feed(text[:-3] + b"y\n\n") is None


@pytest.mark.pure
def test_another_first_word_is_found_at_once() -> None:
    """Not only when as much has come as the caller has: until then no client would be told anything."""
    stream = ResumableStream(may_resume=True)
    stream.feed(WHOLE)
    stream.restart()
    assert stream.feed(b"data: O") is None


@pytest.mark.pure
def test_what_ends_in_half_an_event_is_neither_gone_on_with_nor_mended() -> None:
    """Of an endless event a part has gone out; the same holds for what must not run again."""
    stream = ResumableStream(may_resume=True)
    assert stream.may_resume
    stream.feed(b"data: " + b"x" * LONGEST_EVENT)
    assert not stream.may_resume
    assert not stream.repairable
    assert not ResumableStream(may_resume=False).may_resume


async def fleet(stack: AsyncExitStack, *scripts: Script, repeatable: bool = True) -> tuple[Front, list[int]]:
    """A router before upstreams with these scripts; and a list that is filled with what each was asked."""
    asked: list[int] = []
    ups = [await stack.enter_async_context(upstream(script)) for script in scripts]
    front = await stack.enter_async_context(router([up.url for up in ups], repeatable=repeatable))
    stack.callback(lambda: asked.extend(len(up.asked) for up in ups))
    return front, asked


def error_code(reply: httpx.Response) -> str:
    name, data = reply.text.rstrip("\n").split("\n\n")[-1].split("\n")
    assert name == "event: error"
    code: str = json.loads(data.removeprefix("data: "))["error"]["code"]
    return code


def broken_after(words: int) -> Script:
    """Two bytes of the next word are there too."""
    text = b"".join(WORDS[:words]) + WORDS[words][:2]
    return sends(HEAD, chunk(text[:5]), chunk(text[5:]), reset=True)


@pytest.mark.parametrize("words", [1, 2, 3])
async def test_a_stream_that_breaks_off_goes_on_with_the_same_reply_of_another_cloud(words: int) -> None:
    """The caller sees one whole stream, and nothing has failed."""
    async with AsyncExitStack() as stack:
        good = sends(HEAD, chunk(WHOLE[:7]), chunk(WHOLE[7:30]), chunk(WHOLE[30:]), END)
        front, asked = await fleet(stack, broken_after(words), good)
        reply = await front.client.post("/invoke")
        assert reply.content == WHOLE
        status = await front.status()
        assert (status["attempts"]["retried"], status["attempts"]["failed"]) == (1, 0)
    assert asked == [1, 1]


async def test_it_may_break_off_twice() -> None:
    """As often as there are attempts; then the caller is told."""
    async with AsyncExitStack() as stack:
        good = sends(HEAD, chunk(WHOLE), END)
        front, _ = await fleet(stack, broken_after(2), broken_after(1), good)
        assert (await front.client.post("/invoke")).content == WHOLE
    async with AsyncExitStack() as stack:
        front, asked = await fleet(stack, broken_after(1), broken_after(3), broken_after(2))
        reply = await front.client.post("/invoke")
        assert reply.content.startswith(b"".join(WORDS[:3]) + b"event: error\n")
        assert error_code(reply) == "stream-cut"
    assert asked == [1, 1, 1]


@pytest.mark.parametrize(
    "other",
    [
        sends(HEAD, chunk(b"data: One\n\n" + WHOLE[11:]), END),
        sends(HEAD, chunk(WORDS[0]), END),
        ok,
        sends(b"HTTP/1.1 400 Bad\r\ncontent-length: 2\r\nendpoint-load-metrics: TEXT\r\n\r\n{}"),
        sends(b"HTTP/1.1 500 Bad\r\ncontent-length: 2\r\n\r\n{}"),
    ],
    ids=["other words", "shorter", "no stream", "refused", "failed"],
)
async def test_another_reply_is_not_mixed_in(other: Script) -> None:
    """The caller gets what there was, and an error event."""
    async with AsyncExitStack() as stack:
        front, asked = await fleet(stack, broken_after(2), other)
        reply = await front.client.post("/invoke")
        assert reply.content.startswith(b"".join(WORDS[:2]) + b"event: error\n")
        assert error_code(reply) == "stream-cut"
        assert (await front.status())["attempts"]["failed"] == 1
        assert (await front.client.get("/health")).status_code == 200
    assert asked == [1, 1]


async def test_a_bad_reply_from_before_is_not_waited_for() -> None:
    """It was closed when the stream began; nothing more comes of it."""

    async def fails(request: Received, peer: Peer) -> None:
        await peer.send(HEAD.replace(b"\r\n\r\n", b"\r\nx-skyfleet-outcome: error\r\n\r\n"))
        await peer.until_closed()

    async with AsyncExitStack() as stack:
        front, _ = await fleet(stack, fails, broken_after(2))
        reply = await asyncio.wait_for(front.client.post("/invoke"), 2)
        assert reply.content.startswith(b"".join(WORDS[:2]) + b"event: error\n")
        assert error_code(reply) == "stream-cut"


async def test_what_must_not_be_repeated_is_not() -> None:
    """It ran once, and the caller is told that its reply is not whole."""
    async with AsyncExitStack() as stack:
        good = sends(HEAD, chunk(WHOLE), END)
        front, asked = await fleet(stack, broken_after(2), good, repeatable=False)
        assert error_code(await front.client.post("/invoke")) == "stream-cut"
        reply = await front.client.post("/invoke", headers={"idempotency-key": "k"})
        assert reply.content == WHOLE
    assert sum(asked) >= 2


async def test_the_callers_deadline_ends_the_search_too() -> None:
    """With an error event, not with silence."""
    async with AsyncExitStack() as stack:

        async def waits(request: Received, peer: Peer) -> None:
            await asyncio.sleep(30)

        front, _ = await fleet(stack, broken_after(2), waits)
        code = ""
        for deadline_ms in GROWING_MS:
            headers = {"x-skyfleet-timeout-ms": str(deadline_ms)}
            reply = await front.client.post("/invoke", headers=headers)
            if reply.status_code != 504:  # which says that it ended before the stream began
                code = error_code(reply)
                break
        assert code in ("stream-cut", "deadline")


async def test_a_client_that_leaves_meanwhile_stops_the_other_target_too() -> None:
    """No agent goes on without a client."""
    left, there = asyncio.Event(), asyncio.Event()
    async with AsyncExitStack() as stack:

        async def waits(request: Received, peer: Peer) -> None:
            there.set()
            await peer.until_closed()
            left.set()

        front, _ = await fleet(stack, broken_after(2), waits)
        async with front.client.stream("POST", "/invoke") as reply:
            parts = reply.aiter_raw()
            await anext(parts)
            await asyncio.wait_for(there.wait(), 20)
        await asyncio.wait_for(left.wait(), 20)


@pytest.mark.parametrize("fields", [{}, {"x-skyfleet-redundant": "2"}])
async def test_a_stream_goes_on_at_the_target_that_lost_to_its_hedge(fields: dict[str, str]) -> None:
    """That one has not failed; and with two targets there is no other."""

    async def slow(request: Received, peer: Peer) -> None:
        if request.target != "/health":
            await asyncio.sleep(0.5)
        await sends(HEAD, chunk(WORDS[0]), chunk(WORDS[1]), END)(request, peer)

    async def cut(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
            return
        await peer.send(HEAD + chunk(WORDS[0]))
        await asyncio.sleep(0.05)
        peer.reset()

    policy = replace(CALM, hedge="on", probe_after_s=0.1)
    async with (
        upstream(slow) as one,
        upstream(cut) as two,
        router([one.url, two.url], policy=policy) as front,
    ):
        reply = await front.client.get("/x", headers=fields)
        assert reply.content == WORDS[0] + WORDS[1]
