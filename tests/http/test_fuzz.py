"""Random bytes against the parsers: stored inputs, the corpus, and variations of it.

`make fuzz` is guided by coverage; these variations are not. An input that broke a rule is kept in seeds/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.http.fuzz.targets import TARGETS, seeds

pytestmark = pytest.mark.pure

_STORED: Final = sorted(path for path in (Path(__file__).parent / "seeds").glob("*/*") if path.is_file())
_PIECES: Final = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"\xff", b"\r\n\r\n", b"0\r\n\r\n", b"3\r\nabc\r\n"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b" folded\r\n", b";a=b"),
    *(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 X\r\n\r\n", b"HTTP/1.0", b"Connection: close\r\n"),
)


@st.composite
def _varied(draw: st.DrawFn, name: str) -> bytes:
    """A seed with a few bytes taken out, pieces of other messages put in, and single bytes changed."""
    data = bytearray(draw(st.sampled_from(seeds(name))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 8)))
        data[at:end] = draw(st.sampled_from(_PIECES) | st.binary(max_size=4))
    return bytes(data)


@pytest.mark.parametrize("path", _STORED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_once_broke_a_rule_breaks_none(path: Path) -> None:
    """Found by `make fuzz` or by the variations below."""
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_breaks_no_rule_of_the_parsers(name: str) -> None:
    """However it is split."""
    for data in seeds(name):
        for first in range(7):
            TARGETS[name](data if name == "request_head" else bytes([first | data[0] & 64]) + data[1:])


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_varied_bytes_break_no_rule_of_the_parsers(name: str, data: st.DataObject) -> None:
    """A parser accepts what a strict reader accepts, splits change nothing, and no other error gets out."""
    TARGETS[name](data.draw(_varied(name) | st.binary(max_size=200)))
