"""A bucket in memory with the semantics of the clouds' buckets and failures on demand; counting agents."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from functions.api import AgentRequest, Event, Step
from functions.demo.model_errors import ModelFailed
from skyfleet.objects import BucketError, Found
from tests.asgi import Message, Receive, Send

RUNS: list[str] = []
GO_ON = threading.Event()


@dataclass(slots=True)
class MemoryBucket:
    """down: every request fails. lost: conditional creates that take effect and return False. unanswered:
    writes that take effect and raise. now: the bucket's clock.
    """

    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    down: bool = False
    lost: int = 0
    unanswered: int = 0
    asked: int = 0
    now: Callable[[], float] = time.time
    written: dict[str, float] = field(default_factory=dict[str, float])

    async def get(self, name: str, tag: str | None = None) -> Found | None:
        self._ask()
        data = self.objects.get(name)
        return None if data is None else Found(data, str(hash(data)), None, self.written[name])

    async def put(self, name: str, data: bytes) -> None:
        self._ask()
        self._write(name, data)

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        self._ask()
        if self.objects.get(name) != (None if known is None else known.data):
            return False
        self._write(name, data)
        if known is None and self.lost:
            # As if the client had repeated the request after a lost answer.
            self.lost -= 1
            return False
        return True

    def _write(self, name: str, data: bytes) -> None:
        self.objects[name], self.written[name] = data, self.now()
        if self.unanswered:
            self.unanswered -= 1
            raise BucketError("it did not answer")

    def _ask(self) -> None:
        self.asked += 1
        if self.down:
            raise BucketError("the bucket is down")


async def counting(request: AgentRequest) -> str:
    RUNS.append(request.input)
    return f"run {len(RUNS)} of {request.input}"


async def streaming(request: AgentRequest) -> AsyncGenerator[Event, None]:
    RUNS.append(request.input)
    yield Step("count", request.input, len(RUNS))
    yield "first "
    yield f"run {len(RUNS)}"


async def failing(request: AgentRequest) -> str:
    RUNS.append(request.input)
    raise ModelFailed(f"The model failed in run {len(RUNS)}.")


async def breaking(request: AgentRequest) -> AsyncGenerator[Event, None]:
    RUNS.append(request.input)
    yield "half an "
    raise RuntimeError("broken")


async def waiting(request: AgentRequest) -> str:
    RUNS.append(request.input)
    while not GO_ON.is_set():  # the agent's loop is not the test's
        await asyncio.sleep(0.001)
    return f"run {len(RUNS)} went on"


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """An ASGI agent: the first `/busy` is answered with 503 and the first `/limited` with 429, `/cut` is
    truncated, `/silent` has no reply, `/large` has 2 MB in pieces.
    """
    body = (await receive())["body"]
    RUNS.append(scope["path"])
    path, count = scope["path"], len(RUNS)
    if path == "/silent":
        return
    status = {"/busy": 503, "/limited": 429}.get(path, 207) if count == 1 else 207
    headers = [(b"x-run", b"%d" % count), (b"date", b"today"), (b"server", b"mine"), (b"x-run", b"twice")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"one " + body, "more_body": True})
    if path == "/cut":
        raise RuntimeError("cut")
    if path == "/large":
        for _ in range(50):
            await send({"type": "http.response.body", "body": bytes(40_000), "more_body": True})
    await send({"type": "http.response.body", "body": b" and two"})
