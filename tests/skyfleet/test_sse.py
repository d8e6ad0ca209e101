"""Tests of the search for the first event of a stream."""

from __future__ import annotations

import pytest

from skyfleet.sse import FirstEvent

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("parts", "here"),
    [
        ([b"data: x\n\n"], True),
        ([b"da", b"ta: x\r\n\r", b"\n"], True),
        ([b"event: done\ndata\n\n"], True),
        ([b": ping\n\n", b": ping\n\n"], False),
        ([b"retry: 3\nid: 1\n\n"], False),
        ([b"database: x\n\n"], False),
        ([b"data: x\n"], False),
        ([b": ping\n\ndata: x\n\n"], True),
        ([b"data: " + b"x" * 70_000], True),
    ],
)
def test_the_first_event_is_one_with_data(parts: list[bytes], here: bool) -> None:
    """Comments, `id` and `retry` do not count, and an event that exceeds the limit counts before its end."""
    first = FirstEvent()
    assert [first.feed(part) for part in parts][-1] is here
