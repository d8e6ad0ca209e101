"""Processes of a bench. Each leads a process group, and all groups end with the bench.

`Processes` ends them. If the bench is killed, a watchdog process does: it reads from a pipe which groups
start and end, and kills the others when the pipe closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TAIL_BYTES = 3000  # of a log in an error message, enough for the last traceback

_WATCHDOG = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
groups = set()
for line in sys.stdin:
    sign, pid = line.split()
    (groups.add if sign == "+" else groups.discard)(int(pid))
for pid in groups:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
"""


def free_port() -> int:
    """A loopback port that has no listener now, for a process that starts at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(log: Path) -> str:
    """The end of a log; empty when it cannot be read."""
    try:
        return log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start. cwd: its folder; environ: its whole environment; log: file that gets its output."""

    argv: Sequence[str]
    cwd: Path
    environ: Mapping[str, str] = field(repr=False)
    log: Path


class Child:
    """A running process, which leads a group."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Number of the process and of its group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the leader of the group runs."""
        return self._process.returncode is None

    def kill(self) -> None:
        """Kill the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Kill the whole group and wait for its leader."""
        self.kill()
        await self._process.wait()


class Processes:
    """Starts processes. It is an async context manager, whose end stops all of them."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._watchdog: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Processes:
        self._watchdog = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _WATCHDOG),
            stdin=asyncio.subprocess.PIPE,
            env={},
            start_new_session=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(child.stop() for child in self._children))
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            await self._watchdog.wait()

    async def spawn(self, command: Command) -> Child:
        """Start a process in a session of its own."""
        with command.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                cwd=command.cwd,
                env=command.environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        child = Child(process)
        self._note("+", child)
        self._children.append(child)
        return child

    async def stop(self, child: Child) -> None:
        """Stop one process. Its id may be reused afterwards, so the watchdog forgets it."""
        await child.stop()
        self._children.remove(child)
        self._note("-", child)

    def _note(self, sign: str, child: Child) -> None:
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.write(f"{sign} {child.pid}\n".encode())
