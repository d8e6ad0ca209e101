"""One version of a Lambda function: unpack, check the handler, start environments of either kind."""

from __future__ import annotations

import asyncio
import stat
import time
from pathlib import Path

from emulator.desired.state import Function
from emulator.runtime import http_child
from emulator.runtime.aws import sandbox as lambda_sandbox
from emulator.runtime.aws.runtime_api import start_with_adapter
from emulator.runtime.context import Tools
from emulator.runtime.environment import Place
from emulator.runtime.errors import Trouble
from emulator.runtime.packages import BadPackage
from emulator.runtime.types import Instance, Timer


class LambdaBackend:
    """One version of a Lambda function."""

    starts_at_deploy = False  # Lambda accepts a package without running it

    def __init__(self, spec: Function, tools: Tools) -> None:
        self._spec = spec
        self._tools = tools
        self._place: Place | None = None

    async def build(self) -> None:
        """Unpack; the handler script must be there and executable."""
        spec, tools = self._spec, self._tools
        if not spec.web_adapter:
            raise BadPackage(
                f"handler {spec.entry!r} has neither the Lambda Web Adapter layer nor "
                "AWS_LAMBDA_EXEC_WRAPPER=/opt/bootstrap; the emulator runs Lambda through the adapter only"
            )
        root = await asyncio.to_thread(tools.packages.unpack, spec.package, spec.package_hash)
        entry = root / spec.entry
        if not entry.is_file():
            found = ", ".join(sorted(path.name for path in root.iterdir())[:12])
            raise BadPackage(f"the package has no {spec.entry!r} (the handler); its root holds {found}")
        if not entry.stat().st_mode & stat.S_IXUSR:
            raise BadPackage(f"{spec.entry!r} is not executable; set its mode to 0755 in the zip")
        self._place = Place(root, tools.interpreter, await _wheels(root, tools))

    async def start(self) -> Instance:
        """A new sandbox, ready to serve."""
        place = self._place
        if place is None:
            raise Trouble("unstarted", "the package was not built")
        spec, tools = self._spec, self._tools
        if tools.adapter is not None:
            return await start_with_adapter(spec, tools, place, tools.adapter)
        port = http_child.free_port()
        child = await lambda_sandbox.start_runtime(spec, tools, place, port, {})
        since = time.monotonic()
        try:
            await lambda_sandbox.ready(spec, tools, child, port)
        except BaseException:
            await child.stop()
            raise
        tools.log(spec.key).say(f"sandbox {child.pid} up in {(time.monotonic() - since) * 1000:.0f} ms")
        return lambda_sandbox.Sandbox(spec, child, port)

    async def timers(self) -> tuple[Timer, ...]:
        """Lambda has no timers in the code."""
        return ()


async def _wheels(root: Path, tools: Tools) -> tuple[Path, ...]:
    """Packages for an interpreter the vendored ones were not built for."""
    lock = root / "requirements.txt"
    if tools.interpreter.is_target or not lock.is_file():
        return ()
    return (await tools.wheels.install(lock.read_bytes(), tools.interpreter),)
