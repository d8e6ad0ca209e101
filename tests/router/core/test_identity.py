"""Claims about answers of another fleet or another target: they are not ours, whatever they say."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from functions.app import create
from router.checker import Checker
from router.config import checker_settings
from router.core.identity import mismatch
from router.core.targets import parse_targets
from tests.router.snapshots import send, snapshot
from tests.router.support import (
    QUICK,
    QUICK_CHECK,
    Peer,
    Received,
    Script,
    closed_url,
    keys_of,
    ok,
    router,
    served,
    upstream,
)

OURS, THEIRS = "0a1b2c3d", "ffffffff"
THEIR_ROOTS = '{"k1": "the root of another fleet"}'
((TARGET,), _) = parse_targets([{"cloud": "aws", "region": "r0", "url": "http://127.0.0.1:9"}])
HEALTH: Mapping[str, object] = {"status": "ok", "cloud": "aws", "region": "r0", "fleet": OURS}


def says(**changes: object) -> Script:
    """An agent that answers everything well, and its /health with these changes."""

    async def script(request: Received, peer: Peer) -> None:
        body = json.dumps({**HEALTH, **changes}).encode() if request.target == "/health" else b"{}"
        await peer.reply(200, body)

    return script


@pytest.mark.pure
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"fleet": THEIRS}, f"another fleet answers at its URL (it says fleet {THEIRS!r}, ours is {OURS!r})"),
        ({"fleet": ""}, "another fleet answers at its URL (it names no fleet, ours is '0a1b2c3d')"),
        ({"fleet": None}, "another fleet answers at its URL (it names no fleet, ours is '0a1b2c3d')"),
        ({"fleet": [OURS]}, "another fleet answers"),
        ({"fleet": "f" * 10_000}, "another fleet answers"),
        ({"region": "r1"}, "another target answers at its URL (it says 'aws/r1')"),
        ({"cloud": 7}, "another target answers at its URL (it says '?/r0')"),
    ],
)
def test_an_answer_is_ours_when_fleet_and_place_fit(changes: Mapping[str, object], words: str) -> None:
    """In words otherwise, short ones."""
    found = mismatch({**HEALTH, **changes}, TARGET, OURS)
    assert found.startswith(words)
    assert bool(found) is bool(words)
    assert len(found) < 160
    assert mismatch({**HEALTH, **changes}, TARGET, "") == ""


@pytest.mark.parametrize("changes", [{"fleet": "ffffffff"}, {"fleet": ""}, {"region": "r1"}])
def test_a_checker_sees_a_target_down_whose_port_another_fleet_has(changes: Mapping[str, str]) -> None:
    """And says why, in the snapshot that routers show."""

    async def run() -> dict[str, Any]:
        async with upstream(says(**changes)) as up:
            environ = {
                "SKYFLEET_CLOUD": "aws",
                "SKYFLEET_REGION": "r0",
                "SKYFLEET_FLEET": OURS,
                "SKYFLEET_TARGETS": json.dumps([{"cloud": "aws", "region": "r0", "url": up.url}]),
                "SKYFLEET_ROUTERS": json.dumps([closed_url()]),
                "SKYFLEET_SIGNING_KEYS": keys_of("checker", "aws/r0"),
            }
            one = Checker(replace(checker_settings(environ, "b1"), check=QUICK_CHECK))
            return await one.run()

    assert asyncio.run(run())["targets"] == {"aws/r0": "down"}


@pytest.mark.parametrize(("fleet", "state"), [(OURS, "healthy"), ("ffffffff", "down")])
def test_a_routers_own_question_believes_its_own_fleet_only(fleet: str, state: str) -> None:
    """One checker says down, so the router asks: another fleet's good answer does not clear the target."""

    async def run() -> str:
        async with (
            upstream(says(fleet=fleet)) as up,
            router([up.url], policy=QUICK, SKYFLEET_FLEET=OURS) as front,
        ):
            now = time.time()
            await send(front, json.dumps(snapshot(True, True, at=now - 20)).encode())
            await send(front, json.dumps(snapshot(False, False, False, at=now)).encode())
            return str((await front.target("aws/r0"))["state"])

    assert asyncio.run(run()) == state


async def test_another_fleets_agent_and_router_are_passed_over() -> None:
    """Its agent refuses our signature, its open router what is signed for an agent; nothing runs there, and
    the call is served elsewhere."""
    theirs = create({"SKYFLEET_SIGNING_KEYS": keys_of("agent", "aws/r0", THEIR_ROOTS)})
    async with (
        upstream(ok) as deep,
        router([deep.url], SKYFLEET_FLEET="ffffffff") as their_router,
        served(theirs) as their_agent,
        upstream(ok) as up,
        router(
            [f"http://127.0.0.1:{their_router.port}", f"http://127.0.0.1:{their_agent}", up.url],
            repeatable=False,
        ) as front,
    ):
        for _ in range(6):
            reply = await front.client.post("/invoke", content=b"{}")
            assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "gcp/r2")
        assert deep.asked == []
        assert "421" in (await front.target("aws/r0"))["reason"]
        assert "401" in (await front.target("azure/r1"))["reason"]


async def test_a_request_that_is_signed_for_an_agent_is_misdirected_at_a_router() -> None:
    """421 says whose address this is now and what to do; a single field like ours changes nothing."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_FLEET=OURS) as front:
        signed = {"x-skyfleet-signature": "00", "x-skyfleet-key-id": "k1:agent:aws/r0"}
        reply = await front.client.post("/invoke", content=b"{}", headers=signed)
        assert (reply.status_code, reply.json()["error"]["code"]) == (421, "misdirected")
        assert "router gcp/r2 of fleet '0a1b2c3d'" in reply.json()["error"]["message"]
        assert up.asked == []
        reply = await front.client.post("/invoke", content=b"{}", headers={"x-skyfleet-signature": "00"})
        assert reply.status_code == 200


async def test_a_snapshot_counts_for_the_checker_whose_key_signed_it() -> None:
    """One that speaks for another is refused, and the status names its true sender."""
    async with router(["http://127.0.0.1:9", "http://127.0.0.1:10"]) as front:
        body = json.dumps(snapshot(False, False, False, at=time.time(), checker="azure/r1")).encode()
        reply = await send(front, body, checker="aws/r0")
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "snapshot-rejected")
        status = await front.status()
        assert list(status["rejected"]) == ["aws/r0"]
        assert "speaks for azure/r1, but the key of aws/r0 signed it" in status["rejected"]["aws/r0"]
        assert status["checkers"] == [] or not any(one["fresh"] for one in status["checkers"])
        assert (await send(front, body)).status_code == 200
