"""A stack in a folder, whose deployments take one target at a time, and a kill at any of its steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from infra.manager.desired.stack_file import StackFile
from infra.manager.jobs import words
from infra.manager.jobs.journal import Child, Journal, Request
from infra.manager.jobs.model import Change
from infra.manager.jobs.work import Work
from infra.operations.progress import PlainProgress, Progress

T = TypeVar("T")
NOW = 1_790_000_000.0
TEXT = """# The team's stack.
config:
  skyfleet:clouds:
    aws: {regions: [eu-west-1], weight: 3} # first
    gcp: {regions: [europe-west1], weight: 1}
  skyfleet:router: {clouds: [gcp]}
  skyfleet:agent: functions.agent:agent
  gcp:project: my-project-123
"""
CREATE = Change("create", "aws", "us-east-1", {"weight": 1})
DELETE = Change("delete", "aws", "eu-west-1")
WEIGHT = Change("weight", "aws", "eu-west-1", {"weight": 5})


QUIET = PlainProgress(lambda _: None)


class Killed(BaseException):
    """SIGKILL: nothing of the process runs afterwards."""


@dataclass(slots=True)
class Steps:
    """Counts the steps, and kills at one of them. at: from 1; 0 never."""

    at: int = 0
    count: int = 0

    def step(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise Killed


@dataclass(frozen=True)
class KillableFile(StackFile):
    """The stack's file: a kill comes before or after the rename."""

    steps: Steps = field(default_factory=Steps)

    def write(self, text: str) -> None:
        self.steps.step()
        StackFile.write(self, text)
        self.steps.step()


class KillableJournal(Journal):
    """A journal: a kill comes before or after each write."""

    steps: Steps = Steps()

    def write(self, name: str, text: str) -> None:
        self.steps.step()
        super().write(name, text)
        self.steps.step()

    def say(self, *args: object, **options: object) -> None:
        self.steps.step()
        super().say(*args, **options)  # pyright: ignore[reportArgumentType]


@dataclass
class FakeStack:
    """Deploys what its file says to `deployed.json` beside it.

    fails: what a deployment raises that comes to a target of this key. at_deploy: called at its begin.
    flight: requests in flight, one value for each question.
    """

    folder: Path
    steps: Steps = field(default_factory=Steps)
    fails: dict[str, Exception] = field(default_factory=dict[str, Exception])
    at_deploy: Callable[[], None] = lambda: None
    flight: list[int] = field(default_factory=list[int])
    drain_problems: Sequence[str] = ()
    deployments: int = 0
    name: str = "dev"

    @property
    def file(self) -> StackFile:
        return KillableFile(self.folder / "Pulumi.dev.yaml", self.steps)

    @property
    def desired(self) -> dict[str, float]:
        """The targets of the file with their weights."""
        return dict(words.targets(self.file.text(), "Pulumi.dev.yaml", self.name))

    @property
    def deployed(self) -> dict[str, float]:
        """The targets that run."""
        return self._read("deployed", {})

    @property
    def draining(self) -> list[str]:
        """The targets that drain at the routers."""
        return self._read("draining", [])

    def lock(
        self, waiting: Callable[[], None], pause: Callable[[], None]
    ) -> AbstractContextManager[object, bool | None]:
        return nullcontext()

    def deploy(self, progress: Progress, on_line: Callable[[], None], required: Sequence[str] = ()) -> None:
        self.deployments += 1
        self.steps.step()
        on_line()
        self.at_deploy()
        desired, deployed = self.desired, self.deployed
        for key in [*desired, *(key for key in deployed if key not in desired)]:
            if deployed.get(key) == desired.get(key):
                continue
            if key in self.fails:
                raise self.fails[key]
            if key in desired:
                deployed[key] = desired[key]
            else:
                del deployed[key]
            self._write("deployed", deployed)
            progress.operation("", f"changed {key}")

    def preview(self, config: Path, progress: Progress, on_line: Callable[[], None]) -> list[str]:
        wanted = words.targets(config.read_text(), config.name, self.name)
        return [f"create {key}" for key in wanted if key not in self.deployed]

    def targets(self) -> Sequence[str]:
        return list(self.deployed)

    def resources(self, cloud: str, region: str) -> Sequence[str]:
        return [f"aws:x {cloud}-{region}"] if f"{cloud}/{region}" in self.deployed else []

    def is_draining(self, target: str) -> bool:
        return target in self.draining

    def drain(self, target: str, *, undo: bool) -> Sequence[str]:
        before = self.draining
        kept = [key for key in before if key != target]
        self.steps.step()
        self._write("draining", kept if undo else [*kept, target])
        self.steps.step()
        return self.drain_problems

    def in_flight(self, target: str) -> int:
        return self.flight.pop(0) if self.flight else 0

    def _read(self, name: str, default: T) -> T:
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else default

    def _write(self, name: str, value: object) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps(value))


@dataclass
class Bench:
    """One job on a fake stack. Each `work` is a process of its own."""

    folder: Path
    change: Change
    stack: FakeStack = field(init=False)
    attempts: int = 0
    slept: float = 0.0

    def __post_init__(self) -> None:
        (self.folder / "Pulumi.dev.yaml").write_text(TEXT)
        self.stack = FakeStack(self.folder)
        self.stack.deploy(QUIET, lambda: None)
        self.stack.deployments = 0
        Journal.create(self.folder / "job", Request("job", self.change, "ann", NOW))

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "job")

    @property
    def text(self) -> str:
        """The text of the stack's file."""
        return (self.folder / "Pulumi.dev.yaml").read_text()

    @property
    def said(self) -> list[str]:
        """The events of the job."""
        return [event.text for event in self.journal.events()[0]]

    def work(self, kill_at: int = 0) -> int:
        """Carry the job out, or be killed; the number of steps that were made."""
        steps = Steps(kill_at)
        self.stack.steps = steps
        journal = KillableJournal(self.folder / "job", lambda: NOW, self.sleep)
        journal.steps = steps
        request = journal.request()
        assert request is not None
        self.attempts += 1
        journal.write_child(Child(1, 1, self.attempts, NOW))
        Work(journal, self.stack, request, self.sleep).run()
        self.stack.steps = Steps()
        return steps.count

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
