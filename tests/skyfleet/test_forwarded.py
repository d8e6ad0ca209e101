"""Tests of what a router tells an agent of its client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfleet.forwarded import (
    Forwarded,
    PublicUrl,
    parse,
    parse_address,
    parse_authority,
    parse_public_url,
)
from skyfleet.origin import Origin

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://a.example", "https://a.example"),
        ("https://A.example:443/", "https://a.example"),
        ("http://a.example:8080/team/one/", "http://a.example:8080/team/one"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://a.example/?b", None),
        ("https://a.example/a//b", None),
        ("https://a.example:0", None),
        ('https://a.example/"', None),
        ("https://ä.example", None),
        ("a.example", None),
        (7, None),
    ],
)
def test_a_public_url_is_an_origin_with_a_path_or_none(text: object, found: str | None) -> None:
    """It is written in one form."""
    url = parse_public_url(text)
    assert (url.text if url else None) == found


@pytest.mark.parametrize(
    ("url", "client", "address"),
    [
        ("https://a.example/team", b"192.0.2.7:81", ("192.0.2.7", 81)),
        ("http://127.0.0.1:8080", b"[2001:db8::7]:9", ("2001:db8::7", 9)),
        ("https://a.example", b"2001:db8::7", ("2001:db8::7", 0)),
        ("https://a.example", b"", None),
        ("https://a.example", b"unknown", None),
    ],
)
def test_a_value_is_read_as_it_was_written(url: str, client: bytes, address: tuple[str, int] | None) -> None:
    """A router writes it, and an agent reads it."""
    public = parse_public_url(url)
    assert public is not None
    value = b'for="%b";%b' % (client, public.parameters)
    assert parse(value) == Forwarded(public, address)


@given(st.binary(max_size=60))
def test_no_value_raises(value: bytes) -> None:
    """What is none is None."""
    text = value.decode("latin-1")
    assert parse(value) is None
    parse(b'for="%b";host="%b";proto=https' % (value, value))
    parse_address(text)
    found = parse_authority(text, tls=True)
    assert found is None or PublicUrl(found).origin == parse_authority(found.authority, tls=True)


def test_a_host_has_its_schemes_port() -> None:
    """443 for https, 80 for http."""
    assert parse_authority("a.example", tls=True) == Origin(True, "a.example", 443)
    assert parse_authority("a.example", tls=False) == Origin(False, "a.example", 80)
