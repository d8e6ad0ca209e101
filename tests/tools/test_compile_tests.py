"""Tests of the compilation of tests before their run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools.compile_tests import outdated


def test_what_pytest_has_compiled_is_up_to_date_until_it_changes(tmp_path: Path) -> None:
    """With the pinned pytest, which names its files by its version."""
    files = [tmp_path / f"test_{name}.py" for name in ("one", "two")]
    for file in files:
        file.write_text("def test_it():\n    assert 1\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    assert outdated(files) == files
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON"))}
    subprocess.run([*command, str(tmp_path)], cwd=tmp_path, env=kept, check=True, capture_output=True)
    assert outdated(files) == []
    later = files[1].stat().st_mtime + 60
    os.utime(files[1], (later, later))
    assert outdated(files) == files[1:]
