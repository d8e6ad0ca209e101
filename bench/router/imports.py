"""Measure the import of the router, in CPU milliseconds of interpreters that do nothing else.

CPU time leaves out other processes on the same core. Runs are interleaved in random order; compiled files
exist, as in a package.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from typing import Final

PARTS: Final = {"bare": "pass", "asyncio": "import asyncio", "router": "import router.app"}


def measure(python: Path, root: Path, cache: Path, runs: int) -> dict[str, list[float]]:
    """CPU milliseconds by part, one for each run."""
    environ = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(root), "PYTHONPYCACHEPREFIX": str(cache)}
    found: dict[str, list[float]] = {name: [] for name in PARTS}
    for number in range(runs + 1):
        for name in random.sample(sorted(PARTS), len(PARTS)):
            child = subprocess.Popen([python, "-P", "-c", PARTS[name]], env=environ)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise SystemExit(f"{python} cannot run {PARTS[name]!r}")
            if number:  # the first one compiles
                found[name].append(1000 * (usage.ru_utime + usage.ru_stime))
    return found


def calls(python: Path, root: Path, port: int) -> str:
    """What bench.router.calls prints: JSON."""
    environ = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(root)}
    argv = [python, "-P", "-m", "bench.router.calls", str(port)]
    said = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True, timeout=120)
    return said.stdout.strip().splitlines()[-1]
