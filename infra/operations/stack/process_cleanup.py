"""End the processes that a killed Pulumi leaves: its language host and the program.

Pulumi runs in its own session, so the session id of its descendants is its pid, although their process groups
differ. The kernel does not reuse the number before the last of them has ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")
# A language host ends at once at SIGTERM.
GRACE_S = 2.0
POLL_S = 0.02


def of_session(session: int, proc: Path = PROC) -> list[int]:
    """The processes of a session, from field 6 of /proc/PID/stat."""
    found: list[int] = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if len(fields) > 3 and fields[3] == str(session) and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def end_session(session: int) -> list[int]:
    """End all processes of a session and return their pids; after GRACE_S they are killed."""
    ended = of_session(session)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in of_session(session):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, sign)
        deadline = time.monotonic() + GRACE_S
        while of_session(session) and time.monotonic() < deadline:
            time.sleep(POLL_S)
    return ended
