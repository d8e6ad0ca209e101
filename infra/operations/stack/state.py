"""Parse what a killed Pulumi leaves in the file backend: locks and pending operations.

The rule of this file: pure, except for `has_deployed` and `still_running`, which read the file of a state. A
function argument says whether a process runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from infra.operations import json_access

FUNCTION_TYPES = (
    "aws:lambda/function:Function",
    "azure-native:web:WebApp",
    "gcp:cloudfunctionsv2/function:Function",
)

# The mark of a secret in a state file, and its value (Pulumi, sdk/go/common/resource/sig/sig.go).
SIGNATURE_KEY, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"

# DeploymentSchemaVersionLatest (pulumi v3.250.0, sdk/go/common/apitype/core.go).
NEWEST_STATE = 4

_NAMED = re.compile(r"created by ([^@\s]*)@(\S+) \(pid ([0-9]{1,9})\) at (\S+)")


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of a lock file: the process that holds a stack."""

    pid: int
    user: str
    host: str
    since: str


class LockStatus(Enum):
    """Whether a deployment may start."""

    FREE = "no process holds the stack"
    STALE = "its process has ended: the lock may be removed"
    HELD = "a Pulumi on this machine works on it"
    FOREIGN = "a Pulumi on another machine holds it, which may still run"


@dataclass(frozen=True, slots=True)
class LockVerdict:
    """The status of a stack. lock: the lock that decides, if it could be read."""

    status: LockStatus
    lock: Lock | None = None


def parse_lock(text: str) -> Lock | None:
    """The content of a lock file, None when it is incomplete."""
    fields = json_access.as_object(json_access.parse(text))
    pid, host = fields.get("pid"), fields.get("hostname")
    if not isinstance(pid, int) or not isinstance(host, str):
        return None
    return Lock(
        pid, json_access.string(fields.get("username")), host, json_access.string(fields.get("timestamp"))
    )


def locks_named(output: str) -> list[Lock]:
    """The locks that Pulumi names when it refuses to work on a stack (pulumi, pkg/backend/diy/lock.go)."""
    if "is currently locked by" not in output:
        return []
    found = _NAMED.findall(output)
    return [Lock(int(pid), user, host, since) for user, host, pid, since in found]


def strongest_lock(locks: Iterable[Lock | None], host: str, is_running: Callable[[int], bool]) -> LockVerdict:
    """The lock that decides: one of a running process, else of another machine, else a stale one.

    locks: None for one that is incomplete. host: the name of this machine. is_running: whether a pid is a
    running Pulumi.
    """
    verdicts = [LockVerdict(LockStatus.FREE)]
    for lock in locks:
        if lock is None:
            verdicts.append(LockVerdict(LockStatus.STALE))
        elif lock.host != host:
            verdicts.append(LockVerdict(LockStatus.FOREIGN, lock))
        else:
            verdicts.append(LockVerdict(LockStatus.HELD if is_running(lock.pid) else LockStatus.STALE, lock))
    order = (LockStatus.HELD, LockStatus.FOREIGN, LockStatus.STALE, LockStatus.FREE)
    return min(verdicts, key=lambda verdict: order.index(verdict.status))


def version(checkpoint: str) -> int:
    """The version of the format of a state; 0 if it has none."""
    found = json_access.as_object(json_access.parse(checkpoint)).get("version")
    return found if isinstance(found, int) else 0


def resources_of(checkpoint: str, cloud: str, region: str) -> list[str]:
    """`type name` of each resource in a region of a cloud; components of this project are left out."""
    own = f"{cloud}-{region}"
    return [
        f"{kind} {name}"
        for resource in json_access.objects(_latest(checkpoint).get("resources"))
        if (name := _last(json_access.string(resource.get("urn")))) == own or name.startswith(f"{own}-")
        if not (kind := json_access.string(resource.get("type"))).startswith("skyfleet:")
    ]


def pending_operations(checkpoint: str) -> list[str]:
    """`creating <name>` for each pending operation."""
    return [
        f"{json_access.string(operation.get('type'), 'changing')} {_name(operation)}"
        for operation in json_access.objects(_latest(checkpoint).get("pending_operations"))
    ]


def secret_outputs(checkpoint: str) -> frozenset[str] | None:
    """The names of the stack's outputs that are secret; None for a checkpoint without a stack."""
    for resource in json_access.objects(_latest(checkpoint).get("resources")):
        if json_access.string(resource.get("type")) == "pulumi:pulumi:Stack":
            outputs = json_access.as_object(resource.get("outputs"))
            return frozenset(
                name
                for name, value in outputs.items()
                if json_access.as_object(value).get(SIGNATURE_KEY) == SECRET
            )
    return None


def has_resources(checkpoint: str) -> bool:
    """Whether a checkpoint has any resource."""
    return bool(json_access.objects(_latest(checkpoint).get("resources")))


def has_functions(checkpoint: str) -> bool:
    """Whether a checkpoint has a function of any cloud."""
    found = json_access.objects(_latest(checkpoint).get("resources"))
    return any(json_access.string(resource.get("type")) in FUNCTION_TYPES for resource in found)


def still_running(checkpoint: Path) -> str:
    """What runs after a deployment that ended before its first change, in one sentence.

    checkpoint: the file of the stack's state.
    """
    return "What ran before still runs." if has_deployed(checkpoint) else "Nothing ran before."


def has_deployed(checkpoint: Path) -> bool:
    """Whether the state in the file `checkpoint` has a function of any cloud."""
    try:
        return has_functions(checkpoint.read_text(errors="replace"))
    except OSError:
        return False


def _name(operation: json_access.JsonObject) -> str:
    return _last(
        json_access.string(json_access.as_object(operation.get("resource")).get("urn"), "an unknown resource")
    )


def _last(urn: str) -> str:
    """The name in a URN."""
    return urn.rpartition("::")[2]


def _latest(checkpoint: str) -> json_access.JsonObject:
    """The resources of a state file, or of what `pulumi stack export` prints."""
    state = json_access.as_object(json_access.parse(checkpoint))
    stored = json_access.as_object(json_access.as_object(state.get("checkpoint")).get("latest"))
    return stored or json_access.as_object(state.get("deployment"))
