"""Recover a stack after a killed Pulumi, so that `up` works.

A killed Pulumi leaves a lock note and operations without an end. Both are repaired only when it is certain
that no process is working on the stack any more.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from infra.cli import json_access
from infra.cli.errors import PulumiFailed, StackLocked
from infra.cli.paths import STACK, Layout
from infra.cli.stack.process_cleanup import end_session
from infra.cli.stack.runner import PulumiRunner
from infra.cli.stack.state import LockStatus, pending_operations, strongest_lock

PROC = Path("/proc")


def is_pulumi(pid: int, proc: Path = PROC) -> bool:
    """Whether process `pid` is a Pulumi; the kernel may have given the number to another process."""
    try:
        return (proc / str(pid) / "comm").read_text().strip() == "pulumi"
    except OSError:
        return False


def release_stale_lock(layout: Layout, engine: PulumiRunner, say: Callable[[str], None]) -> None:
    """Remove the lock of a Pulumi that is gone; Busy when one is at work or cannot be judged."""
    notes = sorted(layout.stack_locks.glob("*.json")) if layout.stack_locks.is_dir() else []
    verdict = strongest_lock(
        (path.read_text(errors="replace") for path in notes), socket.gethostname(), is_pulumi
    )
    note = verdict.note
    match verdict.hold:
        case LockStatus.FREE:
            return
        case LockStatus.HELD if note:
            raise StackLocked(
                f"another Pulumi (pid {note.pid}, since {note.since}) is working on this stack: wait for it "
                f"to end, or stop it with `kill -INT {note.pid}`, then run this again"
            )
        case LockStatus.FOREIGN if note:
            raise StackLocked(
                f"the stack is locked by {note.user}@{note.host} (pid {note.pid}, since {note.since}), "
                "a machine whose processes cannot be seen from here. If that Pulumi is gone: "
                f'eval "$(.venv/bin/skyfleet env)"; pulumi cancel --yes {STACK}'
            )
        case _:
            holder = f"pid {note.pid}, since {note.since}" if note else "its note is not whole"
            say(f"an earlier Pulumi was killed ({holder}): removing its lock")
            if note:
                end_session(note.pid)
            engine.capture("cancel", "--yes", "--stack", STACK)
            for path in notes:
                path.unlink(missing_ok=True)  # one that is not whole stays behind after `cancel`


def check_state(layout: Layout) -> None:
    """PulumiFailed, with what to do, when the stack's state is there but damaged."""

    def whole(path: Path) -> bool:
        return bool(json_access.as_object(json_access.parse(path.read_text(errors="replace"))))

    path = layout.checkpoint
    if path.exists() and not whole(path):
        older = path.with_name(f"{path.name}.bak")
        back = ""
        if older.exists() and whole(older):
            back = f"`cp {layout.shown(older)} {layout.shown(path)}` takes the one before it; "
        raise PulumiFailed(
            f"the stack's state {layout.shown(path)} is damaged (not a JSON object): {back}"
            "`make down` and `make up` deploy again"
        )


def pending(layout: Layout) -> list[str]:
    """Operations of the stack without an end."""
    try:
        return pending_operations(layout.checkpoint.read_text(errors="replace"))
    except OSError:
        return []
