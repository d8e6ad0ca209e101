"""Kills the processes that a daemon leaves: it runs beside the daemon and sweeps after its end.

It uses the standard library only and imports nothing of ours, so that it starts in milliseconds.

A daemon may die without a chance to clean up (`kill -9`), and its children have children of their own
(gunicorn's workers), which a parent-death signal would miss. So every child leads a process group, the daemon
records each group in a journal (`+ PID START`, `- PID`), and this process, which holds the other end of the
daemon's pipe, kills the remaining groups when the pipe closes. A starting daemon runs the same sweep, in case
both
died.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

Group = tuple[int, str]


def started(pid: int) -> str | None:
    """Start time of process `pid` (clock ticks since boot, proc(5)); None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def left(journal: Path) -> list[Group]:
    """Groups that were started and not ended, by the journal."""
    groups: dict[int, str] = {}
    try:
        lines = journal.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        match line.split():
            case ["+", pid, start]:
                groups[int(pid)] = start
            case ["-", pid]:
                groups.pop(int(pid), None)
            case _:
                continue  # a line cut by the death of its writer
    return list(groups.items())


def sweep(journal: Path) -> list[int]:
    """Kill the remaining groups; returns the killed leaders' pids.

    A leader's number that belongs to a younger process is not killed. While a group has members its number is
    not
    reused, so a group whose leader has ended can be killed by number.
    """
    killed: list[int] = []
    for pid, start in left(journal):
        if started(pid) in (None, start):
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
            killed.append(pid)
    return killed


def main(journal: Path) -> None:
    """Wait for the end of standard input, then sweep."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    sweep(journal)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
