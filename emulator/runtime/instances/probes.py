"""Checks of an instance on loopback: readiness, the start of a reply as text."""

from __future__ import annotations

import asyncio
import contextlib

from emulator.runtime.errors import InstanceError
from emulator.runtime.instances.http_client import exchange
from emulator.runtime.instances.processes import Child
from emulator.runtime.types import Call, Reply

POLL_S = 0.01  # the Lambda Web Adapter's own readiness period


async def accepts(port: int) -> bool:
    """Whether something listens on `port` (Cloud Run's default startup probe)."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def listens(child: Child, port: int) -> bool:
    """Wait until the child listens on `port`; False when it ends before that."""
    while not await accepts(port):
        if not child.alive:
            return False
        await asyncio.sleep(POLL_S)
    return True


async def answers(base: str, path: str) -> bool:
    """Whether GET `path` gives a status from 100 to 499 (the Lambda Web Adapter's readiness check)."""
    try:
        async with asyncio.timeout(1), exchange(base, Call("ready", "GET", path, (), b"")) as reply:
            return reply.status < 500
    except (InstanceError, TimeoutError):
        return False


async def outcome_text(reply: Reply, most: int = 2000) -> str:
    """The start of a reply's body, for a log or a status page; reads the body to its end."""
    kept = bytearray()
    async for chunk in reply.chunks():
        if len(kept) < most:
            kept += chunk[: most - len(kept)]
    return kept.decode(errors="replace")


def death(child: Child, what: str, said: str) -> InstanceError:
    """The failure of an instance that did not start. said: its output."""
    code = child.process.returncode
    ended = f"it exited with status {code}" if code is not None else what
    return InstanceError("unstarted", f"{ended}; its output: {said or '(none)'}")
