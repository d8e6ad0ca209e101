"""Tests of pages of other origins, where the config names the origins."""

from __future__ import annotations

import json

import pytest

from router.core.errors import CallerError, SettingsError
from router.cors import CorsFields
from skyfleet.contract import is_origin
from tests.router.support import API_KEY, Peer, Received, closed_url, ok, router, settings, upstream

PAGE = "https://app.example.net"
PREFLIGHT = {"origin": PAGE, "access-control-request-method": "POST"}
KEY = {"authorization": f"Bearer {API_KEY}"}
NAMED = json.dumps([PAGE])


async def test_a_page_of_a_named_origin_uses_an_agent_that_knows_nothing_of_pages() -> None:
    """The router answers the preflight without an agent, and makes the reply readable."""
    async with (
        upstream(ok) as up,
        router([up.url], SKYFLEET_OPEN="0", SKYFLEET_CORS_ORIGINS=NAMED) as front,
    ):
        asked = {**PREFLIGHT, "access-control-request-headers": "authorization,content-type"}
        preflight = await front.client.options("/invoke", headers=asked)
        assert (preflight.status_code, preflight.content, up.received) == (204, b"", [])
        assert preflight.headers["access-control-allow-origin"] == PAGE
        assert preflight.headers["access-control-allow-methods"] == "POST"
        assert preflight.headers["access-control-allow-headers"] == "authorization,content-type"
        assert preflight.headers["vary"] == "origin"
        reply = await front.client.post("/invoke", headers={**KEY, "origin": PAGE})
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, PAGE)
        assert "x-skyfleet-target" in reply.headers["access-control-expose-headers"]


async def test_a_page_of_another_origin_is_refused_by_name() -> None:
    """Its reply stays hidden, as browsers want it; a request of a program is as before."""
    async with (
        upstream(ok) as up,
        router([up.url], SKYFLEET_OPEN="0", SKYFLEET_CORS_ORIGINS=NAMED) as front,
    ):
        other = "https://other.example.net"
        refused = await front.client.options("/invoke", headers={**PREFLIGHT, "origin": other})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "origin-not-allowed")
        assert other in refused.json()["error"]["message"]
        for headers in ({**KEY, "origin": other}, KEY):
            reply = await front.client.post("/invoke", headers=headers)
            assert reply.status_code == 200
            assert "access-control-allow-origin" not in reply.headers
            assert reply.headers["vary"] == "origin"
        assert (await front.client.options("/api/status", headers=PREFLIGHT)).status_code == 401


async def test_fields_that_an_agent_has_set_are_left_alone() -> None:
    """Two values of Access-Control-Allow-Origin make a reply unreadable."""

    async def allows(request: Received, peer: Peer) -> None:
        await peer.reply(200, headers="access-control-allow-origin: *\r\n")

    async with upstream(allows) as up, router([up.url], SKYFLEET_CORS_ORIGINS=NAMED) as front:
        reply = await front.client.post("/invoke", headers={"origin": PAGE})
        assert reply.headers.get_list("access-control-allow-origin") == ["*"]


async def test_an_open_router_answers_preflights_too() -> None:
    """For a page on the same machine, while it is developed. `*` is every origin."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_CORS_ORIGINS='["*"]') as front:
        for headers in ({"origin": PAGE}, {}):
            reply = await front.client.post("/invoke", headers=headers)
            assert reply.headers["access-control-allow-origin"] == "*"
        preflight = await front.client.options("/invoke", headers=PREFLIGHT)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")


@pytest.mark.pure
@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"access-control-request-method", b"PO ST"),
        (b"access-control-request-headers", b"a: b"),
        (b"access-control-request-headers", b'"x"'),
    ],
)
def test_only_what_browsers_send_is_repeated(field: bytes, value: bytes) -> None:
    """The answer has the names that the page asked for."""
    fields = {name.encode(): text.encode() for name, text in PREFLIGHT.items()}
    with pytest.raises(CallerError, match="not those of a browser"):
        CorsFields(["*"]).preflight({**fields, field: value})


@pytest.mark.pure
@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("https://app.example.com", True),
        ("http://localhost:5173", True),
        ("capacitor://localhost", True),
        ("https://app.example.com:443", False),
        ("https://App.example.com", False),
        ("https://app.example.com/", False),
        ("https://*.example.com", False),
        ("app.example.com", False),
        ("null", False),
        ("https://", False),
        (7, False),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(text: object, valid: bool) -> None:
    """They are compared byte by byte (RFC 6454, section 6.2)."""
    assert is_origin(text) is valid


@pytest.mark.pure
@pytest.mark.parametrize("value", ["[]", '["https://a/"]', '"*"', "{"])
def test_a_wrong_list_of_origins_is_a_mistake(value: str) -> None:
    """Of the environment; the config is checked before."""
    with pytest.raises(SettingsError, match="SKYFLEET_CORS_ORIGINS"):
        settings([closed_url()], SKYFLEET_CORS_ORIGINS=value)
