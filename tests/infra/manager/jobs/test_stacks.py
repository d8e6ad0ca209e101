"""What a job asks of a stack: the drains at its routers, and Pulumi's lines."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.manager.jobs.stacks import LocalStack, RealStack, draining_after, stack_of, watching
from infra.operations.errors import PulumiFailed, StackLocked
from infra.operations.paths import Layout
from infra.operations.progress import PlainProgress
from infra.operations.stack import recovery
from infra.operations.stack.runner import PulumiRunner
from tests.infra.cli.fakes import script

KNOWN = ("aws/eu-west-1", "aws/us-east-1", "gcp/europe-west1")


@pytest.mark.parametrize(
    ("before", "undo", "known", "after"),
    [
        ([], False, KNOWN, ("aws/us-east-1",)),
        (["gcp/europe-west1"], False, KNOWN, ("aws/us-east-1", "gcp/europe-west1")),
        (["aws/us-east-1", "gcp/europe-west1"], True, KNOWN, ("gcp/europe-west1",)),
        # It is gone from the stack: a router refuses a list with its key.
        (["aws/us-east-1", "gcp/europe-west1"], True, (KNOWN[0], KNOWN[2]), ("gcp/europe-west1",)),
        (["aws/us-east-1"], True, (KNOWN[0], KNOWN[2]), ()),
        ([], True, KNOWN, ()),
    ],
)
def test_a_job_drains_its_target_and_leaves_other_drains(
    before: Sequence[str], undo: bool, known: Sequence[str], after: tuple[str, ...]
) -> None:
    """What an operator drained stays drained."""
    assert draining_after(before, "aws/us-east-1", known, undo=undo) == after


def test_a_stack_is_the_emulators_or_a_real_one(tmp_path: Path) -> None:
    """By its name; the file has no owner in its name."""
    assert isinstance(stack_of(Layout(tmp_path), "local", {}), LocalStack)
    real = stack_of(Layout(tmp_path), "acme/prod", {})
    assert isinstance(real, RealStack)
    assert real.file.path == tmp_path / "Pulumi.prod.yaml"
    assert real.name == "prod"


def test_a_stack_that_is_not_deployed_has_no_targets(tmp_path: Path) -> None:
    """And no resources in its state."""
    stack = LocalStack(Layout(tmp_path), "local", {})
    assert stack.targets() == []
    assert stack.resources("aws", "eu-west-1") == []


def test_each_line_of_pulumi_is_noticed(tmp_path: Path) -> None:
    """That is when an interrupt reaches it."""
    program = script(tmp_path / "pulumi", "echo Updating; echo done")
    noticed: list[int] = []
    lines: list[str] = []
    runner = watching(lambda: noticed.append(len(lines)))(PulumiRunner(program, tmp_path, dict(os.environ)))
    code = runner.stream("up", log=tmp_path / "log", on_line=lines.append, on_stop=lambda: None)
    assert (code, lines, noticed) == (0, ["Updating", "done"], [0, 1])


# Refuses while the file `locked` is there; `cancel` removes it.
PULUMI = """
echo "$1" >> calls
[ "$1" = cancel ] && { rm -f locked; exit 0; }
[ -f locked ] || { echo Updating; exit 0; }
cat locked
exit 255
"""


def locked(folder: Path, host: str, pid: int) -> None:
    """Have Pulumi find a lock of this process."""
    (folder / "locked").write_text(
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or "
        f"delete the lock file with `pulumi cancel`.\n  s3://b/l.json: created by me@{host} (pid {pid}) at "
        "2026-11-22T10:00:00Z\n"
    )


def deploy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """Deploy a real stack; the calls of Pulumi and what was said."""
    runner = PulumiRunner(script(folder / "pulumi", PULUMI), folder, dict(os.environ))

    def chosen(*_: object) -> PulumiRunner:
        return runner

    monkeypatch.setattr(RealStack, "_runner", chosen)
    said: list[str] = []
    RealStack(Layout(folder), "acme/prod", {}).deploy(PlainProgress(said.append), lambda: None)
    return (folder / "calls").read_text().split(), said


def test_the_lock_of_a_process_that_has_ended_is_lifted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On any backend, if it was of this machine; then the stack is deployed."""
    locked(tmp_path, socket.gethostname(), 999_999_999)
    calls, said = deploy(tmp_path, monkeypatch)
    assert calls == ["up", "cancel", "up"]
    assert any("was killed: removing its lock" in line for line in said)


@pytest.mark.parametrize("host", ["elsewhere", socket.gethostname()])
def test_the_lock_of_a_process_that_may_run_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """It is of another machine, or it runs here; the error has its pid and since when."""

    def is_pulumi(_pid: int) -> bool:
        return True

    monkeypatch.setattr(recovery, "is_pulumi", is_pulumi)
    locked(tmp_path, host, 7)
    with pytest.raises(StackLocked, match="pid 7, since 2026-11-22T10:00:00Z") as refused:
        deploy(tmp_path, monkeypatch)
    assert refused.value.pid == 7
    assert (tmp_path / "calls").read_text().split() == ["up"]


def test_a_deployment_that_fails_for_another_reason_lifts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error is Pulumi's."""
    (tmp_path / "locked").write_text("error: no credentials\n")
    with pytest.raises(PulumiFailed):
        deploy(tmp_path, monkeypatch)
    assert (tmp_path / "calls").read_text().split() == ["up"]
