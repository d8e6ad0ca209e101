"""Run the tests that are marked `pure`: one pytest a core, each with its share of the files.

With pytest-xdist each worker would import and collect all files, which takes a third as long as the tests.
Further arguments go to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARK = "pytest.mark.pure"
MOST = 4
# pytest's exit code for a share of which no test was chosen, as by `-k`.
NONE_CHOSEN = 5


def shares(files: Iterable[Path], number: int) -> list[list[str]]:
    """The files in `number` shares; neighbours, which are alike, go to different ones."""
    names = sorted(str(file) for file in files)
    return [share for start in range(number) if (share := names[start::number])]


def verdict(codes: Sequence[int]) -> int:
    """The exit code for all shares: the first that failed, or none chosen in any of them."""
    failed = [code for code in codes if code not in (0, NONE_CHOSEN)]
    return failed[0] if failed else min(codes, default=NONE_CHOSEN)


def main(arguments: list[str]) -> int:
    """Run all shares at once, and print what each said."""
    marked = [file for file in (ROOT / "tests").rglob("test_*.py") if MARK in file.read_text()]
    pytest = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "pure", *arguments]
    running = [
        subprocess.Popen([*pytest, *share], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for share in shares(marked, min(len(os.sched_getaffinity(0)), MOST))
    ]
    codes: list[int] = []
    for process in running:
        said, _ = process.communicate()
        sys.stdout.buffer.write(said)
        sys.stdout.flush()
        codes.append(process.returncode)
    return verdict(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
