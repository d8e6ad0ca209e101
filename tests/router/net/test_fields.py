"""Tests of the header fields that the router forwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.net import fields
from router.net.errors import InvalidRequest
from skyfleet.http1.lines import lines_of
from skyfleet.origin import Origin

pytestmark = pytest.mark.pure


def test_only_a_valid_request_id_is_copied() -> None:
    """A request id is a token of at most 128 bytes."""
    assert fields.request_id([(b"x-request-id", b"a-1")]) == b"a-1"
    for value in (b"", b"a b", b"a" * 129, "ä".encode()):
        assert fields.request_id([(b"x-request-id", value)]) is None


_STOPPED = (
    *(b"x-skyfleet-signature", b"x-skyfleet-forwarded", b"x-skyfleet-outcome", b"x-skyfleet-of-tomorrow"),
    *(b"x-request-id", b"x-forwarded-for", b"x-ms-client-principal", b"x-functions-key"),
    *(b"content-length", b"transfer-encoding", b"host"),
)


@pytest.mark.parametrize("name", _STOPPED)
def test_a_field_that_must_not_reach_an_agent_does_so_in_no_spelling(name: bytes) -> None:
    """CGI and WSGI fold hyphens and underscores into one variable, so both spellings are the same field."""
    spellings = {
        name,
        name.replace(b"-", b"_"),
        name.replace(b"-", b"_", 1),
        name[::-1].replace(b"-", b"_", 1)[::-1],
    }
    sent = [(spelling, b"forged") for spelling in sorted(spellings)]
    kept = [(b"accept", b"*/*"), (b"x_own", b"1"), (b"x-own_field", b"2")]
    assert fields.upstream([*kept, *sent], frozenset()) == lines_of(kept)


def test_a_field_that_connection_names_stops_in_each_spelling() -> None:
    """The key of the caller too, in whichever field it came."""
    sent = [(b"x_a", b"1"), (b"x-a", b"2"), (b"x_api_key", b"3"), (b"x-b", b"4"), (b"connection", b"x-a")]
    assert fields.upstream(sent, frozenset({b"x-api-key"})) == b"x-b: 4\r\n"


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_header_field_can_add_a_line(name: bytes, value: bytes) -> None:
    """An accepted field is one line of the request head."""
    try:
        fields.check_request("GET", b"/", [(name, value)])
    except InvalidRequest:
        return
    head = fields.request_head("GET", b"/", Origin(False, "h", 80), lines_of([(name, value)]), 0)
    assert head.count(b"\n") == 4
    assert head.count(b"\r") == 4


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://agent.example/item/?a=b", "https://r.example/team/item/?a=b"),
        ("HTTPS://Agent.example", "https://r.example/team"),
        ("https://agent.example?a", "https://r.example/team?a"),
        ("https://agent.example:443/item", "https://r.example/team/item"),
        ("http://agent.example:443?a", "https://r.example/team?a"),
        ("http://agent.example:80", "https://r.example/team"),
        ("//agent.example/item", "https://r.example/team/item"),
        ("//agent.example:443/item", "https://r.example/team/item"),
        ("///agent.example/item", None),
        ("//agent.example@evil.example/", None),
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
    """An agent in another cloud would take it for its own: the adapter's context names a function."""
    own = [
        (b"disguised-host", b"router.example"),
        (b"x-amzn-lambda-context", b"{}"),
        (b"x-amzn-oidc-data", b"token"),
        (b"x-amzn-request-context", b"{}"),
        (b"x-arr-log-id", b"1"),
        (b"x-ms-invocation-id", b"1"),
    ]
    assert fields.upstream([*own, (b"x-a", b"1")], frozenset()) == b"x-a: 1\r\n"


def test_a_reply_keeps_the_length_of_what_it_does_not_send() -> None:
    """A 304 has the length of the content that the client has (RFC 9110, section 8.6); a 204 never has one,
    and an event stream may get an event of the router."""
    sent = [(b"content-length", b"5"), (b"date", b"Fri, 27 Nov 2026 14:00:00 GMT")]
    assert fields.downstream(sent) == fields.downstream(sent, 304) == sent
    assert fields.downstream(sent, 204) == fields.downstream(sent, streamed=True) == sent[1:]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"te", b"trailers"), (b"connection", b"TE")], True),
        ([(b"te", b"gzip, Trailers;q=1"), (b"connection", b"keep-alive, te")], True),
        ([(b"te", b"trailers")], False),
        ([(b"te", b"gzip"), (b"connection", b"te")], False),
        ([(b"connection", b"te")], False),
    ],
)
def test_an_agent_is_told_of_a_client_that_takes_trailers(
    headers: list[tuple[bytes, bytes]], expected: bool
) -> None:
    """TE is for the next hop only, so its sender names it in Connection (RFC 9110, section 10.1.4)."""
    told = b"te: trailers\r\nconnection: te\r\n" if expected else b""
    assert fields.upstream([*headers, (b"x", b"y")], frozenset()) == b"x: y\r\n" + told


def test_no_trailer_acts_as_head() -> None:
    """Framing, routing, credentials, and the router's own fields do not pass behind a body."""
    good = [(b"x-checksum", b"1"), (b"server-timing", b"db;dur=1")]
    bad = (b"content-length", b"transfer-encoding", b"set-cookie", b"host", b"x-skyfleet-target", b"location")
    assert fields.trailing([*((name, b"1") for name in bad), *good]) == good
