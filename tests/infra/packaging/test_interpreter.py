"""Tests of the search for the clouds' Python on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from infra.packaging import interpreter

pytestmark = pytest.mark.pure


def test_an_interpreter_is_accepted_only_if_it_runs(tmp_path: Path) -> None:
    """A shim without a version is skipped; without a Python 3.13 the project's interpreter is used."""
    shim, good, own = tmp_path / "shim", tmp_path / "good", tmp_path / "own"
    for path in (shim, good, own):
        path.touch()
    versions = {good: (3, 13, 1), own: (3, 11, 7)}
    found = interpreter.find(own, iter([tmp_path / "absent", shim, good]), versions.get)
    assert (found.path, found.is_target, found.minor) == (good, True, "3.13")
    assert str(interpreter.find(own, iter([shim]), versions.get)) == f"3.11.7 ({own})"


def test_a_broken_candidate_is_executed_and_skipped(tmp_path: Path) -> None:
    """The search runs each candidate and reads its output."""
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert interpreter.probe(shim) is None
    assert interpreter.probe(Path(sys.executable)) == sys.version_info[:3]


def test_the_configured_interpreter_comes_first(tmp_path: Path) -> None:
    """The order is SKYFLEET_PYTHON313, PATH, pyenv's folder."""
    pyenv = tmp_path / ".pyenv" / "versions" / "3.13.2" / "bin"
    pyenv.mkdir(parents=True)
    (pyenv / "python").touch()
    environ = {"SKYFLEET_PYTHON313": "/told", "PATH": "/one:/two"}
    found = [str(path) for path in interpreter.candidates(environ, tmp_path, None)]
    assert found == ["/told", "/one/python3.13", "/two/python3.13", str(pyenv / "python")]
