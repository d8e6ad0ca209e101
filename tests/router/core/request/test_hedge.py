"""Claims about hedges: a slow request is sent a second time, and the first good reply wins."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from router.core.policy import DEFAULT
from router.core.request import machine as p
from router.core.request.budget import Extra
from router.core.request.failures import GiveUp
from router.core.request.machine import Ask, Choice, Drop, Failure, PassOn, Plan, Terms, Try, Worth
from skyfleet.sse import FirstEvent
from tests.router.core.request.test_machine import ALL, KEYS, NOW, means
from tests.router.support import (
    QUICK,
    Front,
    Peer,
    Received,
    Script,
    alive,
    eventually,
    ok,
    router,
    swallows,
    upstream,
)

# The plan alone.

LATER = NOW + 0.05


def hedging(*, targets: p.Means = ALL, budget: int = 3, repeatable: bool = True) -> Plan:
    terms = Terms(DEFAULT, budget, NOW + 230, repeatable, 1, 0.05)
    plan, actions = p.begin(terms, targets, NOW)
    assert [type(action) for action in actions] == [Try]
    return plan


def hedged() -> Plan:
    plan = hedging()
    assert p.due(plan) == LATER
    plan, actions = p.passed(plan, ALL, LATER)
    assert actions == (Try(1, Choice("b"), Extra.HEDGE),)
    return plan


def test_a_hedge_is_sent_once_after_the_delay() -> None:
    """Not before; and two that run are not hedged again."""
    assert p.passed(hedging(), ALL, LATER - 0.001)[1] == ()
    assert p.due(hedged()) == NOW + 2


def test_only_what_may_be_repeated_is_hedged() -> None:
    """By the request, or by an agent that declares it, and then only at its like."""
    assert p.due(hedging(repeatable=False)) == NOW + 2
    friendly = means(*KEYS, repeatable=True)
    plan = hedging(targets=friendly, repeatable=False)
    assert p.passed(plan, friendly, LATER)[1] == (Try(1, Choice("b", True), Extra.HEDGE),)
    plan, actions = p.passed(plan, ALL, LATER)
    assert actions == ()
    assert p.due(plan) == NOW + 2


def test_a_key_alone_allows_retries_but_no_hedge() -> None:
    """It stops a second run in its own cloud only, and a hedge goes to another one without need. An agent
    that declares itself repeatable is hedged with or without a key."""
    terms = Terms(DEFAULT, 3, NOW + 230, True, 1, 0.05, retries_only=True)
    plan, _ = p.begin(terms, ALL, NOW)
    assert p.due(plan) == NOW + 2
    assert p.failed(plan, 0, Failure.RESET, ALL, NOW)[1] == (Try(1, Choice("b"), Extra.RETRY),)
    assert p.due(p.begin(terms, means(*KEYS, repeatable=True), NOW)[0]) == LATER


def test_a_hedge_that_cannot_be_sent_is_forgotten() -> None:
    """No money, no other target, no attempt left: the request waits on as if there were no hedges."""
    for targets, budget in ((means(*KEYS, rich=False), 3), (means("a"), 3), (ALL, 1)):
        plan = hedging(targets=targets, budget=budget)
        plan, actions = p.passed(plan, targets, LATER)
        assert actions == ()
        assert p.due(plan) == NOW + 2


def test_the_primary_fails_while_the_hedge_runs() -> None:
    """Nothing is sent for it; the hedge is alone now and is hedged after its own delay."""
    plan, actions = p.failed(hedged(), 0, Failure.RESET, ALL, LATER + 0.01)
    assert actions == ()
    assert p.due(plan) == pytest.approx(LATER + 0.05)
    assert p.passed(plan, ALL, LATER + 0.05)[1] == (Try(2, Choice("c"), Extra.HEDGE),)


@pytest.mark.parametrize("worth", [Worth.UNDONE, Worth.AWAY, Worth.BROKEN])
def test_the_hedge_is_turned_away_while_the_primary_runs(worth: Worth) -> None:
    """The primary has waited long enough already, so the next hedge is due at once."""
    plan, actions = p.replied(hedged(), 1, 429, worth, ALL, LATER + 0.01)
    assert actions == ()
    assert p.due(plan) == LATER + 0.01
    assert p.passed(plan, ALL, LATER + 0.01)[1] == (Try(2, Choice("c"), Extra.HEDGE),)


def test_both_fail() -> None:
    """Then it goes on as without hedges: the next target, in the end the best reply there was."""
    plan, _ = p.replied(hedged(), 1, 429, Worth.UNDONE, means(*KEYS, rich=False), LATER)
    plan, actions = p.failed(plan, 0, Failure.RESET, ALL, LATER + 0.01)
    assert actions == (Try(2, Choice("c"), Extra.RETRY),)
    _, actions = p.failed(plan, 2, Failure.RESET, ALL, LATER + 0.02)
    assert actions == (PassOn(1),)


def test_the_head_of_a_short_reply_ends_the_wait_for_a_hedge() -> None:
    """Its agent is done; of a stream only the first event counts."""
    plan, _ = p.replied(hedging(), 0, 200, Worth.WHOLE, ALL, NOW + 0.01)
    assert p.due(plan) == NOW + 2
    plan, _ = p.replied(hedging(), 0, 200, Worth.EVENTS, ALL, NOW + 0.01)
    assert p.passed(plan, ALL, LATER)[1] == (Try(1, Choice("b"), Extra.HEDGE),)


def test_the_primarys_head_comes_while_the_hedges_first_event_is_pending() -> None:
    """Whoever is complete first wins, whichever it is."""
    plan, _ = p.replied(hedged(), 1, 200, Worth.EVENTS, ALL, LATER + 0.01)
    plan, actions = p.replied(plan, 0, 200, Worth.WHOLE, ALL, LATER + 0.02)
    assert actions == ()
    assert p.ready(plan, 0)[1] == (PassOn(0),)
    assert p.ready(plan, 1)[1] == (PassOn(1),)
    plan, actions = p.failed(plan, 0, Failure.CUT, ALL, LATER + 0.03)
    assert actions == ()
    assert p.ready(plan, 1)[1] == (PassOn(1),)


def test_two_that_stall_are_both_asked_and_the_silent_one_is_dropped() -> None:
    """Each has its own time; the other goes on."""
    plan, actions = p.passed(hedged(), ALL, NOW + 2)
    assert actions == (Ask(0),)
    plan, actions = p.passed(plan, ALL, LATER + 2)
    assert actions == (Ask(1),)
    plan, _ = p.lives(plan, 1, LATER + 2)
    plan, actions = p.passed(plan, means(*KEYS, rich=False), NOW + 4)
    assert actions == (Drop(0, Failure.NO_ANSWER),)
    assert [run.number for run in plan.runs] == [1]


def test_comments_of_one_stream_do_not_stop_the_other() -> None:
    """While two run, the first event decides."""
    plan, _ = p.replied(hedged(), 0, 200, Worth.EVENTS, ALL, LATER)
    assert p.lives(plan, 0, NOW + 2, beating=True)[1] == ()


def test_the_deadline_ends_both() -> None:
    """One error names both."""
    plan = replace(hedged(), terms=Terms(DEFAULT, 3, LATER + 0.1, True, 1, 0.05))
    _, (action,) = p.passed(plan, ALL, LATER + 0.1)
    assert isinstance(action, GiveUp)
    assert "a: no reply yet; b: no reply yet" in action.reason


@pytest.mark.parametrize(
    ("parts", "here"),
    [
        ([b"data: x\n\n"], True),
        ([b"da", b"ta: x\r\n\r", b"\n"], True),
        ([b"event: done\ndata\n\n"], True),
        ([b": ping\n\n", b": ping\n\n"], False),
        ([b"retry: 3\nid: 1\n\n"], False),
        ([b"database: x\n\n"], False),
        ([b"data: x\n"], False),
        ([b": ping\n\ndata: x\n\n"], True),
        ([b"data: " + b"x" * 70_000], True),
    ],
)
def test_the_first_event_is_one_with_data(parts: list[bytes], here: bool) -> None:
    """Comments and settings tell a caller nothing; an endless event counts as soon as it is endless."""
    first = FirstEvent()
    assert [first.feed(part) for part in parts][-1] is here


# With real sockets.

HEDGED = replace(QUICK, hedge="on", probe_after_s=1.0, ask_timeout_s=1.0, learn_s=1e-6)


async def learned(front: Front) -> int:
    """Enough good replies that a delay is known, and whole cycles of two or three targets: then it is the
    first one's turn again. Returns how many were hedged already."""
    replies = [await front.client.get("/invoke") for _ in range(30)]
    assert {reply.status_code for reply in replies} == {200}
    return sum("x-skyfleet-hedged" in reply.headers for reply in replies)


def slow(after_s: float) -> Script:
    async def script(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
        else:
            await asyncio.sleep(after_s)
            await peer.reply(200, b'{"output": "late"}')

    return script


def test_a_slow_request_is_answered_by_the_hedge_and_the_slow_target_sees_its_caller_leave() -> None:
    """Well before the slow reply or a stall; its seat is free, nobody is blamed, its slowness is known."""

    async def run() -> None:
        left = asyncio.Event()

        async def hangs(request: Received, peer: Peer) -> None:
            if request.target == "/health":
                await alive(peer)
                return
            await peer.until_closed()
            left.set()

        async with (
            upstream(ok) as a,
            upstream(ok) as b,
            router([a.url, b.url, b.url], policy=HEDGED) as front,
        ):
            await learned(front)
            before = await front.target("aws/r0")
            a.script = hangs
            reply = await front.client.post("/invoke", content=b"x")
            assert (reply.status_code, reply.headers["x-skyfleet-hedged"]) == (200, "true")
            assert reply.headers["x-skyfleet-attempts"] == "2"
            assert reply.headers["x-skyfleet-target"] != "aws/r0"
            await asyncio.wait_for(left.wait(), 5)
            after = await front.target("aws/r0")
            assert (after["state"], after["inflight"]) == ("healthy", 0)
            assert after["latency_ms"] > before["latency_ms"]
            assert (await front.status())["attempts"]["failed"] == 0

    asyncio.run(run())


def test_a_primary_that_is_faster_after_all_wins_and_the_hedge_is_closed() -> None:
    """The hedge is not blamed."""

    async def run() -> None:
        async with (
            upstream(ok) as a,
            upstream(ok) as b,
            router([a.url, b.url], policy=HEDGED) as front,
        ):
            await learned(front)
            a.script, b.script = slow(0.4), swallows
            reply = await front.client.post("/invoke", content=b"x")
            assert (reply.json(), reply.headers["x-skyfleet-target"]) == ({"output": "late"}, "aws/r0")
            assert reply.headers["x-skyfleet-hedged"] == "true"
            other = await front.target("azure/r1")
            assert (other["state"], other["inflight"]) == ("healthy", 0)

    asyncio.run(run())


def test_a_dead_target_that_is_always_overtaken_is_found_out_by_its_silence() -> None:
    """Hedges answer everybody long before a stall, so the overtaken one is asked for nobody."""

    async def run() -> None:
        async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=HEDGED) as front:
            await learned(front)
            a.script = swallows
            reply = await front.client.post("/invoke", content=b"x")
            assert reply.headers["x-skyfleet-target"] == "azure/r1"
            states: list[Any] = []
            async with asyncio.timeout(5):
                while "ejected" not in states:
                    states.append((await front.target("aws/r0"))["state"])
                    await asyncio.sleep(0.02)
            assert states[0] == "healthy"

    asyncio.run(run())


def test_while_a_target_is_in_doubt_new_requests_go_elsewhere() -> None:
    """From the first hedge that overtook it until it answers: nobody else needs a hedge, and what must not
    be repeated does not get lost there. When nobody else is left, it is tried all the same."""

    async def run() -> None:
        patient = replace(HEDGED, ask_timeout_s=30.0, probe_after_s=30.0)
        async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=patient) as front:
            await learned(front)
            a.script, seen = swallows, len(a.asked)
            replies = [await front.client.post("/invoke") for _ in range(12)]
            assert {reply.headers["x-skyfleet-target"] for reply in replies} == {"azure/r1"}
            assert len(a.asked) == seen + 1
            assert (await front.target("aws/r0"))["state"] == "healthy"

            async def fails(request: Received, peer: Peer) -> None:
                await peer.reply(503)

            a.script, b.script = ok, fails
            assert (await front.client.post("/invoke")).headers["x-skyfleet-target"] == "aws/r0"

    asyncio.run(run())


def test_what_must_not_be_repeated_is_never_hedged() -> None:
    """However slow it is."""

    async def run() -> None:
        async with (
            upstream(ok) as a,
            upstream(ok) as b,
            router([a.url, b.url], policy=HEDGED, repeatable=False) as front,
        ):
            await learned(front)
            seen = len(b.asked)
            a.script = slow(0.4)
            reply = await front.client.post("/invoke", content=b"x")
            assert (reply.json(), reply.headers["x-skyfleet-attempts"]) == ({"output": "late"}, "1")
            assert "x-skyfleet-hedged" not in reply.headers
            assert len(b.asked) == seen

    asyncio.run(run())


def test_strategies_that_promise_shares_are_not_hedged_unless_told() -> None:
    """`auto` hedges with those that learn."""

    async def run() -> None:
        auto = replace(HEDGED, hedge="auto")
        async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=auto) as front:
            await learned(front)
            a.script = b.script = slow(0.3)
            plain = await front.client.post("/invoke", content=b"x")
            assert plain.headers["x-skyfleet-attempts"] == "1"
            wish = {"x-skyfleet-strategy": "latency"}
            learning = await front.client.post("/invoke", content=b"x", headers=wish)
            assert learning.headers["x-skyfleet-attempts"] == "2"

    asyncio.run(run())


def test_hedges_are_a_small_share_of_the_requests() -> None:
    """When everybody is slow, the burst is spent and then nothing but the share is added."""

    async def run() -> None:
        few = replace(HEDGED, hedge_burst=2.0)
        async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=few) as front:
            hedged = await learned(front)
            a.script = b.script = slow(0.15)
            replies = [await front.client.post("/invoke") for _ in range(12)]
            assert {reply.status_code for reply in replies} == {200}
            hedged += sum("x-skyfleet-hedged" in reply.headers for reply in replies)
            assert 2 <= hedged <= 2 + 0.03 * 42

    asyncio.run(run())


def test_a_caller_that_leaves_closes_both() -> None:
    """Neither agent works on for nobody."""

    async def run() -> None:
        left: list[str] = []

        def hangs(name: str) -> Script:
            async def script(request: Received, peer: Peer) -> None:
                if request.target == "/health":
                    await alive(peer)
                    return
                await peer.until_closed()
                left.append(name)

            return script

        async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=HEDGED) as front:
            await learned(front)
            a.script, b.script = hangs("a"), hangs("b")
            seen = len(b.asked)
            _, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(b"GET /invoke HTTP/1.1\r\nhost: x\r\n\r\n")
            await eventually(lambda: len(b.asked) > seen)
            writer.close()
            await writer.wait_closed()
            await eventually(lambda: sorted(left) == ["a", "b"])
            for key in ("aws/r0", "azure/r1"):
                target = await front.target(key)
                assert (target["state"], target["inflight"]) == ("healthy", 0)

    asyncio.run(run())
