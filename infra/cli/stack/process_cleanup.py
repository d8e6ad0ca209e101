"""End what a killed Pulumi leaves running: its language host and the program.

We start Pulumi in a session of its own, so everything below it carries its pid as the session's number (their
process groups differ), and the kernel reuses that number only after the last of them has ended: they are
found without guessing by name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")
# A language host ends at once when it is asked to.
GRACE_S = 2.0
POLL_S = 0.02


def of_session(session: int, proc: Path = PROC) -> list[int]:
    """Every process of that session, from /proc/PID/stat (field 6, after the name in brackets)."""
    found: list[int] = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if len(fields) > 3 and fields[3] == str(session) and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def end_session(session: int) -> list[int]:
    """End all processes of a session and return their pids; those that stay after a grace are killed."""
    ended = of_session(session)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in of_session(session):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, sign)
        deadline = time.monotonic() + GRACE_S
        while of_session(session) and time.monotonic() < deadline:
            time.sleep(POLL_S)
    return ended
