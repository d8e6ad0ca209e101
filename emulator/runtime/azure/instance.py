"""Azure Functions (Flex Consumption): the host's part, around Microsoft's worker library in a child process.

The host matches the route, starts the invocation over the worker's pipe and at the same time proxies the
raw request to the worker's HTTP server (HTTP v2, which streams), as the real one does. Timers use the pipe
alone.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from emulator.desired.model import Function
from emulator.runtime.azure import proxy as azure_proxy
from emulator.runtime.azure import routes as azure_routes
from emulator.runtime.azure import worker as azure_worker
from emulator.runtime.azure.routes import App
from emulator.runtime.context import HostContext
from emulator.runtime.errors import InstanceError
from emulator.runtime.instances import environment, probes
from emulator.runtime.instances.environment import Place
from emulator.runtime.instances.http_instance import HttpInstance
from emulator.runtime.instances.packages import BadPackage, need_files
from emulator.runtime.instances.processes import Child
from emulator.runtime.limits import LIMITS
from emulator.runtime.types import Call, Instance, Outcome, Reply, Timer

VENDORED = ".python_packages/lib/site-packages"
TARGET = "3.13"  # required by the worker library, which is pure Python
Answer = Mapping[str, Any]


class AzureInstance(HttpInstance):
    """One instance of a function app."""

    def __init__(self, child: Child) -> None:
        super().__init__(child)
        self._app = App((), ())
        self._pending: dict[str, asyncio.Future[Answer]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def ready(self, prefix: str) -> None:
        """Wait until the app is indexed. Raises InstanceError with the app's own error."""
        first = await self._line()
        if first is None or first["op"] != "ready":
            error = "the worker ended" if first is None else f"{first['error']}\n{first['trace']}"
            raise InstanceError("unstarted", str(error))
        self._base = str(first["uri"])
        self._app = azure_routes.read(cast("list[dict[str, Any]]", first["functions"]), prefix)
        if not self._app.routes and not self._app.timers:
            raise InstanceError("unstarted", "function_app.py declares no HTTP or timer function")
        if self._app.routes and not self._base:
            raise InstanceError(
                "unstarted", "the HTTP functions do not use azurefunctions-extensions-http-fastapi"
            )
        port = urlsplit(self._base).port if self._base else None
        if port is not None and not await probes.listens(self._child, port):
            raise InstanceError("unstarted", "the worker ended")
        self._reader = asyncio.create_task(self._read())

    @property
    def app(self) -> App:
        """The app's routes and timers."""
        return self._app

    @asynccontextmanager
    async def exchange(self, call: Call) -> AsyncGenerator[Reply]:
        """One HTTP request."""
        if (cause := azure_proxy.too_large(call)) is not None:
            raise InstanceError(cause)
        found = self._app.find(call.method, call.target)
        if found is None:
            raise InstanceError("no-route", f"no function takes {call.method} {call.target}")
        route, parameters = found
        if route.level != "anonymous":
            raise InstanceError(
                "unauthorized", "the emulator knows no function keys; use auth level anonymous"
            )
        http = {"method": call.method, "url": f"http://{call.host}{call.target}", "params": parameters}
        invocation = str(uuid.uuid4())
        done = self._invoke(invocation, {"function": route.function, "input": route.input, "http": http})
        try:
            added = (("x-ms-invocation-id", invocation),)
            if not azure_proxy.forwards(call.headers):
                raise InstanceError("not-forwarded", "a field of the request has octets beyond ASCII")
            target, fields = azure_proxy.passed_on(call.target), azure_proxy.joined(call.headers)
            sent = replace(call, target=target, headers=fields)
            async with self._send(sent, added) as reply:
                if not azure_proxy.forwards(reply.headers):
                    raise InstanceError("not-forwarded", "a field of the reply has octets beyond ASCII")
                yield reply
        finally:
            done.cancel()

    async def event(self, name: str, payload: bytes) -> Outcome:
        """One run of the timer `name`."""
        trigger = next((each for each in self._app.timers if each.timer.name == name), None)
        if trigger is None:
            return Outcome(False, None, f"the app has no timer {name!r}")
        invocation = str(uuid.uuid4())
        command = {"function": trigger.function, "input": trigger.input, "json": payload.decode()}
        answer = await self._invoke(invocation, command)
        return Outcome(bool(answer["ok"]), None, str(answer["error"])[:2000])

    async def stop(self) -> None:
        """End the process; the worker has no shutdown of its own."""
        await self._child.stop()
        if self._reader is not None:
            await self._reader

    def _invoke(self, invocation: str, command: Mapping[str, object]) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        pipe = self._child.process.stdin
        if pipe is None or pipe.is_closing():
            raise InstanceError("crashed", "the worker has ended")
        self._pending[invocation] = future
        future.add_done_callback(lambda _: self._pending.pop(invocation, None))
        pipe.write(json.dumps({"op": "invoke", "id": invocation, **command}).encode() + b"\n")
        return future

    async def _line(self) -> Answer | None:
        pipe = self._child.process.stdout
        line = await pipe.readline() if pipe is not None else b""
        return cast("Answer", json.loads(line)) if line else None

    async def _read(self) -> None:
        while (answer := await self._line()) is not None:
            future = self._pending.get(str(answer["id"]))
            if future is not None and not future.done():
                future.set_result(answer)
        for future in list(self._pending.values()):
            if not future.done():
                future.set_exception(InstanceError("crashed", "the worker ended"))
                future.exception()  # an HTTP invocation may have no waiter


class AzureFactory:
    """One version of a function app."""

    starts_at_deploy = True  # a deployment syncs triggers, which needs an indexed app

    def __init__(self, spec: Function, context: HostContext) -> None:
        self._spec = spec
        self._context = context
        self._place: Place | None = None
        self._prefix = "api"
        self._timers: tuple[Timer, ...] = ()

    async def build(self) -> None:
        """Unpack and install the platform's worker library. Raises BadPackage without host.json and
        function_app.py.
        """
        spec, context = self._spec, self._context
        root = await asyncio.to_thread(context.packages.unpack, spec.package, spec.package_hash)
        need_files(root, "host.json", "function_app.py")
        self._prefix = _prefix(root / "host.json")
        wheels = [root / VENDORED]
        lock = root / "requirements.txt"
        if not context.interpreter.is_target and lock.is_file():
            wheels.insert(0, await context.wheels.install(lock.read_bytes(), context.interpreter))
        library = context.azure_lock.read_bytes()
        wheels.append(await context.wheels.install(library, context.interpreter, version=TARGET))
        self._place = Place(root, context.interpreter, tuple(wheels))

    async def start(self) -> Instance:
        """A new instance with an indexed app."""
        place = self._place
        if place is None:
            raise InstanceError("unstarted", "the package was not built")
        spec, context = self._spec, self._context
        log, since = context.log(spec.key), time.monotonic()
        written = log.size()
        credentials = context.credentials("azure", spec.principal)
        api = context.api["azure"]
        environ = environment.azure(spec, place, credentials, api, uuid.uuid4().hex)
        program = [str(place.interpreter.path), "-P", azure_worker.__file__]
        program += [str(place.root), *map(str, place.wheels)]
        child = await context.spawn(program, place.root, environ, log, control=True)
        instance = AzureInstance(child)
        limit = LIMITS["azure"].start_s
        try:
            async with asyncio.timeout(limit):
                await instance.ready(self._prefix)
        except BaseException as error:
            await instance.stop()
            if isinstance(error, TimeoutError):
                raise probes.death(child, f"not indexed in {limit:g} s", log.tail(written)) from None
            if isinstance(error, InstanceError) and error.detail == "the worker ended":
                raise probes.death(child, "it ended", log.tail(written)) from None
            raise
        self._timers = tuple(each.timer for each in instance.app.timers)
        log.say(f"instance {child.pid} up in {(time.monotonic() - since) * 1000:.0f} ms")
        return instance

    async def timers(self) -> tuple[Timer, ...]:
        """Timers that the code declares, by the last start."""
        return self._timers


def _prefix(host: Path) -> str:
    """routePrefix of host.json; `api` by default."""
    try:
        found = cast("dict[str, Any]", json.loads(host.read_text()))
        return str(found.get("extensions", {}).get("http", {}).get("routePrefix", "api"))
    except (ValueError, AttributeError) as error:
        raise BadPackage(f"host.json is not a JSON object of Azure's shape ({error})") from error


def timer_payload(last: float | None, following: float, now: float) -> bytes:
    """What a timer function gets as `req`. Times are unix seconds of the emulated clock."""

    def text(at: float) -> str:
        return datetime.fromtimestamp(at, UTC).isoformat()

    status = {"Last": text(last or 0.0), "Next": text(following), "LastUpdated": text(last or now)}
    return json.dumps(
        {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": False}
    ).encode()
