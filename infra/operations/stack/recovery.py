"""Recover a stack after a killed Pulumi, so that `up` works.

A killed Pulumi leaves a lock and pending operations. The lock is removed only when it is certain that no
process works on the stack.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from infra.operations import json_access
from infra.operations.errors import PulumiFailed, StackLocked
from infra.operations.paths import PROJECT, STACK, Layout
from infra.operations.stack.process_cleanup import end_session
from infra.operations.stack.runner import PulumiRunner
from infra.operations.stack.state import (
    NEWEST_STATE,
    LockStatus,
    LockVerdict,
    locks_named,
    parse_lock,
    pending_operations,
    strongest_lock,
    version,
)

PROC = Path("/proc")


def is_pulumi(pid: int, proc: Path = PROC) -> bool:
    """Whether the process `pid` is Pulumi; the kernel may have given the number to another process."""
    try:
        return (proc / str(pid) / "comm").read_text().strip() == "pulumi"
    except OSError:
        return False


def check_lock(layout: Layout) -> LockVerdict:
    """The status of the stack's lock. Raises StackLocked when Pulumi runs or cannot be seen."""
    texts = [text for path in _locks(layout) if (text := _lock_text(path, layout)) is not None]
    verdict = strongest_lock(map(parse_lock, texts), socket.gethostname(), is_pulumi)
    cancel = f'eval "$(.venv/bin/skyfleet env)"; pulumi cancel --yes {STACK}'
    if refusal := refused(verdict, cancel):
        raise refusal
    return verdict


def named_lock(output: str, stack: str) -> LockVerdict:
    """The status of a stack by what Pulumi said of its lock, whatever the backend. Raises StackLocked when
    its Pulumi runs or cannot be seen."""
    verdict = strongest_lock(locks_named(output), socket.gethostname(), is_pulumi)
    if refusal := refused(verdict, f"pulumi cancel --yes --stack {stack}"):
        raise refusal
    return verdict


def refused(verdict: LockVerdict, cancel: str) -> StackLocked | None:
    """Why no deployment may start; None if one may. cancel: the command that lifts a lock by hand."""
    lock = verdict.lock
    match verdict.status:
        case LockStatus.HELD if lock:
            return StackLocked(
                f"another Pulumi (pid {lock.pid}, since {lock.since}) is working on this stack: wait for it "
                f"to end, or stop it with `kill -INT {lock.pid}`, then run this again",
                lock.pid,
                lock.since,
            )
        case LockStatus.FOREIGN if lock:
            return StackLocked(
                f"the stack is locked by {lock.user}@{lock.host} (pid {lock.pid}, since {lock.since}), "
                f"a machine whose processes cannot be seen from here. If that Pulumi is gone: {cancel}",
                lock.pid,
                lock.since,
            )
        case _:
            return None


def release_stale_lock(layout: Layout, pulumi: PulumiRunner, message: Callable[[str], None]) -> None:
    """Remove the lock of a Pulumi that no longer runs. Raises StackLocked when it runs or cannot be seen."""
    seen = _locks(layout)  # a lock that comes later is that of another Pulumi
    verdict = check_lock(layout)
    if verdict.status is LockStatus.FREE:
        return
    lock = verdict.lock
    holder = f"pid {lock.pid}, since {lock.since}" if lock else "its lock file is incomplete"
    message(f"an earlier Pulumi was killed ({holder}): removing its lock")
    # A process with its pid is another program's, which has a session of its own.
    if lock and not (PROC / str(lock.pid)).exists():
        end_session(lock.pid)
    pulumi.capture("cancel", "--yes", "--stack", STACK)
    for path in seen:
        path.unlink(missing_ok=True)  # `cancel` leaves incomplete lock files


def _locks(layout: Layout) -> list[Path]:
    return sorted(layout.stack_locks.glob("*.json")) if layout.stack_locks.is_dir() else []


def _lock_text(path: Path, layout: Layout) -> str | None:
    """The content of a lock file; None if its Pulumi has removed it meanwhile. Raises StackLocked when it
    cannot be read: its process is not known then."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StackLocked(
            f"the stack's lock {layout.shown(path)} cannot be read ({error.strerror}), so its process is not "
            "known. Make it readable, or remove it if no Pulumi works on the stack"
        ) from None


def check_state(layout: Layout) -> None:
    """Raise PulumiFailed, with what to do, when the state of the stack is damaged or of a newer Pulumi."""

    def is_object(path: Path) -> bool:
        return bool(json_access.as_object(json_access.parse(path.read_text(errors="replace"))))

    path = layout.checkpoint
    if path.exists() and not is_object(path):
        restore = ""
        if backup := next(filter(is_object, _backups(layout)), None):
            restore = f"`cp {layout.shown(backup)} {layout.shown(path)}` restores the one before it; "
        raise PulumiFailed(
            f"the stack's state {layout.shown(path)} is damaged (not a JSON object): {restore}"
            "`make down` and `make up` deploy again"
        )
    if path.exists() and (found := version(path.read_text(errors="replace"))) > NEWEST_STATE:
        raise PulumiFailed(
            f"the stack's state {layout.shown(path)} has version {found} and was written by a newer Pulumi; "
            f"this one reads up to {NEWEST_STATE}. Use the checkout and the Pulumi that wrote it"
        )


def _backups(layout: Layout) -> list[Path]:
    """The former states of the stack, newest first: that of the last write, and one for each deployment."""
    last = layout.checkpoint.with_name(f"{layout.checkpoint.name}.bak")
    folder = layout.state / ".pulumi" / "backups" / PROJECT / STACK
    return [*([last] if last.exists() else []), *sorted(folder.glob("*.json"), reverse=True)]


def unfinished_operations(layout: Layout) -> list[str]:
    """The pending operations in the state of the stack."""
    try:
        return pending_operations(layout.checkpoint.read_text(errors="replace"))
    except OSError:
        return []
