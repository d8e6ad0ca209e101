"""Tests of the fields that replies have behind the host of Azure Functions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functions.runtimes.ascii_fields import encoded, in_ascii
from skyfleet.asgi import Message

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (b"plain %E9", b"plain %E9"),
        (b"caf\xe9", b"caf%E9"),
        ("Jos\u00e9 \u20ac".encode(), b"Jos%C3%A9 %E2%82%AC"),
    ],
)
def test_octets_beyond_ascii_are_percent_encoded(value: bytes, sent: bytes) -> None:
    """And nothing else; repeated fields stay repeated."""
    assert encoded([(b"x", value), (b"x", b"1")]) == [(b"x", sent), (b"x", b"1")]


def test_only_the_head_of_a_reply_is_changed() -> None:
    """A body may have any octet."""
    found: list[Message] = []

    async def send(message: Message) -> None:
        found.append(message)

    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"x", b"\xe9")]}
    body: Message = {"type": "http.response.body", "body": b"\xe9"}
    for message in (start, body):
        _run(in_ascii(send)(message).__await__())
    assert found == [{**start, "headers": [(b"x", b"%E9")]}, body]


def _run(steps: Iterator[object]) -> None:
    assert list(steps) == []
