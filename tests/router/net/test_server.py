"""Tests of a router's side of a request that its server hands over by ASGI, as on Azure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from router.net.server import HIGH, Outbox
from skyfleet.asgi import Header, Message


class Source:
    """What serves the request. It keeps what it is told."""

    def __init__(self, act: Callable[[], None] = lambda: None) -> None:
        self._act = act
        self.told: list[str] = []

    def start(self) -> None:
        self._act()

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def gone(self) -> None:
        self.told.append("gone")


async def never() -> Message:
    return await asyncio.get_running_loop().create_future()


def collector(sent: list[Message]) -> Callable[[Message], Awaitable[None]]:
    async def send(message: Message) -> None:
        sent.append(message)

    return send


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, [(b"content-length", b"2"), (b"x", b"y")]), (304, [(b"x", b"y")])],
)
async def test_what_asgi_cannot_carry_is_dropped(status: int, expected: list[Header]) -> None:
    """The reason, interim responses and trailers; the date, which such a server adds; the length of a 304,
    which it would take for that of a body."""
    outbox, sent = Outbox(), list[Message]()

    def replies() -> None:
        outbox.informational(103, [(b"link", b"</a>")])
        headers = [(b"date", b"Fri, 27 Nov 2026 14:00:00 GMT"), (b"content-length", b"2"), (b"x", b"y")]
        outbox.head(status, headers, b"Odd")
        outbox.body(b"h")
        outbox.body(b"i")
        outbox.end([(b"x-sum", b"1")])

    source = Source(replies)
    await outbox.serve(source, never, collector(sent))
    assert sent == [
        {"type": "http.response.start", "status": status, "headers": expected},
        {"type": "http.response.body", "body": b"hi", "more_body": False},
    ]
    assert source.told == ["gone"]


async def test_more_than_the_server_takes_pauses_the_source() -> None:
    """And what it has taken resumes it."""
    outbox, sent = Outbox(), list[Message]()

    def floods() -> None:
        outbox.head(200, [])
        outbox.body(b"x" * HIGH)
        outbox.body(b"x")
        outbox.body(b"x")
        outbox.end()

    source = Source(floods)
    await outbox.serve(source, never, collector(sent))
    assert len(sent[1]["body"]) == HIGH + 2
    assert source.told == ["pause", "resume", "gone"]


async def test_a_truncated_reply_is_left_without_its_end() -> None:
    """So the server closes the connection."""
    outbox, sent = Outbox(), list[Message]()

    def breaks() -> None:
        outbox.head(200, [])
        outbox.body(b"half")
        outbox.abort("id-7 It broke off.")

    source = Source(breaks)
    await outbox.serve(source, never, collector(sent))
    assert [message.get("more_body") for message in sent] == [None, True]
    assert source.told == ["gone"]


async def test_a_client_that_leaves_ends_the_request() -> None:
    """Noticed from `listen` on, and by a failed send."""
    outbox, left = Outbox(), asyncio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    source = Source(lambda: asyncio.get_running_loop().call_soon(outbox.listen) and None)
    serving = asyncio.create_task(outbox.serve(source, receive, collector([])))
    await asyncio.sleep(0)
    assert not serving.done()
    left.set()
    await serving
    assert source.told == ["gone"]

    async def fails(message: Message) -> None:
        raise OSError

    again = Outbox()
    source = Source(lambda: again.head(200, []))
    await again.serve(source, never, fails)
    assert source.told == ["gone"]
