"""A job: one change of the fleet, from its request to its result.

Pure: frozen values and their JSON form, which the journal, the API and the page share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Action = Literal["create", "delete", "weight"]


class State(StrEnum):
    """Where a job is. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator asks for.

    action: "create" adds a target or changes one, "delete" drains and removes one, "weight" changes a weight.
    options: numbers of the target by their names in the config (`weight`, `minInstances`, `maxInstances`,
    `memoryMb`, `concurrency`); a name that is absent stays as it is. force: remove also a target whose cloud
    has a router, and do not wait for a router that cannot be reached. version: of the desired state that the
    operator saw; empty: any. preview: plan only.
    """

    action: Action
    cloud: str
    region: str
    options: Mapping[str, float] = field(default_factory=dict[str, float])
    force: bool = False
    version: str = ""
    preview: bool = False

    @property
    def target(self) -> str:
        """`cloud/region`."""
        return f"{self.cloud}/{self.region}"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a job's progress.

    number: from 1, in order; the id of the server-sent event. at: Unix seconds. kind: "step" for a part
    of the job, "resource" for an operation on a resource, "message" for anything else. text: a sentence or a
    line for people. percent: of the whole job, if it is known.
    """

    number: int
    at: float
    kind: Literal["step", "resource", "message"]
    text: str
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A change with its progress.

    by: the name of the operator's token, or "local". created, started, ended: Unix seconds; None before.
    result: one sentence; empty before the end. plan: lines of the preview.
    """

    id: str
    change: Change
    by: str
    created: float
    state: State = State.QUEUED
    started: float | None = None
    ended: float | None = None
    result: str = ""
    plan: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()

    @property
    def is_final(self) -> bool:
        return self.state in FINAL
