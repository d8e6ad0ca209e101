"""Google Cloud Functions 2nd gen: Cloud Build installs the requirements, Cloud Run runs the functions
framework.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager

from emulator.desired.state import Function
from emulator.runtime import environment, http_child
from emulator.runtime.context import Tools, drop
from emulator.runtime.environment import Place
from emulator.runtime.errors import Trouble
from emulator.runtime.http_client import exchange
from emulator.runtime.limits import LIMITS
from emulator.runtime.packages import BadPackage
from emulator.runtime.processes import Child, Command, OneChild
from emulator.runtime.types import Call, Headers, Instance, Outcome, Reply, Timer

GRACE_S = 1.0  # Cloud Run gives 10 s after SIGTERM; nothing is in flight when the emulator stops an instance
JSON: Headers = (("content-type", "application/json"),)


class Container(OneChild):
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
        """Cloud Scheduler's call is plain HTTP; `name` carries its bearer token."""
        headers = (*JSON, ("user-agent", "Google-Cloud-Scheduler"), ("authorization", f"Bearer {name}"))
        call = Call("scheduler", "POST", "/", headers, payload)
        async with exchange(self._base, call) as reply:
            text = await http_child.outcome_text(reply)
            return Outcome(reply.status < 300, reply.status, text)

    async def stop(self) -> None:
        """SIGTERM first, as Cloud Run does."""
        await self._child.stop(GRACE_S)


class CloudRunBackend:
    """One revision of a function."""

    starts_at_deploy = True  # a revision that does not come up fails the deploy

    def __init__(self, spec: Function, tools: Tools) -> None:
        self._spec = spec
        self._tools = tools
        self._place: Place | None = None

    async def build(self) -> None:
        """Unpack and install what the package requires."""
        spec, tools = self._spec, self._tools
        root = await asyncio.to_thread(tools.packages.unpack, spec.package, spec.package_hash)
        for name in ("main.py", "requirements.txt"):
            if not (root / name).is_file():
                found = ", ".join(sorted(path.name for path in root.iterdir())[:12])
                raise BadPackage(f"the package has no {name}; its root holds {found}")
        lock = (root / "requirements.txt").read_bytes()
        if b"functions-framework==" not in lock:
            raise BadPackage("requirements.txt does not pin functions-framework; add it to the lock")
        wheels = await tools.wheels.install(lock, tools.interpreter)
        self._place = Place(root, tools.interpreter, (wheels,))

    async def start(self) -> Instance:
        """A new instance that listens on its port."""
        place = self._place
        if place is None:
            raise Trouble("unstarted", "the package was not built")
        spec, tools = self._spec, self._tools
        log, port, scratch = tools.log(spec.key), http_child.free_port(), tools.private_folder()
        since, written = time.monotonic(), log.size()
        credentials = tools.credentials("gcp", spec.principal)
        environ = environment.gcp(spec, place, credentials, tools.api["gcp"], port)
        child = await tools.children.spawn(
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
                while not await http_child.accepts(port):
                    if not child.alive:
                        raise http_child.death(child, "it ended", log.tail(written))
                    await asyncio.sleep(http_child.POLL_S)
        except BaseException as error:
            await child.stop()
            if isinstance(error, TimeoutError):
                raise http_child.death(child, f"nothing listens on PORT={port}", log.tail(written)) from None
            raise
        log.say(f"instance {child.pid} up in {(time.monotonic() - since) * 1000:.0f} ms")
        return Container(child, port)

    async def timers(self) -> tuple[Timer, ...]:
        """Cloud Run has no timers in the code."""
        return ()
