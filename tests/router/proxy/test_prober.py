"""Claims about one checker's word: it decides nothing against a target that answers this router."""

from __future__ import annotations

import asyncio
import time

from router.core.balance.balancer import Balancer
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.outcomes import Outcome
from tests.router.support import QUICK, Front, Mortal, Peer, Received, eventually, ok, router, upstream


def word(checker: str, alive: bool, at: float, target: str = "aws/r0") -> Snapshot:
    """Three looks in a row."""
    looks = tuple(ProbeResult(at - ago, alive, reason="" if alive else "lies") for ago in (0.2, 0.1, 0.0))
    return Snapshot(checker, at, {target: looks})


async def tell(front: Front, *words: Snapshot) -> None:
    context = front.app._context  # pyright: ignore[reportPrivateUsage]
    await context.prober.apply_snapshots(words)


def balancer(front: Front) -> Balancer:
    return front.app._context.balancer  # pyright: ignore[reportPrivateUsage]


async def test_a_lone_checker_that_lies_decides_nothing_even_without_any_traffic() -> None:
    """Its word is in the counts; the target, asked by the router itself, answers."""
    async with upstream(ok) as one, upstream(ok) as other, router([one.url, other.url]) as front:
        for _ in range(3):
            await tell(front, word("gcp/r2", False, time.time()))
            target = await front.target("aws/r0")
            assert target["state"] in ("unknown", "healthy")
            assert target["checkers_down"] == 1
            # No time for the proof to last: it is asked again at the next word.
            balancer(front).last_seen["aws/r0"].probe = float("-inf")
        assert sum(request.target == "/health" for request in one.received) >= 1
        assert not other.received


async def test_a_target_that_does_not_answer_is_down_and_comes_back_by_its_own_answer() -> None:
    """Though the lone checker says the same for ever."""
    mortal = Mortal(well=False)
    async with (
        upstream(mortal) as one,
        upstream(ok) as other,
        router([one.url, other.url], policy=QUICK) as front,
    ):
        await tell(front, word("gcp/r2", False, time.time()))
        assert (await front.target("aws/r0"))["state"] == "down"
        mortal.well = True
        # The probe that no request waits for any more runs on for a while, and its silence stays fresh.
        async with asyncio.timeout(20):
            while (await front.target("aws/r0"))["state"] == "down":
                await tell(front, word("gcp/r2", False, time.time()))
        assert (await front.target("aws/r0"))["state"] == "slow-start"


async def test_two_checkers_are_believed_without_a_question() -> None:
    """Whatever answers this router: most of the checkers cannot reach it."""
    async with upstream(ok) as one, upstream(ok) as other, router([one.url, other.url]) as front:
        now = time.time()
        await tell(front, word("gcp/r2", False, now), word("azure/r1", False, now))
        assert (await front.target("aws/r0"))["state"] == "down"
        assert not one.received


async def test_an_answer_does_not_end_an_ejection_by_own_traffic() -> None:
    """A target that answers /health and fails requests stays out as long as those put it out for."""
    async with upstream(ok) as one, upstream(ok) as other, router([one.url, other.url]) as front:
        for _ in range(3):
            balancer(front).report("aws/r0", Outcome.FAILURE)
        assert (await front.target("aws/r0"))["state"] == "ejected"
        for _ in range(2):
            await tell(front, word("gcp/r2", False, time.time()))
            assert (await front.target("aws/r0"))["state"] in ("ejected", "down")
        assert not one.received


async def test_an_answer_that_comes_with_the_end_of_our_patience_is_heard_by_all() -> None:
    """As after a freeze, when both are there in the same turn of the loop."""
    gate = asyncio.Event()

    async def slow(request: Received, peer: Peer) -> None:
        await gate.wait()
        await ok(request, peer)

    async with upstream(slow) as one, router([one.url], policy=QUICK) as front:
        context, heard = front.app._context, list[bool]()  # pyright: ignore[reportPrivateUsage]
        told = asyncio.create_task(tell(front, word("gcp/r2", False, time.time())))
        await eventually(lambda: bool(context.balancer.probing))
        context.prober.verify("aws/r0", heard.append)
        told.cancel()  # what the patience's timer does
        gate.set()
        await eventually(lambda: bool(heard))
        await asyncio.wait([told])
        assert heard == [True]
