"""The stacks that jobs deploy: the emulator's, with the code of `skyfleet up`, and those on real accounts.

Pulumi runs as the CLI, not by its Automation API: see infra/operations/stack/runner.py. The Automation API
starts the same CLI, and would not let a job interrupt it once, show its log, or find its lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from infra.manager.desired.stack_file import StackFile
from infra.operations import json_access
from infra.operations.context import pulumi_cli, require_outputs
from infra.operations.deployment import PulumiOutput, bring_up, prepare_stack, ready
from infra.operations.errors import CommandFailed, NotDeployed, PulumiFailed
from infra.operations.paths import STACK, Layout
from infra.operations.progress import Progress
from infra.operations.routers import control
from infra.operations.routers.client import get_statuses
from infra.operations.routers.draining import desired
from infra.operations.stack.option import is_real
from infra.operations.stack.outputs import Outputs
from infra.operations.stack.pulumi_lines import planned
from infra.operations.stack.real import environment
from infra.operations.stack.recovery import named_lock
from infra.operations.stack.runner import PulumiRunner
from infra.operations.stack.state import LockStatus, LockVerdict, resources_of
from infra.setup.file_lock import exclusive

# Enough for a refusal with its locks.
_LAST_LINES = 50


def stack_of(layout: Layout, stack: str, environ: Mapping[str, str]) -> LocalStack | RealStack:
    """The stack of a manager. stack: its name, with or without owner."""
    return RealStack(layout, stack, environ) if is_real(stack) else LocalStack(layout, stack, environ)


@dataclass(frozen=True, slots=True)
class WatchedRunner(PulumiRunner):
    """A runner that tells of each line. on_line: called before the line is handled."""

    on_each: Callable[[], None] = lambda: None

    def stream(
        self, *arguments: str, log: Path, on_line: Callable[[str], None], on_stop: Callable[[], None]
    ) -> int:
        def watched(line: str) -> None:
            self.on_each()
            on_line(line)

        return PulumiRunner.stream(self, *arguments, log=log, on_line=watched, on_stop=on_stop)


def watching(on_each: Callable[[], None]) -> Callable[[PulumiRunner], PulumiRunner]:
    """Makes a runner tell of each line."""
    return lambda pulumi: WatchedRunner(pulumi.program, pulumi.root, pulumi.environ, on_each)


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """What stacks of both kinds have: a file, and routers that answer."""

    layout: Layout
    stack: str
    environ: Mapping[str, str] = field(repr=False)

    @property
    def name(self) -> str:
        return self.stack.rpartition("/")[2]

    @property
    def file(self) -> StackFile:
        return StackFile(self.layout.root / f"Pulumi.{self.name}.yaml")

    def lock(
        self, waiting: Callable[[], None], pause: Callable[[], None]
    ) -> AbstractContextManager[object, bool | None]:
        return exclusive(self.layout.root / "infra", waiting, pause)

    def outputs(self) -> Outputs:
        """The outputs of the last deployment. Raises CommandFailed."""
        return require_outputs(self.layout, self.stack)

    def targets(self) -> Sequence[str]:
        try:
            return self.outputs().target_keys
        except NotDeployed:
            return []

    def is_draining(self, target: str) -> bool:
        return any(target in answer.draining for answer in control.read_all(self.outputs()))

    def drain(self, target: str, *, undo: bool) -> Sequence[str]:
        outputs = self.outputs()

        def wanted(answer: control.ControlAnswer) -> tuple[str, ...] | None:
            keys = draining_after(answer.draining, target, outputs.target_keys, undo=undo)
            return None if keys == answer.draining else keys

        after = control.set_draining(outputs, control.read_all(outputs), wanted)
        return [f"{answer.name}: {answer.problem}" for answer in after if answer.problem]

    def in_flight(self, target: str) -> int:
        outputs = self.outputs()
        answers = get_statuses(outputs.router_urls, outputs.api_key)
        return sum(
            int(json_access.number(entry.get("inflight")) or 0)
            for answer in answers
            for entry in json_access.objects(answer.status.get("targets"))
            if json_access.place(entry) == target
        )


@dataclass(frozen=True, slots=True)
class LocalStack(DeployedStack):
    """The stack of the emulated clouds."""

    def deploy(self, progress: Progress, on_line: Callable[[], None], required: Sequence[str] = ()) -> None:
        try:
            bring_up(self.layout, progress, self.environ, watching(on_line), required)
        except OSError as error:
            where = error.filename or "the disk"
            raise CommandFailed(f"{where}: {error.strerror}. Free the disk or make it writable") from None

    def preview(self, config: Path, progress: Progress, on_line: Callable[[], None]) -> list[str]:
        pulumi, _, _ = ready(self.layout, progress, self.environ, watching(on_line))
        prepare_stack(self.layout, pulumi, progress)
        return _preview(pulumi, STACK, config, self.layout, self.layout.up_log, progress)

    def resources(self, cloud: str, region: str) -> Sequence[str]:
        try:
            return resources_of(self.layout.checkpoint.read_text(errors="replace"), cloud, region)
        except OSError:
            return []


@dataclass(frozen=True, slots=True)
class RealStack(DeployedStack):
    """A stack on real accounts, deployed with the backend and the credentials of the manager's shell.

    The backend is not this machine's alone. So a lock is lifted only if Pulumi names a process of this
    machine that has ended, or is no Pulumi any more.
    """

    @property
    def log(self) -> Path:
        """What Pulumi printed."""
        return self.layout.manager(self.stack) / "pulumi.log"

    def deploy(self, progress: Progress, on_line: Callable[[], None], required: Sequence[str] = ()) -> None:
        pulumi = self._runner(on_line)
        up = ("up", "--yes", "--skip-preview", "--stack", self.stack)
        progress.message(f"deploying {self.stack}")
        for last in (False, True):
            output, said = PulumiOutput(progress, before=True), deque[str](maxlen=_LAST_LINES)

            def line(text: str, output: PulumiOutput = output, said: deque[str] = said) -> None:
                said.append(text)
                output.line(text)

            code = pulumi.stream(*up, log=self.log, on_line=line, on_stop=output.stop)
            named = named_lock("\n".join(said), self.stack) if code else LockVerdict(LockStatus.FREE)
            if last or named.status is LockStatus.FREE:
                output.conclude(code, self.layout, "the deployment failed")
                return
            progress.message("an earlier Pulumi of this machine was killed: removing its lock")
            pulumi.capture("cancel", "--yes", "--stack", self.stack)

    def preview(self, config: Path, progress: Progress, on_line: Callable[[], None]) -> list[str]:
        return _preview(self._runner(on_line), self.stack, config, self.layout, self.log, progress)

    def resources(self, cloud: str, region: str) -> Sequence[str]:
        try:
            exported = self._runner(lambda: None).capture("stack", "export", "--stack", self.stack)
        except PulumiFailed:
            return []
        return resources_of(exported, cloud, region)

    def _runner(self, on_each: Callable[[], None]) -> PulumiRunner:
        cli = pulumi_cli(self.layout)
        return WatchedRunner(cli.program, self.layout.root, environment(cli, self.environ), on_each)


def draining_after(
    before: Sequence[str], target: str, known: Sequence[str], *, undo: bool
) -> tuple[str, ...]:
    """The keys that drain at a router after a job has drained a target, or ended that. known: all keys."""
    kept = [key for key in before if key != target] if undo else before
    return desired(kept, [target] if target in known else [], known, undo=undo)


def _preview(
    pulumi: PulumiRunner, stack: str, config: Path, layout: Layout, log: Path, progress: Progress
) -> list[str]:
    output = PulumiOutput(progress, before=True)
    arguments = ("preview", "--config-file", str(config), "--stack", stack)
    code = pulumi.stream(*arguments, log=log, on_line=output.line, on_stop=output.stop)
    output.conclude(code, layout, "the preview failed")
    return [f"{one.what} {one.type} {one.name}" for line in output.lines if (one := planned(line))]
