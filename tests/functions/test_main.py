"""Tests of `python -m functions`, the check of the agent before a deploy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("async def agent(request:\n", "agent_file.py:1: SyntaxError"),
        ("import json\nimport nosuchmodule\n", "agent_file.py:2: ModuleNotFoundError.*nosuchmodule"),
        ("x = 1\ny = x / 0\n", "agent_file.py:2: ZeroDivisionError"),
        ("raise SystemExit(3)\n", "agent_file.py:1: SystemExit"),
    ],
)
def test_a_broken_module_is_named_with_file_and_line(tmp_path: Path, source: str, words: str) -> None:
    """The check before a deploy prints a JSON object and exits with 1."""
    (tmp_path / "agent_file.py").write_text(source)
    checkout = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "functions", "agent_file:agent"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{checkout}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    message = json.loads(done.stdout)["error"]["message"]
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(message)


def test_the_check_before_a_deploy_prints_the_facts_of_the_agent() -> None:
    """It exits with 0, and build.json contains the printed facts."""
    command = [sys.executable, "-m", "functions", "functions.agent:agent"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {
        "agent": "functions.agent:agent",
        "kind": "generator",
        "repeatable": True,
    }
