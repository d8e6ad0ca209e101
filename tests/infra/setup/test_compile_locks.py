"""Tests of `make lock` where uv fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.setup.compile_locks import write_all
from infra.setup.errors import StepFailed
from infra.setup.progress import Console
from tests.infra.setup.fakes import script


def test_a_requirement_that_cannot_be_resolved_is_to_be_corrected_in_its_file(tmp_path: Path) -> None:
    """uv names it; the network is the second possible cause. The former lock stays."""
    script(tmp_path / ".venv/bin/uv", "echo nopkg was not found in the package registry; exit 1")
    lock = tmp_path / "locks" / "agent-aws.txt"
    lock.parent.mkdir()
    lock.write_text("former==1.0\n")
    with pytest.raises(StepFailed) as raised:
        write_all(tmp_path, {}, Console(None), upgrade=False)
    said = str(raised.value)
    assert "nopkg was not found" in said
    correct = said.index("correct it in functions/requirements.in or functions/runtimes/aws.in")
    assert correct < said.index("Check the network")
    assert [path.name for path in lock.parent.iterdir()] == ["agent-aws.txt"]
    assert lock.read_text() == "former==1.0\n"
