"""`make fuzz`: coverage-guided random bytes against the parsers of requests, bodies and replies (atheris).

    python -m bench.http.fuzz [--seconds 60] [TARGET ...]

Rules
- libFuzzer begins with the corpus of hostile input. What it finds beyond that stays in the user's cache.
- An input that breaks a rule is stored below tests/http/seeds, where each is a test from then on.
- atheris has wheels for Linux on x86-64 only. Elsewhere the tests still vary the same corpus with hypothesis
  (tests/http/test_fuzz.py), which is not guided by coverage.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import environments
from bench.http.fuzz.targets import TARGETS, seeds
from infra.setup.errors import StepFailed
from infra.setup.paths import ROOT, cache_folder
from infra.setup.progress import Console

SEEDS: Final = ROOT / "tests" / "http" / "seeds"
_MOST_BYTES: Final = 2_000


def fuzz(python: Path, name: str, folder: Path, seconds: int) -> int:
    """Fuzz one target; the exit status of libFuzzer."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(name)):
        (folder / f"seed-{number}").write_bytes(data)
    (SEEDS / name).mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-max_len={_MOST_BYTES}", f"-artifact_prefix={SEEDS / name}/"]
    argv = [
        python,
        "-m",
        "bench.http.fuzz.harness",
        name,
        *options,
        "-verbosity=0",
        "-print_final_stats=1",
        folder,
    ]
    return subprocess.run(argv, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Fuzz each target in turn; 1 if one has failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.http.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=60, help="of each target (default 60)")
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)} (default: all)")
    told = parser.parse_args(arguments)
    if unknown := set(told.targets) - set(TARGETS):
        parser.error(f"no target is called {', '.join(sorted(unknown))}")
    console, cache = Console(sys.stderr), cache_folder(os.environ) / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    try:
        python = environments.ensure(cache / "fuzz", ROOT / "locks" / "bench-fuzz.txt", os.environ, console)
    except StepFailed as error:
        console.line(f"atheris cannot be installed here, so nothing was fuzzed: {error}")
        return 1
    failed = [
        name
        for name in told.targets or TARGETS
        if fuzz(python, name, cache / "fuzz-corpus" / name, told.seconds)
    ]
    for name in failed:
        console.line(f"{name}: an input that breaks a rule is below {SEEDS / name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
