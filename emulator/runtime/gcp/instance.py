"""Google Cloud Functions 2nd gen: Cloud Build installs the requirements, Cloud Run runs the functions
framework.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager

from emulator.desired.model import Function
from emulator.runtime.context import HostContext, drop
from emulator.runtime.errors import InstanceError
from emulator.runtime.instances import environment, probes
from emulator.runtime.instances.environment import Place
from emulator.runtime.instances.http_client import exchange
from emulator.runtime.instances.packages import BadPackage
from emulator.runtime.instances.processes import Child, Command, OneChild
from emulator.runtime.limits import LIMITS
from emulator.runtime.types import Call, Headers, Instance, Outcome, Reply, Timer

GRACE_S = 1.0  # Cloud Run gives 10 s after SIGTERM; no request is active when the emulator stops an instance
JSON: Headers = (("content-type", "application/json"),)


class CloudRunInstance(OneChild):
    """One Cloud Run instance."""

    def __init__(self, child: Child, port: int) -> None:
        super().__init__(child)
        self._base = f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        """Leader of its process group."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child.alive

    def exchange(self, call: Call) -> AbstractAsyncContextManager[Reply]:
        """One request."""
        return exchange(self._base, call)

    async def event(self, name: str, payload: bytes) -> Outcome:
        """Cloud Scheduler's call is plain HTTP. name: its bearer token."""
        headers = (*JSON, ("user-agent", "Google-Cloud-Scheduler"), ("authorization", f"Bearer {name}"))
        call = Call("scheduler", "POST", "/", headers, payload)
        async with exchange(self._base, call) as reply:
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
        for name in ("main.py", "requirements.txt"):
            if not (root / name).is_file():
                found = ", ".join(sorted(path.name for path in root.iterdir())[:12])
                raise BadPackage(f"the package has no {name}; its root holds {found}")
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
        log, port, scratch = context.log(spec.key), probes.free_port(), context.private_folder()
        since, written = time.monotonic(), log.size()
        credentials = context.credentials("gcp", spec.principal)
        environ = environment.gcp(spec, place, credentials, context.api["gcp"], port)
        child = await context.processes.spawn(
            Command(
                [str(place.interpreter.path), "-P", "-m", "functions_framework"],
                place.root,
                {**environ, "TMPDIR": str(scratch), "HOME": str(scratch)},
                log,
            )
        )
        child.ended.add_done_callback(lambda _: drop(scratch))
        try:
            async with asyncio.timeout(LIMITS["gcp"].start_s):
                while not await probes.accepts(port):
                    if not child.alive:
                        raise probes.death(child, "it ended", log.tail(written))
                    await asyncio.sleep(probes.POLL_S)
        except BaseException as error:
            await child.stop()
            if isinstance(error, TimeoutError):
                raise probes.death(child, f"nothing listens on PORT={port}", log.tail(written)) from None
            raise
        log.say(f"instance {child.pid} up in {(time.monotonic() - since) * 1000:.0f} ms")
        return CloudRunInstance(child, port)

    async def timers(self) -> tuple[Timer, ...]:
        """Cloud Run has no timers in the code."""
        return ()
