"""Tests of the one spelling of a request target, in which signatures cover it."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfleet.signing import Keys, Verifier, sign
from skyfleet.spelling import plain_path, plain_query

pytestmark = pytest.mark.pure

KEYS = Keys.parse('{"k1": "an-older-made-up-secret"}')
NOW = 1_800_000_000.0
texts = st.text(alphabet='/.%\\aA25Ff?é"', max_size=12).map(lambda text: f"/{text}")


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/", "/"),
        ("/a/./b/../c", "/a/c"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b/%2e", "/b/"),
        ("/..", "/"),
        ("/../..", "/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/a//../b", "/a/b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/...", "/a/..."),
        ("/café//x", "/café//x"),
        ("/a%2Fb", "/a/b"),
        ("/a%25252Fb", "/a/b"),
        ("/%2%35", "/%"),
        ("/%zz", "/%zz"),
        ("/%", "/%"),
        ("/%FF", "/\ufffd"),
        ("/a\\b", "/a/b"),
        ("/a%5c..%5Cb", "/b"),
    ],
)
def test_a_path_is_decoded_to_its_end_and_has_no_dot_segment(path: str, plain: str) -> None:
    """RFC 3986, section 5.2.4, after all decoding."""
    assert plain_path(path) == plain


@pytest.mark.parametrize(
    ("query", "plain"),
    [
        (b"b=%27x%7E&a=/../c+d", b"b='x~&a=/../c+d"),
        (b"a=%26b%3d%2B%23%3b", b"a=%26b%3D%2B%23%3B"),
        (b"a=%2526&b=%", b"a=%2526&b=%25"),
    ],
)
def test_a_query_keeps_its_order_its_dots_and_its_separators(query: bytes, plain: bytes) -> None:
    """Only the encoding goes that platforms add or remove."""
    assert plain_query(query) == plain == plain_query(plain)


@pytest.mark.parametrize(
    ("one", "other"),
    [(b"a=%26b", b"a=&b"), (b"a=%2541", b"a=%41"), (b"a=%2526", b"a=%26"), (b"a=%2B", b"a=+")],
)
def test_queries_that_mean_different_things_are_spelled_apart(one: bytes, other: bytes) -> None:
    """A value never becomes a part of its query under the same signature."""
    assert plain_query(one) != plain_query(other)


@given(texts, st.integers(0, 3))
def test_it_does_not_matter_how_often_a_path_was_encoded(path: str, times: int) -> None:
    """Nor whether what remains is spelled once more."""
    spelled, plain = path, plain_path(path)
    for _ in range(times):
        spelled = quote(spelled)
    assert plain_path(spelled) == plain == plain_path(plain)


def test_a_long_target_costs_no_pass_for_each_encoding() -> None:
    """16 KiB that are encoded thousands of times are decoded at once."""
    assert plain_path("/%" + "25" * 8_000) == "/%"


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        # Azure Functions: by the host, and by the platform in front of it.
        ("/a%2Fb?x", "/a%252Fb?x"),
        ("/a%2Fb?x", "/a/b?x"),
        ("/a/./b/../c", "/a/c"),
        ("/%zz/%FF", "/%25zz/%25FF"),
        ("/a?q={x}|%", "/a?q=%7Bx%7D%7C%25"),
        # AWS Lambda: by the adapter.
        ("/a/%2e%2e/b", "/b"),
        ("/a\\b", "/a/b"),
        ("/a?q=it's", "/a?q=it%27s"),
        ('/a?q="<x>"', "/a?q=%22%3Cx%3E%22"),
        # Cloud Run.
        ("/%7Euser/%41", "/~user/A"),
    ],
)
def test_a_target_that_a_platform_respells_keeps_its_signature(sent: str, received: str) -> None:
    """The router signs what it sends, and the agent verifies what it gets."""
    (path, _, query), (its_path, _, its_query) = sent.partition("?"), received.partition("?")
    headers = sign(KEYS, "GET", unquote(path), query.encode(), b"", now=NOW, nonce="0" * 32)
    Verifier(KEYS).check(headers, "GET", unquote(its_path), its_query.encode(), b"", now=NOW)
