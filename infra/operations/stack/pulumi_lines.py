"""Parse the output of Pulumi: steps, errors, and the counts at the end.

The rule of this file: pure. Unknown lines are not shown; the log has all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from infra.config.model import PULUMI_PACKAGES
from infra.operations.stack.tracebacks import without_frames

# ` +  aws:iam:Role agent created (0.01s)`; a marker such as `+-` or `++` announces a replacement.
_STEP = re.compile(
    r"^ ?(?P<mark>[-+~<>=|@ ]{1,3}) +(?P<type>\S+:\S+) (?P<name>\S+) (?P<what>[a-z*][^(\[]*?)\s*(?:[(\[].*)?$"
)
_ENDS = re.compile(
    r"^(created|updated|deleted|replaced|read|refreshed|imported|created replacement|deleted original)"
)
_PLANS = re.compile(r"^(create|update|delete|replace|create replacement|delete original|import|read)\b")
_FAILED = re.compile(r"^\*\*(.*failed)\*\*")
_SECTION = re.compile(r"^(Diagnostics|Outputs|Resources|Policies|Duration)\b")
_COUNT = re.compile(r"^\s+([-+~]*)\s*(\d+) (created|updated|deleted|replaced|unchanged|imported|errored)$")
_CLOUDS = {package: cloud for cloud, package in PULUMI_PACKAGES.items()}
# The message of an emulated management API during an outage (emulator/providers/outages.py).
_OUTAGE = re.compile(r"the cloud's management API answered \d+")
_FATAL = re.compile(r"^error: ")

# What the program waits for (infra/rollout.py): when it is logged, and again at the end.
_WAITING = re.compile(r"^ .*\bpulumi:pulumi:Stack \S+ .*?\b(waiting for the .+)$")
_WAITED = re.compile(r"^\s+waiting for the ")

# Enough for a list of config mistakes or the end of a traceback.
SHOWN_LINES = 40
SHOWN_HEAD = 8


@dataclass(frozen=True, slots=True)
class Step:
    """A finished or failed operation on a resource."""

    mark: str
    type: str
    name: str
    what: str
    failed: bool

    def __str__(self) -> str:
        return f"{self.mark or ' ':2} {self.what:9} {self.type} {self.name}"


def step(line: str) -> Step | None:
    """The step that a line reports as ended, None for any other line."""
    found = _STEP.match(line)
    if found is None:
        return None
    failed = _FAILED.match(found["what"])
    if failed is None and not _ENDS.match(found["what"]):
        return None
    what = failed[1] if failed else found["what"].strip()
    return Step(found["mark"].strip(), found["type"], found["name"], what, failed is not None)


def planned(line: str) -> Step | None:
    """The operation that a line of a preview announces, None for any other line."""
    found = _STEP.match(line)
    if found is None or found["type"].startswith("pulumi:") or not _PLANS.match(found["what"]):
        return None
    return Step(found["mark"].strip(), found["type"], found["name"], found["what"].strip(), failed=False)


def waiting(line: str) -> str:
    """What the program waits for; empty for any other line."""
    found = _WAITING.match(line)
    return found[1] if found else ""


def outages(lines: Iterable[str]) -> dict[str, str]:
    """The clouds whose management API failed, with its message; empty when anything else failed too."""
    found: dict[str, str] = {}
    for line in lines:
        if (failed := step(line)) is None or not failed.failed or failed.type == "pulumi:pulumi:Stack":
            continue
        cloud, reason = _CLOUDS.get(failed.type.partition(":")[0]), _OUTAGE.search(line)
        if cloud is None or reason is None:
            return {}
        found[cloud] = reason[0]
    return found


def diagnostics(lines: Iterable[str]) -> list[str]:
    """The errors that Pulumi printed, at most SHOWN_LINES lines; without any, the last lines."""
    stripped = [line.rstrip() for line in lines]
    section: list[str] = []
    inside = False
    for line in stripped:
        if (header := _SECTION.match(line)) is not None:
            inside = header[1] == "Diagnostics"
        elif (inside or _FATAL.match(line)) and not _WAITED.match(line):
            section.append(line)
    chosen = (
        without_frames(line for line in section if line.strip())
        or [line for line in stripped if line.strip()][-15:]
    )
    if len(chosen) <= SHOWN_LINES:
        return chosen
    left_out = len(chosen) - SHOWN_LINES
    tail = SHOWN_LINES - SHOWN_HEAD
    return [*chosen[:SHOWN_HEAD], f"    ... {left_out} lines left out ...", *chosen[-tail:]]


def counts(lines: Iterable[str]) -> str:
    """The Resources section in one line, such as `3 created, 38 unchanged`; empty without one."""
    found: list[str] = []
    inside = False
    for line in lines:
        if (header := _SECTION.match(line)) is not None:
            inside = header[1] == "Resources"
            found = [] if inside else found
        elif inside and (count := _COUNT.match(line)) is not None:
            found.append(f"{count[2]} {count[3]}")
    return ", ".join(found)
