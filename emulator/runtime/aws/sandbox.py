"""AWS Lambda with a stand-in for the Lambda Web Adapter's documented protocol.

One instance is one execution environment: it runs the package's handler script (`run.sh`) as the runtime and
proxies each invocation to the web server that the script starts. The adapter's part, by its README: GET the
readiness path every 10 ms until a status from 100 to 499; proxy HTTP events with `x-amzn-request-context`
and `x-amzn-lambda-context`; POST other events to the pass-through path. Where the real binary is installed,
`runtime_api.py` drives that instead.

Between invocations the sandbox is frozen: "Lambda freezes the execution environment when the runtime and each
extension have completed and there are no pending events" (docs.aws.amazon.com/lambda/latest/dg/
lambda-runtime-environment.html). Work that a function leaves running continues with the next invocation.

A streamed reply that is truncated while its process lives ends regularly, with the error as its last text:
the
runtime library under the adapter sends its "trailer" as data (aws-lambda-rust-runtime, `requests.rs`,
`types.rs`; observed with the real binary).
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from emulator.desired.model import Function
from emulator.runtime.aws import event as lambda_event
from emulator.runtime.context import HostContext
from emulator.runtime.errors import InstanceError
from emulator.runtime.instances import environment, probes
from emulator.runtime.instances.environment import Place
from emulator.runtime.instances.http_instance import HttpInstance
from emulator.runtime.instances.processes import Child
from emulator.runtime.limits import LIMITS
from emulator.runtime.ports import InstancePort
from emulator.runtime.types import Call, Headers, Outcome, Reply

READINESS = ("AWS_LWA_READINESS_CHECK_PATH", "READINESS_CHECK_PATH")
PASS_THROUGH = "AWS_LWA_PASS_THROUGH_PATH"  # noqa: S105 (a variable's name)
MODE = "AWS_LWA_INVOKE_MODE"
ERROR_CODES = "AWS_LWA_ERROR_STATUS_CODES"


def streams(spec: Function) -> bool:
    """Whether the adapter runs in `response_stream` mode; otherwise Lambda buffers the reply."""
    return spec.environment.get(MODE, "buffered").lower() == "response_stream"


def fails(environment: Mapping[str, str], status: int) -> bool:
    """Whether the adapter reports a reply of this status as a failed invocation: by default none, else by its
    setting ("500,502-504", its README).
    """
    ranges = [
        part.strip().partition("-") for part in environment.get(ERROR_CODES, "").split(",") if part.strip()
    ]
    return any(int(low) <= status <= int(high or low) for low, _, high in ranges)


# A crashed process ends within this time; one that only truncated a reply lives on.
DEATH_S = 0.2


def midstream_error(why: str) -> bytes:
    """The bytes that end a truncated reply."""
    return (
        b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"
        b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(why.encode()) + b"\r\n"
    )


class StreamedReply:
    """A reply as the adapter streams it. child: the runtime's process."""

    def __init__(self, reply: Reply, child: Child) -> None:
        self._reply, self._child = reply, child
        self.status, self.headers = reply.status, reply.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        try:
            async for chunk in self._reply.chunks():
                yield chunk
        except InstanceError:
            if await self._child.ended_within(DEATH_S):
                raise
            yield midstream_error("error reading a body from connection")


# Of the 2 s between SIGTERM and SIGKILL the runtime has 300 ms, the extensions have the rest. Lambda sends
# SIGTERM where an external extension is registered, and the adapter is one (github.com/aws-samples/
# graceful-shutdown-with-aws-lambda; awslabs.github.io/aws-lambda-web-adapter, "Graceful Shutdown").
# uvicorn needs 100 ms to notice the signal; a machine with other work gets more than Lambda gives.
GRACE_S = 1.0


class Sandbox(HttpInstance):
    """One execution environment."""

    def __init__(self, spec: Function, child: Child, port: int) -> None:
        super().__init__(child, f"http://127.0.0.1:{port}")
        self._spec = spec
        child.freeze()

    @asynccontextmanager
    async def _awake(self) -> AsyncGenerator[None]:
        """Thaw for one invocation. After a failed one the sandbox stays thawed, as the platform
        inspects it.
        """
        self._child.thaw()
        yield
        self._child.freeze()

    @asynccontextmanager
    async def exchange(self, call: Call) -> AsyncGenerator[Reply]:
        """One function URL request."""
        now = time.time()
        added: Headers = (
            ("x-amzn-request-context", json.dumps(lambda_event.request_context(call, now))),
            ("x-amzn-lambda-context", self._context(call.id, now)),
        )
        if (
            not call.body
        ):  # the adapter's client sends a length for a request without a body, whatever its method
            added += (("content-length", "0"),)
        # The adapter joins an event's cookies without the space.
        headers = tuple(
            (name, value.replace("; ", ";") if name == "cookie" else value)
            for name, value in lambda_event.joined(call.headers).items()
        )
        if lambda_event.fails_at(call.target):
            raise InstanceError("failed", "the adapter makes no URI of the event's query")
        target = lambda_event.as_adapter(call.target)
        sent = Call(call.id, call.method, target, headers, call.body, call.peer, call.host)
        async with self._awake(), self._send(sent, added) as reply:
            try:
                lambda_event.only_once(reply.headers)
            except ValueError as error:
                raise InstanceError("failed", str(error)) from error
            yield StreamedReply(reply, self._child) if streams(self._spec) else reply

    async def event(self, name: str, payload: bytes) -> Outcome:
        """An event that is not HTTP, posted to the pass-through path."""
        request_id = str(uuid.uuid4())
        headers: Headers = (
            ("content-type", "application/json"),
            ("x-amzn-lambda-context", self._context(request_id, time.time())),
        )
        path = self._spec.environment.get(PASS_THROUGH, "/events")
        request = Call(request_id, "POST", path, headers, payload)
        async with self._awake(), self._send(request) as reply:
            text = await probes.outcome_text(reply)
            return Outcome(not fails(self._spec.environment, reply.status), reply.status, text)

    async def stop(self) -> None:
        """Thaw, then SIGTERM: the shutdown phase."""
        self._child.thaw()
        await self._child.stop(GRACE_S)

    def _context(self, request_id: str, now: float) -> str:
        return json.dumps(lambda_event.lambda_context(self._spec, request_id, now + self._spec.timeout_s))


async def start_runtime(
    spec: Function, context: HostContext, place: Place, port: InstancePort, more: dict[str, str]
) -> Child:
    """Run the handler script as Lambda's bootstrap does. more: additional environment."""
    credentials = context.credentials("aws", spec.principal)
    environ = environment.aws(spec, place, credentials, context.api["aws"], port.number, uuid.uuid4().hex)
    program = [str(place.root / spec.entry)]
    return await context.spawn(program, place.root, {**environ, **more}, context.log(spec.key), port=port)


async def ready(spec: Function, context: HostContext, child: Child, port: int) -> None:
    """Wait for the web server. Raises InstanceError when it ends or exceeds Lambda's init limit."""
    log = context.log(spec.key)
    since = log.size()
    path = next((spec.environment[name] for name in READINESS if name in spec.environment), "/")
    limit = LIMITS["aws"].start_s
    try:
        async with asyncio.timeout(limit):
            while not await probes.answers(f"http://127.0.0.1:{port}", path):
                if not child.alive:
                    raise probes.death(child, "it ended", log.tail(since))
                await asyncio.sleep(probes.POLL_S)
    except TimeoutError:
        what = f"GET {path} gave no answer within the init limit of {limit:g} s"
        raise probes.death(child, what, log.tail(since)) from None
