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
    """Line breaks and lone surrogates in the data do not break the framing, nor do line ends of Unicode for
    clients that split at these."""
    framed = sse.frame(value, "step").decode()
    head, data, *rest = framed.split("\n")
    assert (head, rest) == ("event: step", ["", ""])
    assert framed.splitlines() == [head, data, ""]
    assert json.loads(data.removeprefix("data: ")) == value


@given(st.lists(st.binary(max_size=12), max_size=12), st.integers(1, 5))
def test_an_event_stream_is_forwarded_completely_in_any_pieces(parts: list[bytes], size: int) -> None:
    """At a clean end all bytes are forwarded in order."""
    stream = sse.EventStream()
    data = b"\n\n".join(parts)
    out = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size))
    assert data.startswith(out)
    assert out + stream.finish() == data


@given(st.binary(max_size=60), st.integers(1, 7))
def test_the_bytes_before_a_truncation_end_with_a_whole_event(data: bytes, size: int) -> None:
    """An error event can therefore follow."""
    stream = sse.EventStream()
    out = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size))
    assert stream.repairable
    assert out == b"" or out.endswith((b"\n\n", b"\n\r\n", b"\r\r"))


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_an_event_is_forwarded_with_its_empty_line_for_any_line_end(end: bytes, size: int) -> None:
    """A stream may mix the three line ends of the standard."""
    stream, first = sse.EventStream(), sse.FirstEvent()
    data = b"data: x" + end
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    assert b"".join(stream.feed(part) for part in parts) == data
    assert [first.feed(part) for part in parts][-1]


def test_an_oversized_event_is_forwarded_and_cannot_be_repaired() -> None:
    """Memory is limited; after the end of the event the stream can be repaired again."""
    stream = sse.EventStream()
    big = b"data: " + b"x" * sse.LONGEST_EVENT
    assert stream.feed(big) == big
    assert not stream.repairable
    assert stream.feed(b"y\n\ndata: z") == b"y\n\n"
    assert stream.repairable
