"""AWS Lambda with the real Lambda Web Adapter: a Runtime API and an Extensions API for each sandbox.

As in Lambda, the adapter is an external extension that registers first, waits for the package's web server
and then asks for invocations. A function URL request becomes an event of payload 2.0. The answer arrives as
a whole JSON document or, in `response_stream` mode, as a JSON head, eight NUL bytes and the streamed body.
Source: AWS `runtimes-api`, `runtimes-custom` (response streaming), `runtimes-extensions-api`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from emulator.desired.model import Function
from emulator.runtime import ports
from emulator.runtime.aws import event as lambda_event
from emulator.runtime.aws.event import Result
from emulator.runtime.aws.sandbox import GRACE_S, start_runtime
from emulator.runtime.context import HostContext
from emulator.runtime.errors import InstanceError
from emulator.runtime.instances import probes
from emulator.runtime.instances.environment import Place
from emulator.runtime.instances.http_client import HOP_BY_HOP
from emulator.runtime.instances.processes import Child, Command
from emulator.runtime.limits import LIMITS
from emulator.runtime.types import Call, Headers, Instance, Outcome, Reply

RUNTIME = "/2018-06-01/runtime"
EXTENSIONS = "/2020-01-01/extension"
HEAD_END = b"\0" * 8
HEAD_BYTES = 1 << 20  # of a streamed reply's JSON head; Lambda's own limit is not documented
MODE = "lambda-runtime-function-response-mode"


class Answer:
    """One answer to an invocation: its head, then the rest of the adapter's request."""

    def __init__(self, result: Result, rest: web.Request | None) -> None:
        self.status = result.status
        self.headers: Headers = tuple(pair for pair in result.headers if pair[0] not in HOP_BY_HOP)
        self._first = result.body
        self._rest = rest
        self.read = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        if self._first:
            yield self._first
        if self._rest is not None:
            try:
                async for chunk in self._rest.content.iter_any():
                    yield chunk
            except (web.RequestPayloadError, ConnectionError) as error:
                raise InstanceError(
                    "crashed", f"the reply broke off before its end ({type(error).__name__})"
                ) from error


@dataclass(slots=True, eq=False)
class Invocation:
    """One event in progress. deadline: unix seconds."""

    id: str
    event: bytes = field(repr=False)
    deadline: float
    answer: asyncio.Future[Answer]


class RuntimeApi:
    """The two APIs of one sandbox."""

    def __init__(self, spec: Function) -> None:
        self._spec = spec
        self._queue: asyncio.Queue[Invocation] = asyncio.Queue()
        self._invocations: dict[str, Invocation] = {}
        self.request = asyncio.Event()  # set at the first `next`: the init phase has ended
        self.on_idle: Callable[[], None] = _nothing  # called when the runtime asks and no event waits
        self.on_event: Callable[[], None] = _nothing  # called before the runtime gets an event
        app = web.Application(client_max_size=2**40)
        app.router.add_get(f"{RUNTIME}/invocation/next", self._next)
        app.router.add_post(f"{RUNTIME}/invocation/{{id}}/response", self._response)
        app.router.add_post(f"{RUNTIME}/invocation/{{id}}/error", self._error)
        app.router.add_post(f"{RUNTIME}/init/error", self._init_error)
        app.router.add_post(f"{EXTENSIONS}/register", self._register)
        app.router.add_get(f"{EXTENSIONS}/event/next", self._never)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=0.1
        )
        self.address = ""

    async def open(self) -> None:
        """Listen on a free port."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop; active invocations fail."""
        self.fail("the sandbox ended")
        for site in list(self._runner.sites):
            await site.stop()
        # A connection that was just accepted gets its handler in the next round of the loop; `cleanup` closes
        # only those that have one.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await self._runner.cleanup()

    def fail(self, why: str) -> None:
        """Fail all active invocations."""
        for invocation in list(self._invocations.values()):
            if not invocation.answer.done():
                invocation.answer.set_exception(InstanceError("crashed", why))

    @asynccontextmanager
    async def invoke(self, invocation_id: str, event: bytes) -> AsyncGenerator[Answer]:
        """Send one event to the runtime and give its answer."""
        loop = asyncio.get_running_loop()
        deadline = time.time() + self._spec.timeout_s
        invocation = Invocation(invocation_id, event, deadline, loop.create_future())
        self._invocations[invocation_id] = invocation
        self.on_event()
        self._queue.put_nowait(invocation)
        try:
            answer = await invocation.answer
            try:
                yield answer
            finally:
                answer.read.set()
        finally:
            del self._invocations[invocation_id]

    async def _next(self, request: web.Request) -> web.Response:
        _acknowledge_at_once(request)
        self.request.set()
        if self._queue.empty():
            self.on_idle()
        invocation = await self._queue.get()
        return web.Response(
            body=invocation.event,
            content_type="application/json",
            headers={
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": lambda_event.arn(self._spec),
                "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
            },
        )

    async def _response(self, request: web.Request) -> web.Response:
        _acknowledge_at_once(request)
        invocation = self._invocations.get(request.match_info["id"])
        if invocation is None:
            return web.Response(status=400)
        if request.headers.get(MODE) != "streaming":
            body = await request.read()
            if len(body) > lambda_event.RESULT_BYTES:
                self._settle(invocation, InstanceError("response-too-large", f"{len(body)} bytes"))
                return web.Response(status=413)
            self._settle(invocation, Answer(lambda_event.buffered(body), None))
            return web.Response(status=202)
        try:
            head, first = await _head(request)
            result = lambda_event.prelude(head)
        except ValueError as error:
            self._settle(invocation, InstanceError("crashed", str(error)))
            return web.Response(status=400)
        answer = Answer(Result(result.status, result.headers, first), request)
        self._settle(invocation, answer)
        await answer.read.wait()
        return web.Response(status=202)

    async def _error(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode(errors="replace")
        invocation = self._invocations.get(request.match_info["id"])
        if invocation is not None:
            self._settle(invocation, InstanceError("failed", body[:1000]))
        return web.Response(status=202)

    async def _init_error(self, request: web.Request) -> web.Response:
        self.fail((await request.read()).decode(errors="replace")[:1000])
        return web.Response(status=202)

    async def _register(self, request: web.Request) -> web.Response:
        await request.read()
        headers = {"Lambda-Extension-Identifier": str(uuid.uuid4())}
        return web.json_response(
            {"functionName": self._spec.name, "functionVersion": "$LATEST", "handler": self._spec.entry},
            headers=headers,
        )

    async def _never(self, request: web.Request) -> web.Response:
        """The adapter subscribes to no event, so its `next` does not return before the sandbox ends."""
        await asyncio.Event().wait()
        return web.Response()

    def _settle(self, invocation: Invocation, result: Answer | InstanceError) -> None:
        if invocation.answer.done():
            return
        if isinstance(result, InstanceError):
            invocation.answer.set_exception(result)
        else:
            invocation.answer.set_result(result)


def _nothing() -> None:
    """No sandbox exists yet."""


def _acknowledge_at_once(request: web.Request) -> None:
    """Acknowledge at once: the adapter waits for an ACK after each small write, 40 ms on Linux by default."""
    raw = request.transport.get_extra_info("socket") if request.transport is not None else None
    if raw is not None and hasattr(socket, "TCP_QUICKACK"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def _head(request: web.Request) -> tuple[bytes, bytes]:
    """JSON head of a streamed answer, and the start of its body."""
    read = bytearray()
    async for chunk in request.content.iter_any():
        read += chunk
        head, found, rest = bytes(read).partition(HEAD_END)
        if found:
            return head, rest
        if len(read) > HEAD_BYTES:
            break
    raise ValueError("the streamed answer has no head (JSON and eight NUL bytes)")


class AdaptedSandbox:
    """One execution environment with the real adapter in it."""

    def __init__(self, api: RuntimeApi, runtime: Child, adapter: Child) -> None:
        self._api = api
        self._runtime = runtime
        self._adapter = adapter
        self._closing: asyncio.Task[None] | None = None
        for child in (runtime, adapter):
            child.ended.add_done_callback(self._broken)
        api.on_idle, api.on_event = self._freeze, self._thaw

    def _freeze(self) -> None:
        """Freeze, as Lambda does when the runtime and each extension have asked for the next event."""
        self._runtime.freeze()
        self._adapter.freeze()

    def _thaw(self) -> None:
        self._adapter.thaw()
        self._runtime.thaw()

    @property
    def pid(self) -> int:
        """Leader of the runtime's process group."""
        return self._runtime.pid

    @property
    def alive(self) -> bool:
        """Whether runtime and adapter both run."""
        return self._runtime.alive and self._adapter.alive

    @asynccontextmanager
    async def exchange(self, call: Call) -> AsyncGenerator[Reply]:
        """One function URL request."""
        async with self._api.invoke(call.id, lambda_event.url_event(call, time.time())) as answer:
            yield answer

    async def event(self, name: str, payload: bytes) -> Outcome:
        """Any other event."""
        async with self._api.invoke(str(uuid.uuid4()), payload) as answer:
            text = await probes.outcome_text(answer)
            # The adapter reports a failed invocation as an error, which is raised here.
            return Outcome(True, answer.status, text)

    def on_end(self, then: Callable[[], None]) -> None:
        """Run `then` when the runtime ends; the end of the adapter ends it too."""
        self._runtime.ended.add_done_callback(lambda _: then())

    def kill(self) -> None:
        """End it now."""
        self._runtime.kill()
        self._adapter.kill()

    async def ended_within(self, seconds: float) -> bool:
        """Whether the runtime ends within `seconds`."""
        return await self._runtime.ended_within(seconds)

    async def stop(self) -> None:
        """The shutdown phase: thaw, SIGTERM to the runtime, then end all and the APIs."""
        self._thaw()
        await self._runtime.stop(GRACE_S)
        await self._adapter.stop()
        if self._closing is not None:
            await self._closing

    def _broken(self, _: asyncio.Future[int]) -> None:
        """One of the two processes has ended: end the other one and the APIs."""
        self.kill()
        if self._closing is None:
            self._closing = asyncio.create_task(self._api.close())


async def start_with_adapter(spec: Function, context: HostContext, place: Place, adapter: Path) -> Instance:
    """A new sandbox: extension first, then the runtime; ready when the adapter asks for an invocation."""
    api = RuntimeApi(spec)
    await api.open()
    port, log = ports.for_instance(), context.log(spec.key)
    written, since = log.size(), time.monotonic()
    more = {"AWS_LAMBDA_RUNTIME_API": api.address}
    runtime = await start_runtime(spec, context, place, port, more)
    environ = {**spec.environment, **more, "AWS_LWA_PORT": str(port.number), "PORT": str(port.number)}
    extra = {
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": spec.region,
    }
    command = Command([str(adapter)], place.root, {**environ, **extra}, log)
    sandbox = AdaptedSandbox(api, runtime, await context.processes.spawn(command))
    try:
        async with asyncio.timeout(LIMITS["aws"].start_s):
            await _first_of(api.request, runtime)
    except BaseException as error:
        await sandbox.stop()
        if isinstance(error, TimeoutError):
            raise probes.death(runtime, "the init limit of 10 s passed", log.tail(written)) from None
        raise
    if not sandbox.alive:
        await sandbox.stop()
        raise probes.death(runtime, "it ended", log.tail(written))
    log.say(f"sandbox {runtime.pid} (lambda-adapter) up in {(time.monotonic() - since) * 1000:.0f} ms")
    return sandbox


async def _first_of(event: asyncio.Event, child: Child) -> None:
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({waiting, child.ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
