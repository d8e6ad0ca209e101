"""Claims about replies through a Lambda function URL, which renames fields and sends bodies in chunks."""

from __future__ import annotations

import httpx
import pytest

from router.net.lambda_fields import restore_fields
from skyfleet.asgi import Header
from tests.router.proxy.support import chunk, sends
from tests.router.support import QUICK, router, upstream

HEAD = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n"
    b"x-amzn-Remapped-Content-Length: %b\r\nx-amzn-Remapped-Date: today\r\n%b\r\n"
)
LENGTH = b"x-amzn-remapped-content-length"


@pytest.mark.parametrize(
    ("fields", "framed", "length"),
    [
        ([(LENGTH, b"7")], False, 7),
        ([(LENGTH, b"7")], True, None),
        ([(LENGTH, b"0")], False, None),
        ([(LENGTH, b"0"), (LENGTH, b"7")], False, 7),
        ([(LENGTH, b"7"), (LENGTH, b"8")], False, None),
        ([(LENGTH, b"7"), (b"vary", b"Accept, Accept-Encoding")], False, None),
        ([(LENGTH, b"7"), (b"content-encoding", b"br")], False, None),
        ([(LENGTH, b"-7")], False, None),
        ([(LENGTH, b"9" * 5000)], False, None),
        ([(b"x-amzn-remapped-", b"7")], False, None),
    ],
)
def test_a_renamed_length_counts_only_where_it_can_be_the_bodys(
    fields: list[Header], framed: bool, length: int | None
) -> None:
    """Not beside a length of its own, not Lambda's own 0, not the length of a body that was decompressed."""
    headers, announced = restore_fields(fields, framed=framed)
    assert announced == length
    assert [value for name, value in headers if name == b"content-length"] == (
        [b"%d" % length] if length else []
    )
    assert not [name for name, _ in headers if name.startswith(b"x-amzn-remapped")]


def test_a_renamed_challenge_gets_its_name_back_and_displaces_none() -> None:
    """Clients of MCP servers find their way by `www-authenticate`."""
    renamed: Header = (b"x-amzn-remapped-www-authenticate", b"Bearer a")
    assert restore_fields([renamed], framed=False)[0] == [(b"www-authenticate", b"Bearer a")]
    own: Header = (b"www-authenticate", b"Bearer b")
    assert restore_fields([renamed, own], framed=False)[0] == [own]


async def test_callers_see_the_length_and_nothing_of_the_renaming() -> None:
    """The reply to the caller is framed by the length, as it is from any other cloud."""
    script = sends(HEAD % (b"5", b""), chunk(b'{"a"'), chunk(b"}"), b"0\r\n\r\n")
    async with upstream(script) as up, router([up.url]) as front:
        for _ in range(2):
            reply = await front.client.post("/invoke")
            assert (reply.status_code, reply.content) == (200, b'{"a"}')
            assert reply.headers["content-length"] == "5"
            assert not [name for name in reply.headers if "remapped" in name]
        assert up.connections == 1


@pytest.mark.parametrize("body", [chunk(b'{"a"'), chunk(b'{"a"}') + chunk(b"more")])
async def test_a_body_of_another_length_is_a_failure_although_its_chunks_end_well(body: bytes) -> None:
    """What a function that died left unsaid is seen by the length: the next target answers."""
    bad = sends(HEAD % (b"5", b""), body, b"0\r\n\r\n")
    good = sends(HEAD % (b"2", b""), chunk(b"{}"), b"0\r\n\r\n")
    async with (
        upstream(bad) as first,
        upstream(good) as second,
        router([first.url, second.url], policy=QUICK) as front,
    ):
        reply = await front.client.post("/invoke")
        assert (reply.content, reply.headers["x-skyfleet-target"]) == (b"{}", "azure/r1")


async def test_a_large_body_that_falls_short_is_cut_and_not_passed_as_whole() -> None:
    """More than is held has been passed on when the end comes early."""
    script = sends(HEAD % (b"99999", b""), chunk(b"x" * 70_000), b"0\r\n\r\n")
    async with upstream(script) as up, router([up.url], repeatable=False) as front:
        with pytest.raises(httpx.RemoteProtocolError):
            await front.client.post("/invoke")


async def test_a_body_that_ends_with_its_connection_is_held_to_the_length_too() -> None:
    """An orderly close after too little is no end."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-amzn-remapped-content-length: 5\r\n\r\n"
    short, whole = sends(head, b'{"a"', close=True), sends(head, b'{"a"}', close=True)
    async with (
        upstream(short) as first,
        upstream(whole) as second,
        router([first.url, second.url], policy=QUICK) as front,
    ):
        assert (await front.client.post("/invoke")).headers["x-skyfleet-target"] == "azure/r1"


async def test_a_reply_to_head_has_the_length_and_no_body() -> None:
    """HEAD announces what GET would send."""
    async with upstream(sends(HEAD % (b"5", b""), close=True)) as up, router([up.url]) as front:
        reply = await front.client.head("/x")
        assert (reply.status_code, reply.headers["content-length"]) == (200, "5")
