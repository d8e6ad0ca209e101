"""Tests of the simulated targets."""

from __future__ import annotations

import random

import pytest

from bench.simulation.events import Loop
from bench.simulation.fleet.agents import Agent, End, Fault, Job
from bench.simulation.fleet.shapes import AWS, AZURE, Shape

pytestmark = pytest.mark.pure


def agent(loop: Loop, shape: Shape, *, warm: int = 1, most: int = 1) -> Agent:
    return Agent(loop, shape, warm, most, 10.0, random.Random(1))


def sent(target: Agent) -> list[End]:
    """Send one request; the list gets its end."""
    ends: list[End] = []
    target.take(Job(ends.append, target.loop.now))
    return ends


def test_a_target_without_a_sandbox_answers_after_a_cold_start() -> None:
    """Its reply is marked as a cold start."""
    loop = Loop()
    target = agent(loop, AWS, warm=0)
    ends = sent(target)
    loop.run(until=60.0)
    assert ends == [End.COLD]
    assert target.warm == 1


def test_a_full_target_refuses_or_queues_as_its_vendor_does() -> None:
    """AWS answers 429, and Azure queues the request."""
    loop = Loop()
    lambdas, functions = agent(loop, AWS), agent(loop, AZURE)
    both = [sent(lambdas) for _ in range(2)]
    many = [sent(functions) for _ in range(AZURE.slots + 1)]
    loop.run(until=60.0)
    assert both == [[End.GOOD], [End.FULL]]
    assert many == [[End.GOOD]] * (AZURE.slots + 1)


def test_a_silent_target_never_answers_and_a_refusing_target_resets() -> None:
    """This includes active requests."""
    loop = Loop()
    silent, refusing = agent(loop, AWS), agent(loop, AWS)
    ends = [sent(silent), sent(refusing)]
    silent.set_fault(Fault(silent=True))
    refusing.set_fault(Fault(refusing=True))
    ends += [sent(silent), sent(refusing)]
    loop.run(until=60.0)
    assert ends == [[], [End.RESET], [], [End.REFUSED]]
    assert silent.busy == refusing.busy == 0


def test_a_client_that_gives_up_frees_its_slot_only_where_the_vendor_notices() -> None:
    """A Lambda function continues to run and is billed."""
    loop = Loop()
    for shape, busy in ((AWS, 1), (AZURE, 0)):
        target, ends = agent(loop, shape), list[End]()
        job = Job(ends.append, loop.now)
        target.take(job)
        target.leave(job)
        assert target.busy == busy, shape
        loop.run(until=loop.now + 60.0)
        assert target.busy == 0
        assert not ends
