"""Read what a killed Pulumi leaves in the file backend: lock notes and operations without an end.

The rule of this file: pure. Whether a process lives is asked through an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from infra.cli import json_access


@dataclass(frozen=True, slots=True)
class Lock:
    """Pulumi's note of the process that holds a stack."""

    pid: int
    user: str
    host: str
    since: str


class LockStatus(Enum):
    """Whether a deployment may take the stack."""

    FREE = "no process holds the stack"
    STALE = "its holder is gone: the lock may be removed"
    HELD = "a Pulumi on this machine is working on it"
    FOREIGN = "a Pulumi on another machine holds it; we cannot see whether it lives"


@dataclass(frozen=True, slots=True)
class LockVerdict:
    """`note`: the lock that decides, None when there is none."""

    hold: LockStatus
    note: Lock | None = None


def parse_lock(text: str) -> Lock | None:
    """A lock note; None when it is not one (a note half written by a killed process is worth nothing)."""
    told = json_access.as_object(json_access.parse(text))
    pid, host = told.get("pid"), told.get("hostname")
    if not isinstance(pid, int) or not isinstance(host, str):
        return None
    return Lock(
        pid, json_access.string(told.get("username")), host, json_access.string(told.get("timestamp"))
    )


def strongest_lock(texts: Iterable[str], host: str, alive: Callable[[int], bool]) -> LockVerdict:
    """The strongest of all locks: a living one beats a foreign one beats a stale one."""
    verdicts = [LockVerdict(LockStatus.FREE)]
    for text in texts:
        note = parse_lock(text)
        if note is None:
            verdicts.append(LockVerdict(LockStatus.STALE))
        elif note.host != host:
            verdicts.append(LockVerdict(LockStatus.FOREIGN, note))
        else:
            verdicts.append(LockVerdict(LockStatus.HELD if alive(note.pid) else LockStatus.STALE, note))
    order = (LockStatus.HELD, LockStatus.FOREIGN, LockStatus.STALE, LockStatus.FREE)
    return min(verdicts, key=lambda verdict: order.index(verdict.hold))


def pending_operations(checkpoint: str) -> list[str]:
    """`creating <name>` for each operation that was begun and has no end."""
    return [
        f"{json_access.string(operation.get('type'), 'changing')} {_name(operation)}"
        for operation in json_access.objects(_latest(checkpoint).get("pending_operations"))
    ]


def has_resources(checkpoint: str) -> bool:
    """Whether a checkpoint holds any resource."""
    return bool(json_access.objects(_latest(checkpoint).get("resources")))


def _name(operation: json_access.JsonObject) -> str:
    urn = json_access.string(
        json_access.as_object(operation.get("resource")).get("urn"), "an unknown resource"
    )
    return urn.rpartition("::")[2]


def _latest(checkpoint: str) -> json_access.JsonObject:
    whole = json_access.as_object(json_access.parse(checkpoint))
    return json_access.as_object(json_access.as_object(whole.get("checkpoint")).get("latest"))
