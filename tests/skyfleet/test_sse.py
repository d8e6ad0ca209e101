"""Tests of event streams: the first event, and forwarding whole events."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfleet import sse
from skyfleet.sse import EventStream, FirstEvent

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


@given(st.lists(st.sampled_from([b"data: x\n\n", b"data: ", b"x\n", b"\n", b"\r\n", b"\r", b": c\n\n"])))
def test_only_whole_events_are_forwarded_however_they_arrive(parts: list[bytes]) -> None:
    """The forwarded bytes end with an empty line, and nothing is lost at the end."""
    stream, sent = EventStream(), b""
    for part in parts:
        ready = stream.feed(part)
        assert not ready or ready.endswith((b"\n\n", b"\n\r\n", b"\r\r"))
        sent += ready
    assert stream.repairable
    assert sent + stream.finish() == b"".join(parts)


@given(
    st.recursive(st.none() | st.booleans() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_one_event_is_one_line_of_data(value: object) -> None:
    """Line breaks and lone surrogates in the data do not break the framing."""
    framed = sse.frame(value, "step").decode()
    head, data, *rest = framed.split("\n")
    assert (head, rest) == ("event: step", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == value
