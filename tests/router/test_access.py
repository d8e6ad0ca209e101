"""Tests of the API key, its challenge, and of what pages of other origins may do without it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncGenerator

import pytest

from functions.app import create
from router.access import MOST_PREFLIGHTS, is_preflight
from router.core.errors import SettingsError
from skyfleet import router_list
from tests.fastapi_agent import PAGE
from tests.router.support import (
    API_KEY,
    Front,
    Peer,
    Received,
    alive,
    closed_url,
    keys_of,
    ok,
    router,
    served,
    settings,
    upstream,
)

PREFLIGHT = {"origin": PAGE, "access-control-request-method": "POST"}
KEY = {"authorization": f"Bearer {API_KEY}"}


@contextlib.asynccontextmanager
async def behind_a_router(agent: str = "tests.fastapi_agent:app") -> AsyncGenerator[Front]:
    """A closed router with one agent of this process."""
    app = create({"SKYFLEET_SIGNING_KEYS": keys_of("agent", "aws/r0"), "SKYFLEET_AGENT": agent})
    async with served(app) as port, router([f"http://127.0.0.1:{port}"], SKYFLEET_OPEN="0") as front:
        yield front


async def test_a_page_uses_an_agent_behind_a_closed_router() -> None:
    """The browser's two requests: a preflight without a key, which the agent answers, then the request with
    it."""
    async with behind_a_router() as front:
        asked = {**PREFLIGHT, "access-control-request-headers": "authorization,content-type"}
        preflight = await front.client.options("/invoke", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == PAGE
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        reply = await front.client.post("/invoke", json={}, headers={**KEY, "origin": PAGE})
        assert (reply.status_code, reply.json()) == (200, {"output": "fine"})
        assert reply.headers["access-control-allow-origin"] == PAGE
        assert reply.headers.get_list("access-control-allow-origin") == [PAGE]


async def test_the_agent_decides_which_origins_may_use_it() -> None:
    """Its refusal of a preflight is forwarded as it is."""
    async with behind_a_router() as front:
        refused = await front.client.options(
            "/invoke", headers={**PREFLIGHT, "origin": "https://other.example.net"}
        )
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer realm="skyfleet"'),
        ({"authorization": ""}, 'Bearer realm="skyfleet"'),
        ({"authorization": "Basic eDp5"}, 'Bearer realm="skyfleet"'),
        ({"authorization": "Bearer no"}, 'Bearer realm="skyfleet", error="invalid_token"'),
        ({"x-api-key": "no"}, 'Bearer realm="skyfleet", error="invalid_token"'),
    ],
)
async def test_a_refusal_has_a_challenge(headers: dict[str, str], challenge: str) -> None:
    """RFC 6750, section 3.1: an error is named only if a token was sent."""
    async with router([closed_url()], SKYFLEET_OPEN="0") as front:
        reply = await front.client.post("/invoke", headers=headers)
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, challenge)


async def test_a_page_can_read_each_error_of_the_router() -> None:
    """Fetch standard, CORS check: a reply without Access-Control-Allow-Origin is a network error."""
    async with router([closed_url()], SKYFLEET_OPEN="0") as front:
        post = front.client.post
        errors = [
            await post("/invoke"),
            await post("/invoke", headers={**KEY, "x-skyfleet-timeout-ms": "soon"}),
            await post("/invoke", headers=KEY, content=b"x" * (6 * 1024 * 1024 + 1)),
            await post("/invoke", headers=KEY),
            await post("/health"),
            await front.client.get("/api/status"),
            await front.client.put("/api/control", headers=KEY, content=b"{"),
            await post("/_skyfleet/health"),
            await post("/invoke", headers={"x-skyfleet-signature": "a", "x-skyfleet-key-id": "a"}),
        ]
        statuses = [error.status_code for error in errors]
        assert statuses == [401, 400, 413, 503, 405, 401, 400, 401, 421]
        for error in errors:
            # RFC 9110, section 15.5.2, also for a checker's snapshot.
            assert ("www-authenticate" in error.headers) == (error.status_code == 401), error
            assert error.headers["access-control-allow-origin"] == "*", error
            exposed = error.headers["access-control-expose-headers"].split(", ")
            shown = {name for name in error.headers if name.startswith(("x-", "retry-", "www-", "allow"))}
            assert shown <= set(exposed), error


async def test_what_is_no_preflight_needs_the_key() -> None:
    """OPTIONS without the two fields of a browser, with a body, or with credentials."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        for headers, body in (
            ({}, b""),
            ({"origin": PAGE}, b""),
            (PREFLIGHT, b"x"),
            ({**PREFLIGHT, "x-api-key": "no"}, b""),
            ({**PREFLIGHT, "cookie": "a=b"}, b""),
        ):
            reply = await front.client.request("OPTIONS", "/invoke", headers=headers, content=body)
            assert reply.status_code == 401, headers
        for path in ("/api/status", "/api/control", "/api/minutes"):
            assert (await front.client.options(path, headers=PREFLIGHT)).status_code == 401
        assert up.received == []
        assert (await front.client.options("/invoke", headers=KEY)).status_code == 200


async def test_a_body_in_chunks_may_only_be_empty() -> None:
    """A front end or an adapter may send a request without a body in chunks."""

    async def chunks(*parts: bytes) -> AsyncGenerator[bytes]:
        for part in parts:
            yield part

    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        empty = await front.client.request("OPTIONS", "/invoke", headers=PREFLIGHT, content=chunks())
        assert (empty.status_code, len(up.asked)) == (200, 1)
        full = await front.client.request("OPTIONS", "/invoke", headers=PREFLIGHT, content=chunks(b"x"))
        assert (full.status_code, len(up.asked)) == (413, 1)


async def test_an_agent_gets_nothing_of_a_preflight_but_a_browsers_fields() -> None:
    """Without a key no option of the router and no field of the agent's own counts."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        more = {"x-skyfleet-redundant": "3", "idempotency-key": "a", "x-mine": "1"}
        reply = await front.client.options("/a?b=c", headers={**PREFLIGHT, **more})
        assert (reply.status_code, up.asked[0].target) == (200, "/a?b=c")
        sent = up.asked[0].headers
        assert not more.keys() & sent.keys()
        assert (sent["origin"], sent["access-control-request-method"]) == (PAGE, "POST")
        assert "x-skyfleet-signature" in sent


async def test_no_client_without_a_key_changes_the_health_of_a_target() -> None:
    """Whatever an agent answers to preflights, its target keeps its state and its learned latency."""

    async def fails(request: Received, peer: Peer) -> None:
        await peer.reply(500, headers="endpoint-load-metrics: TEXT application_utilization=0\r\n")

    async def limits(request: Received, peer: Peer) -> None:
        mark = "endpoint-load-metrics: TEXT application_utilization=0\r\nretry-after: 60\r\n"
        await peer.reply(429, headers=mark)

    async def breaks(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
        else:
            peer.reset()

    for script in (fails, limits, breaks, ok):
        async with (
            upstream(script) as up,
            upstream(script) as other,
            router([up.url, other.url], SKYFLEET_OPEN="0") as front,
        ):
            for _ in range(12):
                await front.client.options("/invoke", headers=PREFLIGHT)
            status = await front.client.get("/api/status", headers=KEY)
            for target in status.json()["targets"]:
                assert (target["state"], target["errors"]) in (("healthy", 0), ("unknown", 0)), script
                assert target["backoff_s"] in (0, None)
                assert target["latency_ms"] is None


async def test_preflights_without_a_key_are_bounded() -> None:
    """A flood of them leaves connections to agents for clients with a key."""
    release = asyncio.Event()

    async def waits(request: Received, peer: Peer) -> None:
        if request.method == "OPTIONS":
            await release.wait()
        await ok(request, peer)

    async with upstream(waits) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        held = [
            asyncio.create_task(front.client.options("/invoke", headers=PREFLIGHT))
            for _ in range(MOST_PREFLIGHTS)
        ]
        async with asyncio.timeout(20):
            while len(up.asked) < MOST_PREFLIGHTS:
                await asyncio.sleep(0.005)
        refused = await front.client.options("/invoke", headers=PREFLIGHT)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too-many-preflights")
        assert refused.headers["retry-after"] == "1"
        assert (await front.client.post("/invoke", headers=KEY)).status_code == 200
        release.set()
        assert {reply.status_code for reply in await asyncio.gather(*held)} == {200}
        assert (await front.client.options("/invoke", headers=PREFLIGHT)).status_code == 200


@pytest.mark.pure
def test_a_signed_preflight_is_no_preflight() -> None:
    """A router that is listed as a target must see the signature and answer 421."""
    fields = {name.encode(): value.encode() for name, value in PREFLIGHT.items()}
    assert is_preflight(fields)
    assert not is_preflight({**fields, b"x-skyfleet-signature": b"a"})


async def test_an_agent_function_refuses_a_preflight_without_running() -> None:
    """It has no setting for origins; the 405 says so to a page."""
    async with behind_a_router("tests.functions.agents:echo") as front:
        reply = await front.client.options("/invoke", headers=PREFLIGHT)
        assert (reply.status_code, json.loads(reply.content)["error"]["code"]) == (405, "method-not-allowed")


OTHER_KEY = "sf-the-newer-key"
ROTATED = ",".join(hashlib.sha256(key.encode()).hexdigest() for key in (OTHER_KEY, API_KEY))


@pytest.mark.parametrize("key", [API_KEY, OTHER_KEY])
async def test_during_a_rotation_both_keys_are_valid(key: str) -> None:
    """On each path. Neither reaches an agent, and the list of routers is signed with the key that asked."""
    async with (
        upstream(ok) as up,
        router([up.url], SKYFLEET_OPEN="0", SKYFLEET_API_KEY_SHA256=ROTATED) as front,
    ):
        for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
            assert (await front.client.post("/invoke", json={}, headers=headers)).status_code == 200
            assert key not in str(up.received[-1].headers)
            for path in ("/api/status", "/api/control"):
                assert (await front.client.get(path, headers=headers)).status_code == 200
        derived = router_list.token(router_list.digest_of(key))
        for value in (key, derived):
            reply = await front.client.get(router_list.PATH, headers={"x-api-key": value})
            assert router_list.load(reply.content, key, time.time()).routers
        for other in ("sf-no", ROTATED, ROTATED[:64], f"{API_KEY},{OTHER_KEY}"):
            assert (await front.client.post("/invoke", headers={"x-api-key": other})).status_code == 401


@pytest.mark.pure
@pytest.mark.parametrize("text", ["", ",", ROTATED + ",", ROTATED[:-1], ROTATED.replace(",", ""), "x" * 64])
def test_what_is_no_list_of_hashes_starts_no_router(text: str) -> None:
    """An empty one would be the hash of no key."""
    with pytest.raises(SettingsError, match="SKYFLEET_API_KEY_SHA256"):
        settings(["https://agent.example.net"], SKYFLEET_API_KEY_SHA256=text)
