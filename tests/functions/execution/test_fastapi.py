"""Tests of a FastAPI application: lifespan, both states, synchronous routes, tasks after the reply."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.responses import StreamingResponse

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


def behind_middleware() -> FastAPI:
    """An application with the middleware of most tutorials, whose routes call `sys.exit`."""
    app = FastAPI()

    # Each runs what is behind it in a task of its own (Starlette's BaseHTTPMiddleware).
    @app.middleware("http")
    async def outer(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        return await go_on(request)

    @app.middleware("http")
    async def inner(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        return await go_on(request)

    @app.get("/exits")
    async def exits() -> None:
        sys.exit("no more")

    @app.get("/exits-in-a-thread")
    def exits_in_a_thread() -> None:
        sys.exit("no more")

    @app.get("/exits-in-a-task")
    async def exits_in_a_task() -> None:
        await asyncio.gather(asyncio.sleep(0), exits())

    @app.get("/exits-in-a-stream")
    async def exits_in_a_stream() -> Response:
        async def parts() -> AsyncGenerator[str]:
            yield "half"
            sys.exit("no more")

        return StreamingResponse(parts())

    @app.get("/works")
    async def works() -> str:
        return "fine"

    return app


exiting = behind_middleware()


@pytest.mark.parametrize("path", ["/exits", "/exits-in-a-thread", "/exits-in-a-task"])
async def test_an_exit_behind_middleware_fails_its_request_and_nothing_else(path: str) -> None:
    """The middleware calls the route in a task, out of which `sys.exit` would end the whole loop."""
    app = application(f"{__name__}:exiting")
    reply = await signed(app, "GET", path)
    assert (reply.status, reply.json["error"]["code"]) == (500, "agent-failed")
    assert (await signed(app, "GET", "/works")).json == "fine"


async def test_an_exit_in_a_stream_cuts_this_stream_and_nothing_else() -> None:
    """A stream that has begun cannot become an error response."""
    app = application(f"{__name__}:exiting")
    with pytest.raises(RuntimeError, match="the agent raised"):
        await signed(app, "GET", "/exits-in-a-stream")
    assert (await signed(app, "GET", "/works")).json == "fine"


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
