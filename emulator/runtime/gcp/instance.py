"""Google Cloud Functions 2nd gen: Cloud Build installs the requirements, Cloud Run runs the functions
framework.
"""

from __future__ import annotations

import asyncio
import time

from emulator.desired.model import Function
from emulator.runtime import ports
from emulator.runtime.context import HostContext
from emulator.runtime.errors import InstanceError
from emulator.runtime.instances import environment, probes
from emulator.runtime.instances.environment import Place
from emulator.runtime.instances.http_instance import HttpInstance
from emulator.runtime.instances.packages import BadPackage, need_files
from emulator.runtime.limits import LIMITS
from emulator.runtime.types import Call, Headers, Instance, Outcome, Timer

GRACE_S = 1.0  # Cloud Run gives 10 s after SIGTERM; no request is active when the emulator stops an instance
JSON: Headers = (("content-type", "application/json"),)


class CloudRunInstance(HttpInstance):
    """One Cloud Run instance."""

    async def event(self, name: str, payload: bytes) -> Outcome:
        """Cloud Scheduler's call is plain HTTP. name: its bearer token."""
        headers = (*JSON, ("user-agent", "Google-Cloud-Scheduler"), ("authorization", f"Bearer {name}"))
        call = Call("scheduler", "POST", "/", headers, payload)
        async with self._send(call) as reply:
            text = await probes.outcome_text(reply)
            return Outcome(reply.status < 300, reply.status, text)

    async def stop(self) -> None:
        """SIGTERM first, as Cloud Run does."""
        await self._child.stop(GRACE_S)


class CloudRunFactory:
    """One revision of a function."""

    starts_at_deploy = True  # a revision that does not start fails the deployment

    def __init__(self, spec: Function, context: HostContext) -> None:
        self._spec = spec
        self._context = context
        self._place: Place | None = None

    async def build(self) -> None:
        """Unpack and install what the package requires."""
        spec, context = self._spec, self._context
        root = await asyncio.to_thread(context.packages.unpack, spec.package, spec.package_hash)
        need_files(root, "main.py", "requirements.txt")
        lock = (root / "requirements.txt").read_bytes()
        if b"functions-framework==" not in lock:
            raise BadPackage("requirements.txt does not pin functions-framework; add it to the lock")
        wheels = await context.wheels.install(lock, context.interpreter)
        self._place = Place(root, context.interpreter, (wheels,))

    async def start(self) -> Instance:
        """A new instance that listens on its port."""
        place = self._place
        if place is None:
            raise InstanceError("unstarted", "the package was not built")
        spec, context = self._spec, self._context
        log, port = context.log(spec.key), ports.for_instance()
        since, written = time.monotonic(), log.size()
        credentials = context.credentials("gcp", spec.principal)
        environ = environment.gcp(spec, place, credentials, context.api["gcp"], port.number)
        program = [str(place.interpreter.path), "-P", "-m", "functions_framework"]
        child = await context.spawn(program, place.root, environ, log, port=port)
        try:
            async with asyncio.timeout(LIMITS["gcp"].start_s):
                if not await probes.listens(child, port.number):
                    raise probes.death(child, "it ended", log.tail(written))
        except BaseException as error:
            await child.stop()
            if isinstance(error, TimeoutError):
                raise probes.death(
                    child, f"nothing listens on PORT={port.number}", log.tail(written)
                ) from None
            raise
        log.say(f"instance {child.pid} up in {(time.monotonic() - since) * 1000:.0f} ms")
        return CloudRunInstance(child, f"http://127.0.0.1:{port.number}")

    async def timers(self) -> tuple[Timer, ...]:
        """Cloud Run has no timers in the code."""
        return ()
