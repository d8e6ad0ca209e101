"""Tests of the loop of the user's code."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from functions.execution.loop import AgentLoop, agent_loop

ENDS = """
import asyncio, logging, sys, time
from functions.execution.loop import agent_loop

async def work():
    asyncio.get_running_loop().create_task(end())

async def end():
    print("printed")
    ENDING

asyncio.run(agent_loop().run(work()))
time.sleep(20)
"""


async def test_work_runs_in_one_other_thread() -> None:
    """The first call starts it; a process has one."""
    loop = AgentLoop()
    threads = threading.active_count()

    async def where() -> int:
        return threading.get_ident()

    first, second = await loop.run(where()), await loop.run(where())
    assert first == second == loop.thread_id != threading.get_ident()
    assert threading.active_count() == threads + 1
    assert agent_loop() is agent_loop()


async def test_an_exception_reaches_the_calling_loop() -> None:
    """As if the work had been awaited there."""

    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await agent_loop().run(work())


async def test_the_calling_loop_is_free_while_the_other_is_blocked() -> None:
    """That is what it is for."""
    blocked = threading.Event()

    async def work() -> bool:
        return blocked.wait(20)

    running = asyncio.create_task(AgentLoop().run(work()))
    await asyncio.sleep(0.01)
    assert not running.done()
    blocked.set()
    assert await running


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("sys.exit('no more')", "a background task of the agent ended this instance"),
        ("asyncio.get_running_loop().stop()", "the agent stopped its event loop"),
    ],
)
def test_an_agent_that_ends_its_loop_ends_the_process(ending: str, words: str) -> None:
    """A process without its loop would answer no request; the platform starts another one."""
    done = subprocess.run(
        [sys.executable, "-c", ENDS.replace("ENDING", ending)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ,
    )
    assert (done.returncode, done.stdout) == (1, "printed\n")
    assert words in done.stderr
