"""Start, find and stop the daemon of the emulator.

A stored pid counts only when the command line in /proc has this module and this folder: the kernel may have
given the number to another process.
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

from infra.operations import json_access
from infra.operations.emulator.admin import EmulatorInfo, healthy, parse_info
from infra.operations.errors import EmulatorFailed
from infra.operations.paths import Layout
from infra.packaging.tools import Tools
from infra.setup.extras.adapter import ADAPTER

MODULE = "emulator"
# Unpacking wheels for the platforms' runtimes is part of a first start.
START_S = 120.0
# The daemon stops its functions one after the other, each with its own grace period.
STOP_S = 30.0
POLL_S = 0.05
PROC = Path("/proc")


def read_info(layout: Layout) -> EmulatorInfo | None:
    """The content of `emulator.json`, whether or not that daemon still runs."""
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
    """The daemon that runs and is ready, None when there is none."""
    info = read_info(layout)
    return info if info is not None and is_daemon(info.pid, layout) else None


def daemon_pid(layout: Layout, proc: Path = PROC) -> int | None:
    """The pid of the daemon, also while it starts and when its files were removed."""
    info = running(layout)
    if info is not None:
        return info.pid
    pids = (int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())
    return next((pid for pid in pids if is_daemon(pid, layout, proc)), None)


def code_identity(root: Path) -> str:
    """A hash of what the daemon runs: its sources, and the locks of its interpreter and runtimes."""
    digest = hashlib.sha256()
    sources = sorted((root / "emulator").rglob("*.py"))
    locks = [root / "locks" / "project.txt", root / "locks" / "emulator-azure.txt"]
    for path in [*sources, *(lock for lock in locks if lock.exists())]:
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def runs_this_code(layout: Layout, info: EmulatorInfo) -> bool:
    """Whether the running daemon was started from the present sources."""
    started = _started_daemon(layout)
    return started.get("pid") == info.pid and started.get("code") == code_identity(layout.root)


def adapter_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """A variable that names the Lambda Web Adapter that the tests have built, if PATH has none."""
    cached = None if shutil.which(ADAPTER.program, path=environ.get("PATH")) else ADAPTER.cached(environ)
    return {"SKYFLEET_LAMBDA_ADAPTER": str(cached)} if cached else {}


def start(layout: Layout, environ: Mapping[str, str], tick: Callable[[], None]) -> EmulatorInfo:
    """Start the daemon in its own session and wait until it is ready. Raises EmulatorFailed.

    tick: called while waiting.
    """
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
    """Wait until `child` has written `emulator.json` and answers. Raises EmulatorFailed with the end of its
    log when it ends, or when it is not ready in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(timeout=POLL_S)
            raise EmulatorFailed(
                f"the emulated clouds did not start (exit code {code}):\n{log_tail(layout)}\n"
                f"All of it: {layout.shown(layout.daemon_log)}, {layout.shown(layout.logs / 'emulator.log')}"
            )
        tick()
        info = read_info(layout)
        if info is not None and info.pid == child.pid and healthy(info):
            return info
    stop(child.pid, layout, lambda: child.poll() is None)
    raise EmulatorFailed(
        f"the emulated clouds were not ready after {timeout_s:.0f} s and were stopped. "
        f"Their log: {layout.shown(layout.logs / 'emulator.log')}\n{log_tail(layout)}"
    )


def log_tail(layout: Layout, lines: int = 12) -> str:
    """The last lines that the daemon printed, else those of its log."""
    for path in (layout.daemon_log, layout.logs / "emulator.log"):
        with contextlib.suppress(OSError):
            text = path.read_text(errors="replace").strip()
            if text:
                return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
    return "    (it printed nothing)"


def stop(
    pid: int, layout: Layout, is_alive: Callable[[], bool] | None = None, timeout_s: float = STOP_S
) -> bool:
    """Stop the daemon; False when it had to be killed. Raises EmulatorFailed when it does not end.

    is_alive: for a child of this process, which stays in /proc until it is reaped.
    """
    alive = is_alive or (lambda: is_daemon(pid, layout))
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
        f"process {pid} of the emulated clouds did not end, not even by SIGKILL: look at `ps {pid}`."
    )


def _started_daemon(layout: Layout) -> json_access.JsonObject:
    try:
        return json_access.as_object(json_access.parse(layout.daemon_file.read_text(errors="replace")))
    except OSError:
        return {}
