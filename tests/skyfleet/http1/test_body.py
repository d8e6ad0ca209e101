"""Bodies: the same content however it is split, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfleet.http1.body import Decoder, decoder
from skyfleet.http1.errors import MalformedMessage
from skyfleet.http1.head import CHUNKED, MAX_LINE

pytestmark = pytest.mark.pure

PARTS = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
TRAILERS = [(b"digest", b"abc"), (b"x-two", b"")]


def coded(parts: list[bytes], *, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return b"%b0\r\n%b\r\n" % (chunks, trailers)


def fed(one: Decoder, data: bytes, cuts: list[int]) -> bytes:
    """The content, read in the parts that the cuts make; what follows the end stays in `rest`."""
    content, start = b"", 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        part, start = data[start:cut], cut
        if one.done:
            one.rest += part
        else:
            content += one.feed(part)
    return content


@given(PARTS, st.lists(st.integers(min_value=0), max_size=6), st.binary(max_size=5), st.booleans())
def test_chunks_are_read_however_they_are_split(
    parts: list[bytes], cuts: list[int], behind: bytes, extended: bool
) -> None:
    """Extensions are read over, fields behind the body are kept apart, what follows is left."""
    one = decoder(CHUNKED)
    wire = coded(parts, extension=b";a=b" if extended else b"", trailers=b"Digest: abc\r\nX-Two:\r\n")
    assert fed(one, wire + behind, cuts) == b"".join(parts)
    assert (one.done, one.rest, one.trailers) == (True, behind, TRAILERS)


@given(st.binary(max_size=60), st.lists(st.integers(min_value=0), max_size=6), st.binary(max_size=5))
def test_a_length_is_read_however_it_is_split(body: bytes, cuts: list[int], behind: bytes) -> None:
    """What follows the body is left."""
    one = decoder(len(body))
    assert fed(one, body + behind, cuts) == body
    assert (one.done, one.rest) == (True, behind)


def test_a_body_until_the_close_has_no_end_of_its_own() -> None:
    """All of it is content."""
    one = decoder(None)
    assert (one.feed(b"a"), one.feed(b"b"), one.done) == (b"a", b"b", False)


@pytest.mark.parametrize(
    "data",
    [
        b"g\r\n",
        b"\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\na\r\n",
        b" 1\r\na\r\n",
        b"1 \r\na\r\n",
        b"1\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\na0\r\n\r\n",
        b"123456789\r\n",
        b"1;a\x00\r\n",
        b"1;a\nb\r\n",
        b"1;" + b"a" * 300 + b"\r\n",
        b"1;" + b"a" * 300,
        b"0\r\n\n",
        b"0\r\n\rX",
        b"0\r\nX: 1\n",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\nX: 1\nY: 2\r\n\r\n",
        b"0\r\nX: " + b"a" * (MAX_LINE + 1),
        b"0\r\nX: " + b"a" * (MAX_LINE + 1) + b"\r\n\r\n",
        b"1;" + b"a" * 250 + b"\r\na\r\n",
    ],
)
def test_a_malformed_chunk_is_refused(data: bytes) -> None:
    """In one read and byte by byte; the last one only after many of its kind."""
    wire = data * 300 if data.endswith(b"a\r\na\r\n") else data
    for step in (len(wire), 1):
        with pytest.raises(MalformedMessage):
            fed(decoder(CHUNKED), wire, list(range(0, len(wire), step)))
