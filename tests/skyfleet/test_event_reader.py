"""Claims about the reader of event streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfleet.event_reader import MOST_BYTES, EventReader, EventTooLarge

# Examples of the standard ("Interpreting an event stream"), and what surrounds them.
STREAMS: list[tuple[bytes, list[tuple[str, bytes, str]]]] = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("", b"YHOO\n+2\n10", "")]),
    (b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n", []),
    (b"data\n\ndata\ndata\n\ndata:", [("", b"", ""), ("", b"\n", "")]),
    (b"data:test\n\ndata: test\n\n", [("", b"test", ""), ("", b"test", "")]),
    (b"event: add\r\ndata: 1\r\n\r\n", [("add", b"1", "")]),
    (b"event: add\rdata: 1\r\r", [("add", b"1", "")]),
    (b"event: add\n\ndata: 1\n\n", [("", b"1", "")]),
    (b"id: 7\ndata: 1\n\ndata: 2\n\n", [("", b"1", "7"), ("", b"2", "7")]),
    (b": ping\n\n", []),
]
STREAMS[1] = (STREAMS[1][0], [("", b"first event", "1"), ("", b"second event", "")])


@given(st.sampled_from(STREAMS), st.lists(st.integers(1, 5), max_size=80))
def test_a_stream_is_read_alike_in_any_parts(
    case: tuple[bytes, list[tuple[str, bytes, str]]], sizes: list[int]
) -> None:
    """Also where a line end is cut in two."""
    stream, expected = case
    reader, found = EventReader(), list[tuple[str, bytes, str]]()
    for size in [*sizes, len(stream)]:
        part, stream = stream[:size], stream[size:]
        found += [(event.kind, event.data, event.id) for event in reader.feed(part)]
    found += [(event.kind, event.data, event.id) for event in reader.finish()]
    assert found == expected


def test_an_event_is_bounded() -> None:
    """In one line and in many."""
    with pytest.raises(EventTooLarge):
        EventReader().feed(b"data: " + b"x" * MOST_BYTES)
    reader = EventReader()
    line = b"data: " + b"x" * 1_000 + b"\n"
    for _ in range(MOST_BYTES // 1_000):
        reader.feed(line)
    with pytest.raises(EventTooLarge):
        reader.feed(line)
