"""Find, start and stop the manager of a stack.

`manager.json` has the URL, the pid and the time at which the process started, as field 22 of /proc/PID/stat
has it: the kernel may have given the pid to another process since.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.operations import json_access
from infra.operations.errors import CommandFailed
from infra.operations.paths import STACK, Layout

PROC: Final = Path("/proc")
START_S: Final = 60.0
# It ends its streams and leaves a running job to its own process.
STOP_S: Final = 15.0
POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class ManagerInfo:
    """A manager. started: Unix seconds. ticks: of the kernel's clock. code: a hash of what it runs."""

    url: str
    pid: int
    started: float
    ticks: int
    code: str

    def as_json(self) -> json_access.JsonObject:
        """The content of manager.json."""
        return {
            "url": self.url,
            "pid": self.pid,
            "started": self.started,
            "ticks": self.ticks,
            "code": self.code,
        }


def start_ticks(pid: int, proc: Path = PROC) -> int | None:
    """When process `pid` started; None when there is none, or when it has ended and is not reaped."""
    try:
        fields = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if len(fields) > 19 and fields[0] != "Z" else None


def parse(text: str) -> ManagerInfo | None:
    """The content of manager.json; None if it is damaged."""
    stored = json_access.as_object(json_access.parse(text))
    url, code = json_access.string(stored.get("url")), json_access.string(stored.get("code"))
    pid, started, ticks = (json_access.number(stored.get(name)) for name in ("pid", "started", "ticks"))
    if not url or pid is None or started is None or ticks is None:
        return None
    return ManagerInfo(url, int(pid), started, int(ticks), code)


def running(layout: Layout, stack: str = STACK, proc: Path = PROC) -> ManagerInfo | None:
    """The manager of a stack that runs, None when there is none."""
    try:
        info = parse(layout.manager_file(stack).read_text(errors="replace"))
    except OSError:
        return None
    return info if info is not None and start_ticks(info.pid, proc) == info.ticks else None


def code_identity(root: Path) -> str:
    """A hash of what a manager runs: the sources of `infra/` and `skyfleet/`, and the lock."""
    digest = hashlib.sha256()
    sources = sorted(path for name in ("infra", "skyfleet") for path in (root / name).rglob("*.py"))
    lock = root / "locks" / "project.txt"
    for path in [*sources, *([lock] if lock.exists() else [])]:
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def ensure_running(
    layout: Layout, environ: Mapping[str, str], tick: Callable[[], None] = lambda: None
) -> ManagerInfo:
    """The manager of the emulator's stack; started if there is none, and again if its code has changed.

    tick: called while waiting. Raises CommandFailed.
    """
    info = running(layout)
    if info is not None and info.code == code_identity(layout.root):
        return info
    if info is not None:
        stop(layout, info)
    layout.logs.mkdir(parents=True, exist_ok=True)
    with layout.manager_log.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "infra.cli", "manager"],
            cwd=layout.root,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return await_ready(child, layout, tick)


def await_ready(
    child: subprocess.Popen[bytes], layout: Layout, tick: Callable[[], None], timeout_s: float = START_S
) -> ManagerInfo:
    """Wait until `child` has written manager.json, which it does when it answers. Raises CommandFailed."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(timeout=POLL_S)
            raise CommandFailed(f"the manager did not start (exit code {code}):\n{log_tail(layout)}")
        tick()
        info = running(layout)
        if info is not None and info.pid == child.pid:
            return info
    child.kill()
    child.wait()
    raise CommandFailed(f"the manager was not ready after {timeout_s:.0f} s:\n{log_tail(layout)}")


def log_tail(layout: Layout, lines: int = 12) -> str:
    """The last lines of the manager's log."""
    try:
        text = layout.manager_log.read_text(errors="replace").strip()
    except OSError:
        text = ""
    tail = "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (it printed nothing)"
    return f"{tail}\nAll of it: {layout.shown(layout.manager_log)}"


def stop(layout: Layout, info: ManagerInfo, stack: str = STACK, timeout_s: float = STOP_S) -> bool:
    """Stop a manager; False when it had to be killed. A job that it has started goes on by itself."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if start_ticks(info.pid) != info.ticks:
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(info.pid, sign)
        deadline = time.monotonic() + timeout_s
        while start_ticks(info.pid) == info.ticks and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if start_ticks(info.pid) != info.ticks:
            layout.manager_file(stack).unlink(missing_ok=True)
            return sign == signal.SIGTERM
    raise CommandFailed(
        f"the manager (pid {info.pid}) does not end, not even by SIGKILL: see `ps {info.pid}`"
    )


def write(layout: Layout, stack: str, info: ManagerInfo) -> None:
    """Write manager.json, whole or not at all."""
    path = layout.manager_file(stack)
    fresh = path.with_name(f"{path.name}.{info.pid}")
    fresh.write_text(json.dumps(info.as_json()) + "\n")
    fresh.replace(path)
