"""Tests of the list of routers that a router serves."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from router.well_known import has
from skyfleet.router_list import PATH, digest_of, load, token
from tests.router.snapshots import send, snapshot
from tests.router.support import API_KEY, Front, ok, router, upstream
from tests.router.sync.support import MemoryBucket

URLS = ["https://a.example", "https://b.example"]
KEYED = {"authorization": f"Bearer {API_KEY}"}


async def tell(front: Front, routers: list[str] | None) -> None:
    """A snapshot of a checker, with its list of routers."""
    found: dict[str, Any] = snapshot(True, True, at=time.time())
    if routers is not None:
        found["routers"] = routers
    assert (await send(front, json.dumps(found).encode())).status_code == 200


def routers_of(reply: httpx.Response) -> list[str]:
    return list(load(reply.content, API_KEY, time.time()).routers)


async def test_a_router_tells_what_the_checkers_list() -> None:
    """Signed with the API key, which opens it in both fields, as does the token that is derived from it."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        await tell(front, URLS)
        derived = token(digest_of(API_KEY))
        for headers in (KEYED, {"x-api-key": API_KEY}, {"authorization": f"Bearer {derived}"}):
            reply = await front.client.get(PATH, headers=headers)
            assert (reply.status_code, routers_of(reply)) == (200, URLS)
            assert reply.json()["routers"] == URLS
            assert reply.json()["complete"] is True
        assert [one.target for one in up.received if one.target == PATH] == []


async def test_without_the_key_it_is_not_told() -> None:
    """And the token opens no other path."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        for headers in ({}, {"x-api-key": "no"}, {"authorization": f"Bearer {token(b'x' * 32)}"}):
            reply = await front.client.get(PATH, headers=headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (401, "unauthorized")
            assert reply.headers["www-authenticate"].startswith("Bearer ")
        derived = {"authorization": f"Bearer {token(digest_of(API_KEY))}"}
        for path in ("/invoke", "/api/status", "/api/control"):
            assert (await front.client.get(path, headers=derived)).status_code == 401


async def test_before_a_checker_has_listed_any_the_router_names_itself_alone() -> None:
    """By the name that the client uses. A checker of an older release lists none."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        own = f"http://127.0.0.1:{front.port}"
        for _ in range(2):
            reply = await front.client.get(PATH, headers=KEYED)
            assert (routers_of(reply), reply.json()["complete"]) == ([own], False)
            await tell(front, None)


async def test_an_instance_that_has_just_started_reads_the_list_first() -> None:
    """From the bucket, where another instance has stored it."""
    bucket = MemoryBucket()
    async with upstream(ok) as up:
        async with router([up.url], bucket=bucket, SKYFLEET_OPEN="0") as front:
            await tell(front, URLS)
        async with router([up.url], bucket=bucket, SKYFLEET_OPEN="0") as front:
            assert routers_of(await front.client.get(PATH, headers=KEYED)) == URLS


async def test_a_name_that_clients_use_comes_first() -> None:
    """`skyfleet:router.publicUrl`, known from the start."""
    name = "https://agents.example.com/team"
    async with (
        upstream(ok) as up,
        router([up.url], SKYFLEET_OPEN="0", SKYFLEET_PUBLIC_URL=name) as front,
    ):
        assert routers_of(await front.client.get(PATH, headers=KEYED)) == [name]
        await tell(front, URLS)
        assert routers_of(await front.client.get(PATH, headers=KEYED)) == [name, *URLS]


async def test_a_client_keeps_it_and_asks_whether_it_has_changed() -> None:
    """304 until it has; no shared cache keeps what is signed for one key."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        await tell(front, URLS)
        first = await front.client.get(PATH, headers=KEYED)
        assert first.headers["cache-control"] == "private, max-age=300"
        assert first.headers["vary"] == "authorization, x-api-key"
        asks = {**KEYED, "if-none-match": first.headers["etag"]}
        again = await front.client.get(PATH, headers=asks)
        if again.status_code == 200:  # the hour has ended between the two
            asks["if-none-match"] = again.headers["etag"]
            again = await front.client.get(PATH, headers=asks)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == asks["if-none-match"]
        assert "x-request-id" in again.headers
        await tell(front, [*URLS, "https://c.example"])
        assert (await front.client.get(PATH, headers=asks)).status_code == 200
        head = await front.client.head(PATH, headers=KEYED)
        assert (head.status_code, head.content) == (200, b"")


async def test_an_open_router_signs_nothing() -> None:
    """It has no key, and all of its fleet is on this machine."""
    async with upstream(ok) as up, router([up.url]) as front:
        await tell(front, ["http://127.0.0.1:9"])
        reply = await front.client.get(PATH)
        assert "signed" not in reply.json()
        assert load(reply.content, None, time.time()).routers == ("http://127.0.0.1:9",)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (b"", False),
        (b'"a"', True),
        (b'W/"a"', True),
        (b'"b", W/"a" ', True),
        (b"*", True),
        (b'"b"', False),
        (b"a", False),
    ],
)
def test_an_entity_tag_is_found_in_a_list(condition: bytes, found: bool) -> None:
    """By weak comparison."""
    assert has(condition, b'"a"') == found
