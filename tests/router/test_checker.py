"""Claims about the scheduled checker: what it sees, which routers it tells, what does not stop it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx

from router.checker import Checker
from router.config import CheckerSettings, checker_settings
from skyfleet.contract import Checks
from skyfleet.origin import Origin
from tests.router.support import (
    QUICK_CHECK,
    Mortal,
    Peer,
    Received,
    alive,
    closed_url,
    keys_of,
    ok,
    router,
    served,
    upstream,
)
from tests.trust import NO_CERTIFICATES


def checker(targets: list[str], routers: list[str], check: Checks = QUICK_CHECK) -> Checker:
    clouds = ("aws", "azure", "gcp")
    listed = [
        {"cloud": clouds[number], "region": f"r{number}", "url": url} for number, url in enumerate(targets)
    ]
    found: CheckerSettings = checker_settings(
        {
            "SKYFLEET_CLOUD": "aws",
            "SKYFLEET_REGION": "r0",
            "SKYFLEET_TARGETS": json.dumps(listed),
            "SKYFLEET_ROUTERS": json.dumps(routers),
            "SKYFLEET_SIGNING_KEYS": keys_of("checker", "aws/r0"),
        },
        "b1",
    )
    return Checker(replace(found, check=check))


async def invoke(one: Checker, path: str = "/events") -> httpx.Response:
    async with (
        served(one) as port,
        httpx.AsyncClient(trust_env=False, verify=NO_CERTIFICATES, timeout=20) as client,
    ):
        return await client.post(f"http://127.0.0.1:{port}{path}", content=b'{"any": "event"}')


async def test_a_target_that_dies_without_traffic_is_found_by_the_schedule_alone() -> None:
    """One invocation makes every router know; the next ones see it come back."""
    mortal = Mortal(well=False)
    async with upstream(mortal) as up, upstream(ok) as other:
        urls = [up.url, other.url]
        async with router(urls) as first, router(urls) as second:
            routers = [f"http://127.0.0.1:{front.port}" for front in (first, second)]
            one = checker([closed_url(), other.url], routers)
            done = await one.run()
            assert (done["rounds"], done["failed"]) == (6, [])
            assert done["targets"] == {"aws/r0": "down", "azure/r1": "up"}
            for front in (first, second):
                assert (await front.target("aws/r0"))["state"] == "down"
                assert (await front.target("azure/r1"))["state"] == "healthy"
                dead, well = await front.target("aws/r0"), await front.target("azure/r1")
                assert (dead["checkers_up"], dead["checkers_down"]) == (0, 1)
                assert (well["checkers_up"], well["checkers_down"]) == (1, 0)
            mortal.well = True
            back = checker(urls, routers)
            await back.run()
            assert (await first.target("aws/r0"))["state"] == "slow-start"


async def test_a_checker_tells_each_router_of_all_of_them() -> None:
    """In the order of its configuration, which is that of the stack's output."""
    async with upstream(ok) as up, router([up.url]) as first, router([up.url]) as second:
        routers = [f"http://127.0.0.1:{front.port}" for front in (second, first)]
        await checker([up.url], routers, Checks(probes=1, apart_s=0)).run()
        for front in (first, second):
            found = (await front.client.get("/.well-known/skyfleet.json")).json()
            assert (found["routers"], found["complete"]) == (routers, True)


async def test_both_schedulers_paths_run_an_invocation_and_others_do_not() -> None:
    """What was done is in the reply."""
    async with upstream(ok) as up:
        for path in ("/events", "/"):
            reply = await invoke(checker([up.url], [closed_url()]), path)
            assert reply.status_code == 200
            assert reply.json()["rounds"] == 6
            assert reply.json()["sent"] == 0
            assert "refused" in reply.json()["failed"][0]["reason"]
        reply = await invoke(checker([up.url], [closed_url()]), "/other")
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not-found")


async def test_a_router_that_cannot_be_told_does_not_stop_the_others() -> None:
    """The failure is reported; the reachable router knows."""
    async with upstream(ok) as up, router([up.url]) as front:
        one = checker([up.url], [closed_url(), f"http://127.0.0.1:{front.port}"])
        done = await one.run()
        assert len(done["failed"]) == 1  # pyright: ignore[reportArgumentType]
        assert (await front.target("aws/r0"))["state"] == "healthy"


async def test_a_changed_verdict_is_told_at_once_not_at_the_end() -> None:
    """While a slow target still has its question open, the router knows of the dead one."""

    async def slow(request: Received, peer: Peer) -> None:
        await peer.until_closed()

    async with upstream(slow) as up, router([closed_url(), up.url]) as front:
        one = checker([closed_url(), up.url], [f"http://127.0.0.1:{front.port}"])
        running = asyncio.create_task(one.run())
        async with asyncio.timeout(10):
            while (await front.target("aws/r0"))["state"] != "down":
                await asyncio.sleep(0.01)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])


async def test_a_cold_start_is_not_a_failure() -> None:
    """The first question waits for as long as a cold start takes, and a cold answer is good."""

    async def cold(request: Received, peer: Peer) -> None:
        await asyncio.sleep(0.4)
        await alive(peer, cold=True)

    async with upstream(cold) as up, router([up.url]) as front:
        routers = [f"http://127.0.0.1:{front.port}"]
        await checker([up.url], routers, replace(QUICK_CHECK, probes=1, timeout_s=0.05)).run()
        assert (await front.target("aws/r0"))["cold"] is True
        assert (await front.target("aws/r0"))["state"] in ("unknown", "cold")
        up.script = ok
        await checker([up.url], routers).run()
        assert (await front.target("aws/r0"))["state"] == "healthy"


async def test_a_cloud_at_its_limit_is_busy_not_down() -> None:
    """Calling it down would push its load onto the others; its 429 to traffic goes elsewhere anyway."""

    async def busy(request: Received, peer: Peer) -> None:
        await peer.reply(429, b"{}")

    async with upstream(busy) as up:
        done: dict[str, Any] = await checker([up.url], [closed_url()]).run()
        assert done["targets"] == {"aws/r0": "up"}


async def test_what_is_not_a_health_answer_counts_as_a_failure() -> None:
    """Errors, pages instead of JSON, and a status other than ok."""
    for status, body in ((500, b"{}"), (200, b"<html>"), (200, b"[]"), (200, b'{"status": "bad"}')):

        async def answers(request: Received, peer: Peer, status: int = status, body: bytes = body) -> None:
            await peer.reply(status, body)

        async with upstream(answers) as up:
            done: dict[str, Any] = await checker([up.url], [closed_url()]).run()
            assert done["targets"] == {"aws/r0": "down"}


async def test_an_odd_load_of_one_target_does_not_make_routers_refuse_all_that_was_seen() -> None:
    """A checker tells nothing that no router would believe."""
    for odd in (b"true", b"1e99", b"-1", b"1" * 40, b'"two"'):

        async def answers(request: Received, peer: Peer, odd: bytes = odd) -> None:
            await peer.reply(200, b'{"status": "ok", "inflight": ' + odd + b"}")

        async with upstream(answers) as up, upstream(ok) as other:
            urls = [up.url, other.url]
            async with router(urls) as front:
                done = await checker(urls, [f"http://127.0.0.1:{front.port}"]).run()
                assert done["failed"] == []
                assert (await front.target("azure/r1"))["state"] == "healthy"


async def test_a_checkers_clock_that_was_set_back_hides_nothing() -> None:
    """What it sees from then on decides, not what it saw in a future that is none any more."""
    async with upstream(ok) as up:
        one = checker([up.url], [closed_url()])
        clock = [2_000_000_000.0]
        set_by_hand = Checker(one.settings, clock=lambda: clock[0])
        for _ in range(2):
            clock[0] += 1
            await set_by_hand.probe(one.settings.targets[0])
        assert set_by_hand.verdicts() == {"aws/r0": True}
        gone = replace(one.settings.targets[0], origin=Origin(False, "127.0.0.1", 9))
        clock[0] = 1_000_000_000.0
        for _ in range(3):
            clock[0] += 1
            await set_by_hand.probe(gone)
        assert set_by_hand.verdicts() == {"aws/r0": False}


async def test_only_one_invocation_runs_at_a_time() -> None:
    """One that comes too early says that it did nothing."""
    async with upstream(ok) as up:
        one = checker([up.url], [closed_url()])
        first, second = await asyncio.gather(one.run(), one.run())
        assert first["rounds"] == 6
        assert second == {"rounds": 0, "sent": 0, "failed": [], "busy": True}
