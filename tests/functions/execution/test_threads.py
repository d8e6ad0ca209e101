"""Tests of synchronous agents, which run in threads."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.api import AgentRequest
from functions.execution import threads
from functions.execution.threads import AHEAD, as_async_generator, as_coroutine
from tests.functions import agents
from tests.functions.support import application, request, signed, until

HERE = "tests.functions.agents"
NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME")


async def invoke(agent: str, *, stream: bool = False) -> str:
    body = json.dumps({"input": "hi", "stream": stream}).encode()
    return (await signed(application(f"{HERE}:{agent}"), "POST", "/invoke", body)).body.decode()


async def test_a_synchronous_function_answers_from_a_thread() -> None:
    """`def agent(request)` is an agent like `async def`."""
    assert json.loads(await invoke("synchronous"))["output"] == "in agent: hi"
    assert json.loads(await invoke("synchronous_object"))["output"] == "from an object"


async def test_a_synchronous_wrapper_of_an_async_function_works() -> None:
    """Decorators are often written as plain functions."""
    assert json.loads(await invoke("half_wrapped"))["output"] == "you said hi"


async def test_a_synchronous_generator_streams() -> None:
    """It may yield all that an async generator may."""
    assert await invoke("synchronous_stream", stream=True) == await invoke("same_stream", stream=True)


@pytest.mark.parametrize("agent", ["synchronous_failure", "synchronous_break"])
async def test_an_exception_in_a_thread_is_a_failure_of_the_agent(
    agent: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The trace is in the log, with the line of the agent."""
    assert json.loads(await invoke(agent))["error"]["code"] == "agent-failed"
    assert agents.SECRET in caplog.text
    assert "agents.py" in caplog.text


async def test_a_stop_iteration_in_a_thread_is_a_failure_of_the_agent() -> None:
    """`next(...)` without a default is a common mistake, and asyncio's futures refuse its exception."""
    reply = await asyncio.wait_for(invoke("synchronous_stop"), 20)
    assert json.loads(reply)["error"]["code"] == "agent-failed"


async def test_the_loop_is_free_while_synchronous_agents_block() -> None:
    """Two calls block at the same time, and the loop goes on."""
    meeting = threading.Barrier(3)

    def agent(request: AgentRequest) -> str:
        meeting.wait(20)
        return request.input

    call = as_coroutine(agent)
    calls = [asyncio.create_task(call(request(text))) for text in ("a", "b")]
    await asyncio.to_thread(meeting.wait, 20)
    assert await asyncio.gather(*calls) == ["a", "b"]


async def test_a_call_has_the_context_and_one_thread() -> None:
    """It sees the context variables of the request, and thread-local values hold until the last yield."""
    NAME.set("of the request")

    def agent(request: AgentRequest) -> Generator[object, None, None]:
        for _ in range(3 * AHEAD):
            yield f"{NAME.get()} {threading.get_ident()}"

    seen = {event async for event in as_async_generator(agent)(request("x"))}
    assert len(seen) == 1
    assert str(seen).count("of the request") == 1


async def test_a_generator_is_closed_at_its_next_yield() -> None:
    """It is at most AHEAD events before its client; a stream that is closed ends it."""
    closed = threading.Event()
    made: list[int] = []

    def agent(request: AgentRequest) -> Generator[object, None, None]:
        try:
            while True:
                made.append(1)
                yield "x"
        finally:
            closed.set()

    events = as_async_generator(agent)(request("x"))
    assert await anext(events) == "x"
    await asyncio.to_thread(until, lambda: len(made) == AHEAD + 2, "the thread to be ahead")
    assert not closed.is_set()
    await events.aclose()
    assert await asyncio.to_thread(closed.wait, 20)


async def test_a_generator_that_waits_for_a_thread_never_begins_without_its_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its work would be for no reply."""
    pool, release, begun = ThreadPoolExecutor(1), threading.Event(), list[str]()
    monkeypatch.setattr(threads, "_pool", lambda: pool)

    def agent(request: AgentRequest) -> Generator[str, None, None]:
        begun.append(request.input)
        yield request.input

    occupied = pool.submit(release.wait, 20)
    reading = asyncio.ensure_future(anext(as_async_generator(agent)(request("hi"))))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    release.set()
    await asyncio.to_thread(pool.shutdown)
    assert occupied.result()
    assert begun == []
