"""Tests of the log line that names a blocked loop."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
import threading

import pytest

from functions.execution import blocked, loop
from functions.execution.blocked import BlockedWatch, Place, blocking_place, is_idle, stack_of
from functions.execution.loop import AgentLoop
from tests.asgi import call
from tests.functions import agents
from tests.functions.support import application, signature

STANDARD = f"{blocked.STANDARD_LIBRARY}ssl.py"
OWN = Place("/task/agent_files/my_agent.py", 12, "agent")
HELPER = Place("/task/agent_files/tools/search.py", 5, "search")
LIBRARY = Place("/task/requests/api.py", 59, "get")
SOCKET = Place(STANDARD, 1100, "read")
LOOP = Place(f"{blocked.STANDARD_LIBRARY}asyncio/events.py", 84, "_run")


@pytest.mark.parametrize(
    ("stack", "named"),
    [
        ([OWN, LOOP], OWN),
        ([SOCKET, LIBRARY, HELPER, OWN, LOOP], HELPER),
        ([SOCKET, LIBRARY, LOOP], LIBRARY),
        ([SOCKET, LOOP], SOCKET),
        ([], None),
    ],
)
def test_the_users_innermost_line_is_named(stack: list[Place], named: Place | None) -> None:
    """Without one the line of a library, and otherwise the innermost one."""
    assert blocking_place(stack, ("/task/agent_files/",)) == named


ASYNCIO = f"{blocked.STANDARD_LIBRARY}asyncio/base_events.py"
SELECT = Place(f"{blocked.STANDARD_LIBRARY}selectors.py", 468, "select")
WAITING = [SELECT, Place(ASYNCIO, 1884, "_run_once"), Place(ASYNCIO, 607, "run_forever")]
RUN = Place(loop.__file__, 60, "_run")


@pytest.mark.parametrize(
    ("stack", "idle"),
    [
        ([*WAITING, RUN], True),
        ([RUN], True),
        ([], True),
        ([OWN, LOOP, *WAITING[1:], RUN], False),
        ([SELECT, Place(f"{blocked.STANDARD_LIBRARY}subprocess.py", 2021, "_communicate"), OWN, RUN], False),
    ],
    ids=["asyncio", "a loop in C", "no thread", "the user's code", "a select of the user's code"],
)
def test_a_loop_that_waits_for_events_is_not_blocked(stack: list[Place], idle: bool) -> None:
    """It may be late because a platform took the CPU from the whole instance."""
    assert is_idle(stack) is idle


async def test_the_stack_of_a_waiting_loop_is_idle() -> None:
    """As this Python has it."""
    mine = AgentLoop()
    await mine.run(asyncio.sleep(0))
    async with asyncio.timeout(20):
        while not is_idle(list(stack_of(sys._current_frames().get(mine.thread_id)))):  # pyright: ignore
            await asyncio.sleep(0.001)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, with checks at short intervals."""
    monkeypatch.setattr(blocked, "CHECK_S", 0.02)
    caplog.set_level(logging.WARNING, "skyfleet.loop")
    return caplog


async def test_a_blocked_loop_is_named_once_with_file_and_line(quick: pytest.LogCaptureFixture) -> None:
    """And /health is answered meanwhile."""
    app = application("tests.functions.agents:blocks")
    body = b'{"input": "x"}'
    for _ in range(2):
        agents.RELEASE.clear()
        headers = signature("POST", "/invoke", b"", body)
        running = asyncio.create_task(call(app, "POST", "/invoke", headers=headers, body=body))
        while not quick.records or app.stats.inflight == 0:
            await asyncio.sleep(0.001)
        health = await call(app, "GET", "/health")
        await asyncio.sleep(5 * blocked.CHECK_S)
        agents.RELEASE.set()
        assert (health.status, health.json["inflight"]) == (200, 1)
        assert json.loads((await running).body)["output"] == "released"
    (record,) = quick.records
    line = inspect.getsourcelines(agents.blocks)[1] + 2
    assert record.getMessage().startswith(f"{agents.__file__}:{line}: blocks blocks the event loop")
    assert "asyncio.to_thread" in record.getMessage()


async def test_a_loop_that_turns_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    """An agent may wait for as long as it likes."""
    watch = BlockedWatch(AgentLoop(), ())
    watch.begin()
    await asyncio.sleep(3.5 * blocked.CHECK_S)
    watch.end()
    assert not caplog.records


async def test_no_timer_runs_without_an_active_request() -> None:
    """A frozen sandbox would otherwise continue with it."""
    watch = BlockedWatch(AgentLoop(), ())
    watch.begin()
    watch.begin()
    watch.end()
    assert watch.is_running
    watch.end()
    assert not watch.is_running


async def test_one_late_answer_is_no_blocked_loop(caplog: pytest.LogCaptureFixture) -> None:
    """The timers of a sandbox that was frozen are due before its threads have run."""
    late = AgentLoop()
    watch, release = BlockedWatch(late, ()), threading.Event()
    late.get().call_soon_threadsafe(release.wait, 20)
    watch.begin()
    while not watch.has_failed:
        await asyncio.sleep(0.001)
    release.set()
    await asyncio.sleep(1.5 * blocked.CHECK_S)
    watch.end()
    assert not caplog.records
