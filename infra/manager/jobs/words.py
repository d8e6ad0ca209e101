"""The sentences of a job. Pure, except for what a stack tells of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from infra.config.parse import parse_settings
from infra.errors import InfraError
from infra.manager.desired.stack_file import config_of
from infra.manager.errors import ManagerError, Unavailable
from infra.manager.jobs.model import Change
from infra.manager.jobs.stack import Stack
from infra.operations.errors import CommandFailed

LONGEST: Final = 500
LISTED: Final = 5
# `  aws:lambda:Function (aws-us-east-1-agent):` and `    error: ...` of Pulumi's diagnostics.
_RESOURCE = re.compile(r"^\s+(\S+:\S+) \((\S+)\):$")
_ERROR = re.compile(r"^\s*error: (.*)$")
# The end of a Python traceback, which Pulumi prints before an error that says nothing.
_RAISED = re.compile(r"^\s+(\w*(?:Error|Exception): .*)$")


def short(failure: Exception) -> str:
    """An error in one line: what failed, at which resource, and the first reason."""
    if isinstance(failure, ManagerError):
        return failure.detail
    message = failure.message if isinstance(failure, CommandFailed) else str(failure)
    lines = message.splitlines() or [type(failure).__name__]
    resource, parts = "", [lines[0]]
    for number, line in enumerate(lines[1:], 1):
        if found := _RESOURCE.match(line):
            resource = "" if found[1].startswith("pulumi:") else f"{found[1]} {found[2]}: "
        elif raised := _RAISED.match(line):
            parts.append(raised[1])
            break
        elif (error := _ERROR.match(line)) and (resource or "update failed" not in error[1]):
            parts.append(resource + error[1])
            parts += _first_item(lines[number + 1 :]) if error[1].endswith(":") else []
            break
    text = " ".join(parts).rstrip(". ")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def unchanged(failure: Exception) -> str:
    """Why a job failed before it changed anything."""
    text = short(failure)
    return text if "nothing was changed" in text else f"{text.rstrip('.')}. Nothing was changed"


def _first_item(lines: Sequence[str]) -> list[str]:
    """The first item of a list after an error that announces one, such as the preflight's."""
    items = (line.strip().removeprefix("- ") for line in lines if line.strip().startswith("- "))
    return [item for item in items if item][:1]


def done(change: Change, before: str, stack: Stack) -> str:
    """What a job has done."""
    if change.action == "delete":
        return f"{change.target} is removed"
    return f"{change.target} is {'changed' if had(change, before, stack) else 'added and serves'}"


def had(change: Change, before: str, stack: Stack) -> bool:
    """Whether the target was there before. before: the text of the stack's file."""
    return change.target in targets(before, stack.file.path.name, stack.name)


def still_draining(target: str, problems: Sequence[str]) -> str:
    """What is left of a drain that could not be ended everywhere; empty without problems."""
    if not problems:
        return ""
    return (
        f"; {target} still drains at some routers ({problems[0]}): `skyfleet drain {target} --undo` ends that"
    )


def not_rolled_back(change: Change, reason: str, left: Sequence[str]) -> str:
    """The former config is back and could not be deployed. left: resources of a target that was added."""
    text = f"but it could not be deployed ({reason})."
    if left:
        more = f" and {len(left) - LISTED} more" if len(left) > LISTED else ""
        text += f" {len(left)} resources of {change.target} are left: {', '.join(left[:LISTED])}{more}."
    return f"{text} The next deployment (`make up`, or a job) puts that right once the cause is mended"


def targets(text: str, name: str, stack: str) -> Mapping[str, float]:
    """The weight of each target in the text of a stack's file; empty where that is not valid."""
    try:
        settings = parse_settings(config_of(text, name), stack)
    except (InfraError, Unavailable):
        return {}
    return {str(target.place): target.weight for target in settings.targets}


def plan(before: str, after: str, stack: Stack) -> list[str]:
    """What changes in the config, as the first lines of a plan."""
    old, new = (targets(text, stack.file.path.name, stack.name) for text in (before, after))
    lines = [f"add {key} with weight {weight:g}" for key, weight in new.items() if key not in old]
    lines += [f"remove {key}" for key in old if key not in new]
    return lines + [
        f"change the weight of {key} from {old[key]:g} to {weight:g}"
        for key, weight in new.items()
        if old.get(key, weight) != weight
    ]


def counted(lines: Sequence[str]) -> str:
    """How many operations a plan has."""
    return f"{len(lines)} operations are planned; nothing was changed" if lines else "nothing would change"


def expected(stack: Stack, change: Change) -> int:
    """About how many resources a deployment touches: as many as another target has."""
    known = stack.targets()
    if change.action == "weight" or not known:
        return 0 if not known else 3 * len(known)
    like = next((key for key in known if key.startswith(f"{change.cloud}/")), known[0])
    cloud, _, region = like.partition("/")
    return len(stack.resources(cloud, region)) // 2
