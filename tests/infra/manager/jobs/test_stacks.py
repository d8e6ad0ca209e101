"""What a job asks of a stack: the drains at its routers, and Pulumi's lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.manager.jobs.stacks import LocalStack, RealStack, draining_after, stack_of, watching
from infra.operations.paths import Layout
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
