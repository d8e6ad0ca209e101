"""Read what a killed Pulumi leaves in the file backend: lock notes and operations without an end.

The rule of this file: pure. Whether a process lives is asked through an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from infra.cli import json_access


@dataclass(frozen=True, slots=True)
class LockNote:
    """Pulumi's note of the process that holds a stack."""

    pid: int
    user: str
    host: str
    since: str


class Hold(Enum):
    """Whether a deployment may take the stack."""

    FREE = "no process holds the stack"
    STALE = "its holder is gone: the lock may be removed"
    HELD = "a Pulumi on this machine is working on it"
    FOREIGN = "a Pulumi on another machine holds it; we cannot see whether it lives"


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """`note`: the lock that decides, None when there is none."""

    hold: Hold
    note: LockNote | None = None


def parse_lock(text: str) -> LockNote | None:
    """A lock note; None when it is not one (a note half written by a killed process is worth nothing)."""
    told = json_access.facts(json_access.parse(text))
    pid, host = told.get("pid"), told.get("hostname")
    if not isinstance(pid, int) or not isinstance(host, str):
        return None
    return LockNote(
        pid, json_access.text(told.get("username")), host, json_access.text(told.get("timestamp"))
    )


def judge(texts: Iterable[str], host: str, alive: Callable[[int], bool]) -> AgentInfo:
    """The strongest of all locks: a living one beats a foreign one beats a stale one."""
    verdicts = [AgentInfo(Hold.FREE)]
    for text in texts:
        note = parse_lock(text)
        if note is None:
            verdicts.append(AgentInfo(Hold.STALE))
        elif note.host != host:
            verdicts.append(AgentInfo(Hold.FOREIGN, note))
        else:
            verdicts.append(AgentInfo(Hold.HELD if alive(note.pid) else Hold.STALE, note))
    order = (Hold.HELD, Hold.FOREIGN, Hold.STALE, Hold.FREE)
    return min(verdicts, key=lambda verdict: order.index(verdict.hold))


def pending_operations(checkpoint: str) -> list[str]:
    """`creating <name>` for each operation that was begun and has no end."""
    return [
        f"{json_access.text(operation.get('type'), 'changing')} {_name(operation)}"
        for operation in json_access.many(_latest(checkpoint).get("pending_operations"))
    ]


def has_resources(checkpoint: str) -> bool:
    """Whether a checkpoint holds any resource."""
    return bool(json_access.many(_latest(checkpoint).get("resources")))


def _name(operation: json_access.Facts) -> str:
    urn = json_access.text(json_access.facts(operation.get("resource")).get("urn"), "an unknown resource")
    return urn.rpartition("::")[2]


def _latest(checkpoint: str) -> json_access.Facts:
    whole = json_access.facts(json_access.parse(checkpoint))
    return json_access.facts(json_access.facts(whole.get("checkpoint")).get("latest"))
