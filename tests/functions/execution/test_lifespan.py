"""Tests of the ASGI lifespan of the user's application."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import anyio
import pytest
from starlette.applications import Starlette

from functions.errors import StartupFailed
from functions.execution import lifespan
from functions.execution.lifespan import RETRY_S, HostedLifespan, Lifespan, shutdown_s
from functions.execution.loop import AgentLoop, agent_loop
from tests.asgi import Message, Receive, Reply, Send, call


@dataclass(slots=True)
class App:
    """An application that notes its events.

    fails: startups that fail first. gate: startup waits for it. blocks: startup blocks its thread until then.
    """

    fails: int = 0
    blocks: threading.Event | None = None
    gate: asyncio.Event | None = None
    seen: list[str] = field(default_factory=list[str])
    states: list[Message] = field(default_factory=list[Message])

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.seen.append("request")
            self.states.append(scope["state"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
            return
        assert (await receive())["type"] == "lifespan.startup"
        self.seen.append("startup")
        if self.gate is not None:
            await self.gate.wait()
        assert self.blocks is None or self.blocks.wait(20)
        if self.fails:
            self.fails -= 1
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            raise RuntimeError("no database")  # as Starlette does
        scope["state"]["client"] = ["shared"]
        await send({"type": "lifespan.startup.complete"})
        self.seen.append((await receive())["type"].rpartition(".")[2])
        await send({"type": "lifespan.shutdown.complete"})


@dataclass(slots=True)
class Host:
    """The events of a host, and the answers to them."""

    app: Lifespan
    loop: AgentLoop = field(default_factory=agent_loop)
    left_s: float = 8.0
    events: asyncio.Queue[Message] = field(default_factory=asyncio.Queue[Message])
    answers: asyncio.Queue[Message] = field(default_factory=asyncio.Queue[Message])

    async def run(self) -> None:
        await HostedLifespan(self.app, self.loop, lambda: self.left_s)(self.events.get, self.answers.put)

    async def event(self, name: str) -> str:
        self.events.put_nowait({"type": f"lifespan.{name}"})
        return str((await self.answers.get())["type"])


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def get(app: Lifespan) -> Reply:
    return await call(app, "GET", "/")


async def get_there(host: Host) -> Reply:
    """A request on the agent's loop."""
    return await host.loop.run(get(host.app))


async def test_startup_runs_once_before_the_first_request() -> None:
    """Requests at the same time wait for one startup, also with a host that sends no lifespan events."""
    app = App(gate=asyncio.Event())
    running = Lifespan(app, Clock())
    requests = [asyncio.create_task(get(running)) for _ in range(3)]
    while not app.seen:
        await asyncio.sleep(0)
    assert app.gate is not None
    app.gate.set()
    assert [reply.status for reply in await asyncio.gather(*requests)] == [200, 200, 200]
    assert app.seen == ["startup", "request", "request", "request"]
    await running.stop()
    assert app.seen[-1] == "shutdown"


async def test_each_request_has_a_shallow_copy_of_the_state() -> None:
    """The ASGI specification, "Lifespan State": a request's own entries are not seen by others."""
    app = App()
    running = Lifespan(app, Clock())
    await get(running)
    app.states[0]["own"] = 1
    await get(running)
    assert app.states[1] == {"client": ["shared"]}
    assert app.states[0]["client"] is app.states[1]["client"]
    await running.stop()


async def test_the_events_of_a_host_reach_the_application() -> None:
    """uvicorn sends them on AWS, and functions/runtimes/gcp.py on Google."""
    app = App()
    host = Host(Lifespan(app, Clock()))
    serving = asyncio.create_task(host.run())
    assert await host.event("startup") == "lifespan.startup.complete"
    assert app.seen == ["startup"]
    await get_there(host)
    assert await host.event("shutdown") == "lifespan.shutdown.complete"
    await serving
    assert app.seen == ["startup", "request", "shutdown"]


async def test_a_failed_startup_is_logged_and_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    """No request reaches the application meanwhile, and the log has its reason."""
    app, clock = App(fails=1), Clock()
    host = Host(Lifespan(app, clock))
    serving = asyncio.create_task(host.run())
    assert await host.event("startup") == "lifespan.startup.complete"
    assert host.app.failed
    assert "startup of the agent failed: no database" in caplog.text
    with pytest.raises(StartupFailed):
        await get_there(host)
    clock.now += RETRY_S
    assert (await get_there(host)).status == 200
    assert not host.app.failed
    assert app.seen == ["startup", "startup", "request"]
    await host.event("shutdown")
    await serving


async def test_a_slow_startup_does_not_keep_the_host_from_listening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda ends an init phase after 10 s; the requests wait instead. Startup may block its loop, too."""
    monkeypatch.setattr(lifespan, "HOST_WAIT_S", 0.01)
    blocked = threading.Event()
    app = App(blocks=blocked)
    host = Host(Lifespan(app, Clock()))
    serving = asyncio.create_task(host.run())
    assert await host.event("startup") == "lifespan.startup.complete"
    request = asyncio.create_task(get_there(host))
    await asyncio.sleep(0)
    assert "request" not in app.seen
    blocked.set()
    assert (await request).status == 200
    await host.event("shutdown")
    await serving


@pytest.mark.parametrize("blocks", [False, True])
async def test_a_request_waits_for_a_startup_for_a_limited_time(
    blocks: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has not run, so another cloud may serve it. The startup goes on, and the instance serves then."""
    monkeypatch.setattr(lifespan, "REQUEST_WAIT_S", 0.01)
    gate, blocked = asyncio.Event(), threading.Event()
    app = App(blocks=blocked) if blocks else App(gate=gate)
    host = Host(Lifespan(app, Clock()))
    hosted = HostedLifespan(host.app, host.loop, lambda: 1.0)
    for _ in range(2):
        with pytest.raises(StartupFailed):
            await hosted.ready()
    assert "startup takes more than" in caplog.text
    blocked.set()
    host.loop.get().call_soon_threadsafe(gate.set)
    monkeypatch.setattr(lifespan, "REQUEST_WAIT_S", 20.0)
    await hosted.ready()
    assert (await get_there(host)).status == 200
    assert app.seen == ["startup", "request"]
    await host.loop.run(host.app.stop())


async def test_an_exit_in_startup_is_a_failed_startup(caplog: pytest.LogCaptureFixture) -> None:
    """It ends neither the loop nor the process, and the log has its text. Starlette says before that startup
    has failed; another application just raises it, also out of a group of tasks."""

    async def leaves(scope: Message, receive: Receive, send: Send) -> None:
        sys.exit("DATABASE_URL is missing")

    @contextlib.asynccontextmanager
    async def starts(app: Starlette) -> AsyncGenerator[None]:
        sys.exit("DATABASE_URL is missing")
        yield

    async def leaves_in_a_task(scope: Message, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(leaves, scope, receive, send)

    for app in (leaves, leaves_in_a_task, Starlette(lifespan=starts)):
        caplog.clear()
        host = Host(Lifespan(app, Clock()))
        with pytest.raises(StartupFailed):
            await HostedLifespan(host.app, host.loop, lambda: 1.0).ready()
        assert host.app.failed
        assert "DATABASE_URL is missing" in caplog.text


@pytest.mark.parametrize("ending", ["raises", "returns"])
async def test_an_application_without_lifespan_support_serves(ending: str) -> None:
    """An exception before the answer says that the protocol is not supported, as in the specification."""
    inner = App()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await inner(scope, receive, send)
        elif ending == "raises":
            raise RuntimeError(f"no {scope['type']} here")

    running = Lifespan(app, Clock())
    assert (await get(running)).status == 200
    assert inner.states == [{}]
    await running.stop()


@pytest.mark.parametrize(("answer", "words"), [("failed", "failed: still busy"), ("none", "did not end")])
async def test_a_shutdown_that_fails_or_hangs_is_logged(
    answer: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The host ends the process in any case."""
    ended = threading.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if answer == "failed":
            await send({"type": "lifespan.shutdown.failed", "message": "still busy"})
        while answer == "none" and not ended.is_set():
            await asyncio.sleep(0.001)

    host = Host(Lifespan(app, Clock()), left_s=60.0 if answer == "failed" else 0.01)
    serving = asyncio.create_task(host.run())
    await host.event("startup")
    await host.event("shutdown")
    await serving
    ended.set()
    assert words in caplog.text


@pytest.mark.parametrize(
    ("elapsed_s", "left_s"), [(None, 9.5), (0.0, 9.5), (3.0, 6.5), (8.2, 1.3), (9.4, 1.0), (60.0, 1.0)]
)
def test_shutdown_has_what_requests_leave_of_the_hosts_time(elapsed_s: float | None, left_s: float) -> None:
    """10 s from SIGTERM on Google, the only host that grants seconds."""
    since = None if elapsed_s is None else 100.0
    assert shutdown_s(since, 100.0 + (elapsed_s or 0.0)) == pytest.approx(left_s)
