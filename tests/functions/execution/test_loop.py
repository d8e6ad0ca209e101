"""Tests of the loop of the user's code."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

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


async def _exits(error: BaseException) -> None:
    raise error


async def _fails_a_task(error: BaseException) -> None:
    asyncio.get_running_loop().create_task(_exits(error))
    await asyncio.sleep(0)


async def _fails_a_timer(error: BaseException) -> None:
    def raises() -> None:
        raise error

    asyncio.get_running_loop().call_soon(raises)
    await asyncio.sleep(0)


async def _stops(_error: BaseException) -> None:
    asyncio.get_running_loop().stop()


@pytest.mark.parametrize(
    ("ends", "error", "words"),
    [
        (_fails_a_task, SystemExit("no more"), "a task of the agent raised SystemExit: no more"),
        (_fails_a_task, KeyboardInterrupt(), "a task of the agent raised KeyboardInterrupt"),
        (_fails_a_timer, SystemExit(3), "a task of the agent raised SystemExit: 3"),
        (_stops, SystemExit(), "the agent stopped its event loop"),
    ],
)
async def test_the_loop_goes_on_whatever_a_task_raises(
    ends: Callable[[BaseException], Coroutine[Any, Any, None]],
    error: BaseException,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The requests beside it are served, in the same thread, and the log has the cause."""
    loop = AgentLoop()
    beside = asyncio.Event()

    async def waits() -> int:
        await beside.wait()
        return threading.get_ident()

    async def go_on() -> None:
        beside.set()

    request = asyncio.create_task(loop.run(waits()))
    await loop.run(ends(error))
    await loop.run(go_on())
    assert await request == loop.thread_id
    assert words in caplog.text


def test_an_agent_whose_loop_cannot_go_on_ends_the_process() -> None:
    """A process without its loop would answer no request; the platform starts another one."""
    breaks = "import os; loop = asyncio.get_running_loop(); os.close(loop._selector.fileno())"
    done = subprocess.run(
        [sys.executable, "-c", ENDS.replace("ENDING", breaks)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ,
    )
    assert (done.returncode, done.stdout) == (1, "printed\n")
    assert "the event loop of the agent failed" in done.stderr
