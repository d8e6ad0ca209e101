"""Compile the tests and what they import: one pytest a core collects its share of the files.

Workers of pytest-xdist collect all files at the same time. On a fresh machine each of them would compile the
same modules and rewrite the same assertions, in 10 s of CPU. When all are compiled, nothing is done.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

import pytest

from tools.pure_tests import MOST, ROOT, shares

# As pytest names what it has rewritten (_pytest/assertion/rewrite.py, PYC_TAIL).
TAIL: Final = f"-pytest-{pytest.__version__}.pyc"


def outdated(files: Iterable[Path]) -> list[Path]:
    """The files without a compiled form, or with one that is older."""
    return [file for file in files if _changed_at(_compiled(file)) < _changed_at(file)]


def _compiled(file: Path) -> Path:
    return Path(cache_from_source(str(file)).removesuffix(".pyc") + TAIL)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def main() -> int:
    """Collect the tests of all outdated files. What does not compile is told by the tests' own run."""
    found = outdated((ROOT / "tests").rglob("test_*.py"))
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-n", "0", "-p", "no:cacheprovider"]
    running = [
        subprocess.Popen([*command, *share], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for share in shares(found, min(len(os.sched_getaffinity(0)), MOST))
    ]
    for process in running:
        process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
