"""Replies of Lambda functions that broke off and look whole."""

from __future__ import annotations

from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.net.lambda_errors import LambdaErrorFilter, error_begins
from tests.router.proxy.support import CHUNKED, chunk, sends
from tests.router.support import router, upstream

ERROR = (
    b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"
    b"Lambda-Runtime-Function-Error-Body: ZXJyb3IgcmVhZGluZyBhIGJvZHkgZnJvbSBjb25uZWN0aW9u\r\n"
)


def received(*parts: bytes) -> tuple[bytes, str]:
    """The body and the end of a reply that comes in these parts and ends well."""
    body = LambdaErrorFilter()
    passed = b"".join([body.feed(part) for part in parts])
    rest = body.finish()
    return (passed, "broke off") if rest is None else (passed + rest, "whole")


@pytest.mark.pure
@given(st.lists(st.integers(0, len(ERROR) + 4), max_size=6))
def test_a_body_that_ends_with_the_runtimes_error_has_failed(cuts: list[int]) -> None:
    """Wherever its parts are cut, and nothing of the error is passed on."""
    whole = b"half" + ERROR
    places = sorted({0, *cuts, len(whole)})
    parts = [whole[start:end] for start, end in pairwise(places)]
    assert received(*parts) == (b"half", "broke off")


@pytest.mark.pure
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"half",
        b"ends with L",
        ERROR[:20],
        ERROR + b"and goes on",
        ERROR[:-2],
        ERROR.replace(b"ZXJy", b"!" * 4),
        ERROR[:-2] + b"A" * 5000 + b"\r\n",
    ],
)
@given(cut=st.integers(0, 5200))
def test_every_other_body_arrives_unchanged(body: bytes, cut: int) -> None:
    """Also one that quotes the lines, or ends in the middle of them."""
    assert received(*(part for part in (body[:cut], body[cut:]) if part)) == (body, "whole")


@pytest.mark.pure
def test_what_is_passed_on_is_not_held_back_without_need() -> None:
    """Only the end of a chunk that may be the beginning of the error waits for more."""
    assert error_begins(b"data: Lambda\n\n") == len(b"data: Lambda\n\n")
    assert error_begins(b"data: Lambda") == len(b"data: ")


async def test_a_callers_reply_does_not_end_well_where_the_agents_broke_off() -> None:
    """The target's reply ends like a whole one; the caller's is cut."""
    script = sends(CHUNKED % b"text/plain", chunk(b"half") + chunk(ERROR) + b"0\r\n\r\n")
    async with upstream(script) as up, router([up.url], repeatable=False) as front:
        with pytest.raises(httpx.RemoteProtocolError):
            await front.client.post("/invoke")


async def test_a_length_that_is_announced_shows_the_error_too() -> None:
    """Lambda renames the length and the body is chunked: with the error it is longer than announced."""
    head = CHUNKED % b"text/plain"
    head = head.replace(b"\r\n\r\n", b"\r\nx-amzn-remapped-content-length: 4\r\n\r\n")
    script = sends(head, chunk(b"half") + chunk(ERROR) + b"0\r\n\r\n")
    async with upstream(script) as up, router([up.url], repeatable=False) as front:
        reply = await front.client.post("/invoke")
        assert (reply.status_code, reply.json()["error"]["code"]) == (502, "may-have-run")


async def test_a_document_that_broke_off_is_asked_for_elsewhere() -> None:
    """Nothing of it was passed on, so another target's is."""
    half = sends(CHUNKED % b"application/json", chunk(b'{"a"') + chunk(ERROR) + b"0\r\n\r\n")
    whole = sends(CHUNKED % b"application/json", chunk(b'{"a": 1}') + b"0\r\n\r\n")
    async with upstream(half) as first, upstream(whole) as second:
        async with router([first.url, second.url], repeatable=True) as front:
            replies = [await front.client.post("/invoke") for _ in range(4)]
        assert {reply.content for reply in replies} == {b'{"a": 1}'}
        assert len(first.asked) > 0
