"""Tests of the key in an `Idempotency-Key` field: quoted and bare."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfleet.idempotency_key import InvalidKey, parse_key

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"abc", b"abc"),
        (b'"abc"', b"abc"),
        (b' "abc"\t', b"abc"),
        (b'"two words"', b"two words"),
        (b'"a\\"b\\\\c"', b'a"b\\c'),
        (b'a"b', b'a"b'),
        (b"a\\b", b"a\\b"),
        (b"x" * 255, b"x" * 255),
        (b'"' + b"x" * 255 + b'"', b"x" * 255),
    ],
)
def test_a_key_is_the_same_with_and_without_quotes(value: bytes, key: bytes) -> None:
    """A quoted one is a String of RFC 9651; a bare one is taken as it is."""
    assert parse_key(value) == key


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b'""',
        b'"',
        b'"abc',
        b'"a"b"',
        b'"a\\b"',
        b'"a";p=1',
        b'"\xc3\xb6"',
        b"\xf6",
        b"two words",
        b"x" * 256,
    ],
)
def test_a_value_that_is_no_key_is_refused(value: bytes) -> None:
    """So that no value has two meanings."""
    with pytest.raises(InvalidKey):
        parse_key(value)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255))
def test_every_bare_key_has_one_quoted_form(text: str) -> None:
    """Unless it begins with a quote, which makes it a String."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_key(f'"{quoted}"'.encode()) == text.encode()
    if not text.startswith('"'):
        assert parse_key(text.encode()) == text.encode()
