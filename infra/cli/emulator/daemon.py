"""Start, find and stop the daemon of the emulated clouds.

A noted pid counts only when /proc shows this module and this folder on the command line of the process: the
kernel may have given the number to another process since.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.cli import json_access
from infra.cli.emulator.admin import EmulatorInfo, healthy, parse_info
from infra.cli.errors import EmulatorFailed
from infra.cli.paths import Layout
from infra.packaging.tools import Tools
from infra.setup.extras.adapter import ADAPTER

MODULE = "emulator"
# Unpacking wheels for the platforms' runtimes is part of a first start.
START_S = 120.0
# It stops its functions' processes one after the other, each with a grace of its own.
STOP_S = 30.0
POLL_S = 0.05
PROC = Path("/proc")


def read_info(layout: Layout) -> EmulatorInfo | None:
    """What the daemon wrote; says nothing about whether it still lives."""
    try:
        return parse_info(layout.emulator_file.read_text(errors="replace"))
    except OSError:
        return None


def is_daemon(pid: int, layout: Layout, proc: Path = PROC) -> bool:
    """Whether process `pid` is the daemon of this checkout."""
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return MODULE.encode() in words and os.fsencode(layout.home) in words


def running(layout: Layout) -> EmulatorInfo | None:
    """The living daemon that is ready, None when there is none."""
    note = read_info(layout)
    return note if note is not None and is_daemon(note.pid, layout) else None


def daemon_pid(layout: Layout, proc: Path = PROC) -> int | None:
    """The daemon's pid, also while it is still starting, and when its notes were removed under it."""
    note = running(layout)
    if note is not None:
        return note.pid
    pids = (int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())
    return next((pid for pid in pids if is_daemon(pid, layout, proc)), None)


def code_identity(root: Path) -> str:
    """Hash of all that the daemon runs: its sources, and the locks that its interpreter and runtimes
    follow.
    """
    digest = hashlib.sha256()
    sources = sorted((root / "emulator").rglob("*.py"))
    locks = [root / "locks" / "project.txt", root / "locks" / "emulator-azure.txt"]
    for path in [*sources, *(lock for lock in locks if lock.exists())]:
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def runs_this_code(layout: Layout, note: EmulatorInfo) -> bool:
    """Whether the living daemon was started from the sources as they are now."""
    written = _started_daemon(layout)
    return written.get("pid") == note.pid and written.get("code") == code_identity(layout.root)


def adapter_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The real Lambda Web Adapter that the tests have built, unless `environ` has one: never built here."""
    cached = None if shutil.which(ADAPTER.program, path=environ.get("PATH")) else ADAPTER.cached(environ)
    return {"SKYFLEET_LAMBDA_ADAPTER": str(cached)} if cached else {}


def start(layout: Layout, environ: Mapping[str, str], tick: Callable[[], None]) -> EmulatorInfo:
    """Start the daemon in a session of its own and wait until it is ready."""
    layout.logs.mkdir(parents=True, exist_ok=True)
    code = code_identity(layout.root)
    python = Tools.find(Path(sys.executable), environ).python.path
    with layout.daemon_log.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", MODULE, "--root", str(layout.home), "--python", str(python)],
            cwd=layout.root,
            env={**adapter_environment(environ), **environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    layout.daemon_file.write_text(json.dumps({"pid": child.pid, "code": code}) + "\n")
    return await_ready(child, layout, tick)


def await_ready(
    child: subprocess.Popen[bytes], layout: Layout, tick: Callable[[], None], timeout_s: float = START_S
) -> EmulatorInfo:
    """Wait for the note of this very child and for its answer; its last words are the error when it ends."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(timeout=POLL_S)
            raise EmulatorFailed(
                f"the emulated clouds did not start (exit code {code}):\n{log_tail(layout)}\n"
                f"All of it: {layout.shown(layout.daemon_log)}, {layout.shown(layout.logs / 'emulator.log')}"
            )
        tick()
        note = read_info(layout)
        if note is not None and note.pid == child.pid and healthy(note):
            return note
    stop(child.pid, layout, lambda: child.poll() is None)
    raise EmulatorFailed(
        f"the emulated clouds were not ready after {timeout_s:.0f} s and were stopped. "
        f"Their log: {layout.shown(layout.logs / 'emulator.log')}\n{log_tail(layout)}"
    )


def log_tail(layout: Layout, lines: int = 12) -> str:
    """The end of what the daemon printed, else of its log."""
    for path in (layout.daemon_log, layout.logs / "emulator.log"):
        with contextlib.suppress(OSError):
            said = path.read_text(errors="replace").strip()
            if said:
                return "\n".join(f"    {line}" for line in said.splitlines()[-lines:])
    return "    (it printed nothing)"


def stop(
    pid: int, layout: Layout, lives: Callable[[], bool] | None = None, timeout_s: float = STOP_S
) -> bool:
    """End the daemon; False when it had to be killed. `lives`: for a child of ours, which /proc shows until
    reaped.
    """
    alive = lives or (lambda: is_daemon(pid, layout))
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if not alive():
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        deadline = time.monotonic() + timeout_s
        while alive() and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if not alive():
            return sign == signal.SIGTERM
    raise EmulatorFailed(
        f"process {pid} of the emulated clouds cannot be ended, not even by SIGKILL: look at `ps {pid}`."
    )


def _started_daemon(layout: Layout) -> json_access.JsonObject:
    try:
        return json_access.as_object(json_access.parse(layout.daemon_file.read_text(errors="replace")))
    except OSError:
        return {}
