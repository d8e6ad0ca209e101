"""One version of a Lambda function: unpack, check the handler, start sandboxes."""

from __future__ import annotations

import asyncio
import stat
import time
from pathlib import Path

from emulator.desired.model import Function
from emulator.runtime import ports
from emulator.runtime.aws import sandbox as lambda_sandbox
from emulator.runtime.aws.runtime_api import start_with_adapter
from emulator.runtime.context import HostContext
from emulator.runtime.errors import InstanceError
from emulator.runtime.instances.environment import Place
from emulator.runtime.instances.packages import BadPackage
from emulator.runtime.types import Instance, Timer


class LambdaFactory:
    """One version of a Lambda function."""

    starts_at_deploy = False  # Lambda accepts a package without running it

    def __init__(self, spec: Function, context: HostContext) -> None:
        self._spec = spec
        self._context = context
        self._place: Place | None = None

    async def build(self) -> None:
        """Unpack. Raises BadPackage unless the handler script exists and is executable."""
        spec, context = self._spec, self._context
        if not spec.web_adapter:
            raise BadPackage(
                f"handler {spec.entry!r} has neither the Lambda Web Adapter layer nor "
                "AWS_LAMBDA_EXEC_WRAPPER=/opt/bootstrap; the emulator runs Lambda through the adapter only"
            )
        root = await asyncio.to_thread(context.packages.unpack, spec.package, spec.package_hash)
        entry = root / spec.entry
        if not entry.is_file():
            found = ", ".join(sorted(path.name for path in root.iterdir())[:12])
            raise BadPackage(f"the package has no {spec.entry!r} (the handler); its root holds {found}")
        if not entry.stat().st_mode & stat.S_IXUSR:
            raise BadPackage(f"{spec.entry!r} is not executable; set its mode to 0755 in the zip")
        self._place = Place(root, context.interpreter, await _wheels(root, context))

    async def start(self) -> Instance:
        """A new sandbox, ready to serve."""
        place = self._place
        if place is None:
            raise InstanceError("unstarted", "the package was not built")
        spec, context = self._spec, self._context
        if context.adapter is not None:
            return await start_with_adapter(spec, context, place, context.adapter)
        port = ports.for_instance()
        child = await lambda_sandbox.start_runtime(spec, context, place, port, {})
        since = time.monotonic()
        try:
            await lambda_sandbox.ready(spec, context, child, port.number)
        except BaseException:
            await child.stop()
            raise
        context.log(spec.key).say(f"sandbox {child.pid} up in {(time.monotonic() - since) * 1000:.0f} ms")
        return lambda_sandbox.Sandbox(spec, child, port.number)

    async def timers(self) -> tuple[Timer, ...]:
        """Lambda has no timers in the code."""
        return ()


async def _wheels(root: Path, context: HostContext) -> tuple[Path, ...]:
    """Packages for an interpreter that the vendored ones were not built for."""
    lock = root / "requirements.txt"
    if context.interpreter.is_target or not lock.is_file():
        return ()
    return (await context.wheels.install(lock.read_bytes(), context.interpreter),)
