"""An instance that is one child process with an HTTP server on loopback: what the clouds have in common.

How a cloud wraps a request, freezes or ends an instance, stands in the cloud's own file.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from emulator.runtime.instances.http_client import exchange
from emulator.runtime.instances.processes import Child
from emulator.runtime.types import Call, Headers, Reply


class HttpInstance:
    """One instance. Its server's base URL may become known after the start."""

    def __init__(self, child: Child, base: str = "") -> None:
        self._child, self._base = child, base

    @property
    def pid(self) -> int:
        """Leader of its process group."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._child.alive

    @property
    def base(self) -> str:
        """The URL of its server."""
        return self._base

    def exchange(self, call: Call) -> AbstractAsyncContextManager[Reply]:
        """One request, as it is. Raises InstanceError."""
        return self._send(call)

    def _send(self, call: Call, added: Headers = ()) -> AbstractAsyncContextManager[Reply]:
        """One request to the server. added: further headers."""
        return exchange(self._base, call, added)

    def on_end(self, then: Callable[[], None]) -> None:
        """Run `then` when the process ends."""
        self._child.ended.add_done_callback(lambda _: then())

    async def ended_within(self, seconds: float) -> bool:
        """Whether it ends within that time."""
        return await self._child.ended_within(seconds)

    def kill(self) -> None:
        """End it now."""
        self._child.kill()

    async def stop(self) -> None:
        """End it without notice, and wait."""
        await self._child.stop()
