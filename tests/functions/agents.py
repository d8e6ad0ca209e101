"""Valid and invalid agents for the tests, named as `tests.functions.agents:name`."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from functions.api import (
    CHOICES,
    AgentRequest,
    Choice,
    Delta,
    End,
    Event,
    Failed,
    Step,
    Usage,
    repeatable,
    supports,
)
from functions.demo.model_errors import ModelFailed
from tests.asgi import Message, Receive, Send

CLOSED: list[str] = []
SECRET = "inner detail"


async def echo(request: AgentRequest) -> str:
    return f"you said {request.input}"


@repeatable
async def mapping(request: AgentRequest) -> dict[str, object]:
    return {"output": request.input, "score": 7}


async def no_json(request: AgentRequest) -> dict[str, object]:
    return {"output": object()}


async def wrong_type(request: AgentRequest) -> int:
    return 42


async def raises(request: AgentRequest) -> str:
    raise RuntimeError(SECRET)


async def exits(request: AgentRequest) -> str:
    sys.exit(SECRET)


def exits_in_a_thread(request: AgentRequest) -> str:
    sys.exit(SECRET)


async def exits_in_a_stream(request: AgentRequest) -> AsyncGenerator[Event, None]:
    sys.exit(SECRET)
    yield ""


async def raises_a_base(request: AgentRequest) -> str:
    raise BaseException(SECRET)


async def model_down(request: AgentRequest) -> str:
    raise ModelFailed("The model at model.test answered with status 503.")


async def streams(request: AgentRequest) -> AsyncGenerator[Event, None]:
    yield Step("look", {"at": request.input}, "seen")
    yield "one "
    yield Usage(11, 22)
    yield "two"


@supports(CHOICES)
async def two_answers(request: AgentRequest) -> AsyncGenerator[Event, None]:
    yield Choice(1, "b")
    yield "a"
    yield Choice(1, Delta({"content": "c", "refusal": "no"}))
    yield Choice(1, End("length"))


async def unhappy(request: AgentRequest) -> Failed:
    return Failed({"output": "sold out", "code": 7})


async def unhappy_stream(request: AgentRequest) -> AsyncGenerator[Event, None]:
    yield Failed("sold out")
    yield " today"


async def breaks_off(request: AgentRequest) -> AsyncGenerator[Event, None]:
    yield "half an "
    raise RuntimeError(SECRET)


async def hangs(request: AgentRequest) -> AsyncGenerator[Event, None]:
    try:
        yield "started"
        await asyncio.Event().wait()
    finally:
        CLOSED.append(request.input)


async def hangs_silently(request: AgentRequest) -> str:
    try:
        await asyncio.Event().wait()
    finally:
        CLOSED.append(request.input)
    return "never"


@repeatable
def synchronous(request: AgentRequest) -> str:
    return f"in {threading.current_thread().name.partition('_')[0]}: {request.input}"


def synchronous_stream(request: AgentRequest) -> Iterator[Event]:
    yield Step("look", {"at": request.input}, "seen")
    yield "one "
    yield "two"


async def same_stream(request: AgentRequest) -> AsyncGenerator[Event, None]:
    for event in synchronous_stream(request):
        yield event


def synchronous_failure(request: AgentRequest) -> str:
    raise RuntimeError(SECRET)


def synchronous_break(request: AgentRequest) -> Iterator[Event]:
    yield "half an "
    raise RuntimeError(SECRET)


def synchronous_stop(request: AgentRequest) -> str:
    """The mistake of `next` without a default."""
    return next(iter([SECRET][1:]))


def half_wrapped(request: AgentRequest) -> object:
    """A decorator that is not async returns the coroutine of the function that it wraps."""
    return echo(request)


def no_parameter() -> str:
    return "x"


async def two_parameters(request: AgentRequest, more: str) -> str:
    return more


class Callable:
    """An agent that is an object, for example one with settings."""

    async def __call__(self, request: AgentRequest) -> str:
        return "from an object"


class SynchronousCallable:
    """The same, synchronous."""

    def __call__(self, request: AgentRequest) -> str:
        return "from an object"


an_object = Callable()
synchronous_object = SynchronousCallable()


async def asgi(scope: Message, receive: Receive, send: Send) -> None:
    """An ASGI application that returns its request."""
    if scope["type"] != "http":
        return
    received = await receive()
    if scope["path"] == "/raises":
        raise RuntimeError(SECRET)
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-own", b"yes")]})
    said: Any = f"{scope['method']} {scope['path']} ".encode() + received["body"]
    await send({"type": "http.response.body", "body": said, "more_body": True})
    if scope["path"] == "/breaks-off":
        raise RuntimeError(SECRET)
    await send({"type": "http.response.body", "body": b"."})


async def no_startup(scope: Message, receive: Receive, send: Send) -> None:
    """An ASGI application that cannot start."""
    assert scope["type"] == "lifespan", "a request reached an application that did not start"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


class App:
    """An ASGI application that is an object, as those of FastAPI and Starlette are."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await asgi(scope, receive, send)


asgi_object = repeatable(App())


class OwnCall:
    """An ASGI application whose `__call__` is of the object, as that of Sentry's middleware."""

    __slots__ = ("__call__",)

    def __init__(self) -> None:
        self.__call__ = asgi


asgi_slots = OwnCall()


async def paced(request: AgentRequest, pace: float) -> AsyncGenerator[Event, None]:
    await asyncio.sleep(pace)
    yield "at last"


partial_stream = functools.partial(paced, pace=0)
unreadable = dict[str, object]().update


RELEASE = threading.Event()


async def blocks(request: AgentRequest) -> str:
    """Block the loop, as `time.sleep` and synchronous clients do."""
    RELEASE.wait(20)
    return "released"


async def blocks_a_while(request: AgentRequest) -> str:
    """Block the loop for 0.15 s."""
    threading.Event().wait(0.15)
    return "done"
