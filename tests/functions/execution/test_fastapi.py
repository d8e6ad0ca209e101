"""Tests of a FastAPI application: lifespan, both states, synchronous routes, tasks after the reply."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Request

from functions.execution.loop import agent_loop
from tests.functions.support import application, signed

DONE = threading.Event()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
    app.state.thread = threading.get_ident()
    yield {"client": "of the lifespan"}


app = FastAPI(lifespan=lifespan)


@app.post("/states")
async def states(request: Request) -> dict[str, Any]:
    return {"app": request.app.state.thread, "request": request.state.client, "thread": threading.get_ident()}


@app.post("/synchronous")
def synchronous() -> int:
    return threading.get_ident()


@app.post("/later")
async def later(tasks: BackgroundTasks) -> str:
    tasks.add_task(DONE.set)
    return "accepted"


async def test_both_states_are_those_of_the_lifespan() -> None:
    """`app.state` and `request.state`, with a host that sends no lifespan events."""
    reply = await signed(application(f"{__name__}:app"), "POST", "/states")
    here = agent_loop().thread_id
    assert reply.json == {"app": here, "request": "of the lifespan", "thread": here}


async def test_a_synchronous_route_runs_off_the_loop() -> None:
    """FastAPI calls it in a thread of its own."""
    reply = await signed(application(f"{__name__}:app"), "POST", "/synchronous")
    assert reply.json not in (agent_loop().thread_id, threading.get_ident())


async def test_a_background_task_runs_after_the_reply() -> None:
    """As far as the platform lets it (docs/agent.md)."""
    DONE.clear()
    assert (await signed(application(f"{__name__}:app"), "POST", "/later")).json == "accepted"
    assert DONE.wait(20)
