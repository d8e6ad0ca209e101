"""Child processes of the emulator, each in its own session, recorded in a journal, with its output in a log.

The journal names every child, and ending a child ends its whole group.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emulator.runtime.instances import reaper

LOG_BYTES = 5 * 1024 * 1024  # one older file of the same size is kept beside the current one
TAIL_BYTES = 3000  # of a log in an error: enough for the last traceback


class Log:
    """One function's log; its instances and the emulator append to it (O_APPEND)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def open(self) -> int:
        """File descriptor for a child."""
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, text: str) -> None:
        """Write one line of the platform."""
        with contextlib.suppress(OSError):
            fd = self.open()
            try:
                os.write(fd, f"[emulator] {text}\n".encode())
            finally:
                os.close(fd)

    def size(self) -> int:
        """Size in bytes; pass it to `tail` to read only what came later."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def tail(self, since: int) -> str:
        """The end of what was written after `since`."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(since, self.size() - TAIL_BYTES))
                return file.read().decode(errors="replace").strip()
        except OSError:
            return ""

    def rotate(self) -> None:
        """Copy and truncate a large file: its writers keep their descriptors."""
        if self.size() > LOG_BYTES:
            shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
            os.truncate(self.path, 0)


@dataclass(frozen=True, slots=True)
class Command:
    """What to start. control: pipes at stdin and stdout; stderr still goes to the log."""

    argv: Sequence[str]
    cwd: Path
    environ: Mapping[str, str] = field(repr=False)
    log: Log
    control: bool = False


class Child:
    """One running child and the group that it leads."""

    def __init__(self, process: asyncio.subprocess.Process, journal: ProcessJournal) -> None:
        self.process = process
        self.pid = process.pid
        self._journal = journal
        self._killed = False
        self.ended = asyncio.ensure_future(self._watch())

    @property
    def alive(self) -> bool:
        """Whether the leader runs and was not killed."""
        return not self._killed and self.process.returncode is None and not self.ended.done()

    async def _watch(self) -> int:
        code = await self.process.wait()
        self._signal(signal.SIGKILL)  # what it started ends with it
        self._journal.remove(self.pid)
        return code

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def ended_within(self, seconds: float) -> bool:
        """Whether it ends within `seconds`."""
        done, _ = await asyncio.wait({self.ended}, timeout=seconds)
        return bool(done)

    def freeze(self) -> None:
        """Stop the whole group (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the group (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the whole group now."""
        self._killed = True
        self._signal(signal.SIGKILL)

    async def stop(self, grace_s: float = 0.0) -> None:
        """End it, after SIGTERM where the cloud sends one, and wait."""
        if grace_s > 0 and self.alive:
            self._signal(signal.SIGTERM)
            await asyncio.wait({self.ended}, timeout=grace_s)
        self.kill()
        await asyncio.wait({self.ended})


class ProcessJournal:
    """The list of running groups, for the reaper and the next daemon."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w", buffering=1)

    def add(self, pid: int) -> None:
        """`pid` leads a new group."""
        self._file.write(f"+ {pid} {reaper.started(pid) or 'gone'}\n")

    def remove(self, pid: int) -> None:
        """The group of `pid` has ended."""
        if not self._file.closed:
            self._file.write(f"- {pid}\n")

    def close(self) -> None:
        """No more notes."""
        self._file.close()


class Processes:
    """Starts children. `open` ends those of an earlier daemon, `close` leaves none."""

    def __init__(self, journal: Path) -> None:
        self._path = journal
        self._journal: ProcessJournal | None = None
        self._reaper: asyncio.subprocess.Process | None = None
        self._running: set[Child] = set()

    async def open(self) -> list[int]:
        """Sweep, then start the reaper. Returns the leaders that still ran."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        killed = reaper.sweep(self._path)
        self._journal = ProcessJournal(self._path)
        self._reaper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", reaper.__file__, str(self._path)),
            stdin=asyncio.subprocess.PIPE,
            env={},
            start_new_session=True,
        )
        return killed

    async def spawn(self, command: Command) -> Child:
        """Start `command` with exactly its environment, in its own session."""
        if self._journal is None:
            raise RuntimeError("Processes.open() comes before spawn()")
        command.log.rotate()
        pipe = asyncio.subprocess.PIPE if command.control else asyncio.subprocess.DEVNULL
        log = command.log.open()
        try:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                cwd=command.cwd,
                env=command.environ,
                stdin=pipe,
                stdout=pipe if command.control else log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._journal.add(process.pid)
        child = Child(process, self._journal)
        self._running.add(child)
        child.ended.add_done_callback(lambda _: self._running.discard(child))
        return child

    async def close(self) -> None:
        """Kill the running children and end the reaper."""
        await asyncio.gather(*(child.stop() for child in list(self._running)))
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()
            await self._reaper.wait()
        if self._journal is not None:
            self._journal.close()
