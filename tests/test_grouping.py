"""Tests of the distribution of tests to workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.grouping import MARK

TESTS = Path(__file__).resolve().parent
FILE = """
import os, pathlib, pytest
pytestmark = [pytest.mark.xdist_group("together")]

@pytest.mark.parametrize("number", range(12))
def test_a(number):
    with open("workers", "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


def test_the_tests_of_a_group_and_of_a_file_run_in_one_worker(tmp_path: Path) -> None:
    """With the pinned pytest and pytest-xdist, whatever these agree on."""
    for number in range(3):
        (tmp_path / f"test_{number}.py").write_text(FILE)
    alone = FILE.replace("pytestmark", "other").replace('"workers"', '"of-a-file"')
    (tmp_path / "test_alone.py").write_text(alone)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "tests.grouping"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=kept | {"PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    workers = (tmp_path / "workers").read_text().split()
    assert len(workers) == 36
    assert len(set(workers)) == 1
    workers = (tmp_path / "of-a-file").read_text().split()
    assert len(workers) == 12
    assert len(set(workers)) == 1


def test_each_group_is_a_mark_of_its_module() -> None:
    """The scheduler reads it from the file, for its process collects no test."""
    marked = re.compile(r"^[^#\n\"']*xdist_group\(\"", re.MULTILINE)
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text()
        assert len(marked.findall(text)) == len(MARK.findall(text)) or path == Path(__file__), path
