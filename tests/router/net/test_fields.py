"""Tests of the header fields that the router forwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.net import fields
from router.net.errors import InvalidRequest
from skyfleet.origin import Origin

pytestmark = pytest.mark.pure


def test_only_a_valid_request_id_is_copied() -> None:
    """A request id is a token of at most 128 bytes."""
    assert fields.request_id([(b"x-request-id", b"a-1")]) == b"a-1"
    for value in (b"", b"a b", b"a" * 129, "ä".encode()):
        assert fields.request_id([(b"x-request-id", value)]) is None


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_header_field_can_add_a_line(name: bytes, value: bytes) -> None:
    """An accepted field is one line of the request head."""
    try:
        fields.check_request("GET", b"/", [(name, value)])
    except InvalidRequest:
        return
    head = fields.request_head("GET", b"/", Origin(False, "h", 80), [(name, value)], 0)
    assert head.count(b"\n") == 4
    assert head.count(b"\r") == 4


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://agent.example/item/?a=b", "https://r.example/team/item/?a=b"),
        ("HTTPS://Agent.example", "https://r.example/team"),
        ("https://agent.example?a", "https://r.example/team?a"),
        ("https://agent.example.net/item", None),
        ("https://agent.example:8443/item", None),
        ("https://login.example/?next=https://agent.example/", None),
        ("/item/", None),
        ("", None),
    ],
)
def test_a_location_at_the_agents_url_leads_to_the_router(location: str, expected: str | None) -> None:
    """An agent answers no unsigned request, so its URL is of no use to a client."""
    told = b'for="";host="r.example";proto=https;prefix="/team"'
    own, other = Origin(True, "agent.example", 443), (b"x-other", b"https://agent.example/")
    found = fields.relocated([(b"location", location.encode()), other], own, told)
    assert found == [(b"location", (expected or location).encode()), other]
    given = [(b"location", location.encode())]
    assert fields.relocated(given, own, b'for="";') == given


def test_what_a_platform_adds_to_a_routers_request_stays_there() -> None:
    """An agent in another cloud would take it for its own: the adapter's context names a function and its ARN."""
    own = [
        (b"disguised-host", b"router.example"),
        (b"x-amzn-lambda-context", b"{}"),
        (b"x-amzn-oidc-data", b"token"),
        (b"x-amzn-request-context", b"{}"),
        (b"x-arr-log-id", b"1"),
        (b"x-ms-invocation-id", b"1"),
    ]
    assert fields.upstream([*own, (b"x-a", b"1")], frozenset()) == [(b"x-a", b"1")]


def test_a_reply_without_a_body_is_forwarded_without_a_length() -> None:
    """For 204 and 304 a server in front of the router would wait for the body."""
    sent = [(b"content-length", b"5"), (b"etag", b"x")]
    assert fields.downstream(sent) == sent
    for status in (204, 304):
        assert fields.downstream(sent, status) == [(b"etag", b"x")]
