"""The Python that stands for the clouds' on this machine: a 3.13 when one is found, else the project's own.

A candidate counts only after it was executed: a pyenv shim on PATH may name an interpreter that is absent.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TARGET = (3, 13)  # runtime of the deployed functions: Lambda python3.13, Flex 3.13, GCP python313
PROBE = "import sys; print(*sys.version_info[:3])"
PROBE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One working Python."""

    path: Path
    version: tuple[int, int, int]

    @property
    def is_target(self) -> bool:
        """Whether the wheels inside a package (built for 3.13) load in it."""
        return self.version[:2] == TARGET

    @property
    def minor(self) -> str:
        """`3.13`, as package tools want it."""
        return f"{self.version[0]}.{self.version[1]}"

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} ({self.path})"


Probe = Callable[[Path], tuple[int, int, int] | None]


def probe(path: Path) -> tuple[int, int, int] | None:
    """Version that `path` reports when run, or None when it does not run."""
    try:
        found = subprocess.run(
            [str(path), "-I", "-S", "-c", PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
        )
        major, minor, patch = map(int, found.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return major, minor, patch


def candidates(environ: Mapping[str, str], home: Path, uv: Path | None) -> Iterator[Path]:
    """Paths where a 3.13 may be, in order of preference; lazy, since asking uv starts a process."""
    if configured := environ.get("SKYFLEET_PYTHON313"):
        yield Path(configured)
    for folder in environ.get("PATH", "").split(os.pathsep):
        yield Path(folder, "python3.13")
    yield from sorted((home / ".pyenv" / "versions").glob("3.13*/bin/python"), reverse=True)
    if uv is not None:
        try:
            found = subprocess.run(
                [str(uv), "python", "find", "--managed-python", "--no-python-downloads", "3.13"],
                capture_output=True,
                text=True,
                timeout=PROBE_TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return
        yield Path(found.stdout.strip())


def find(own: Path, places: Iterator[Path], run: Probe = probe) -> Interpreter:
    """The first candidate that is a 3.13, else `own`."""
    for path in places:
        if path.is_file() and (version := run(path)) is not None and version[:2] == TARGET:
            return Interpreter(path, version)
    version = run(own)
    if version is None:
        raise RuntimeError(f"the project's own interpreter {own} does not run; recreate the venv")
    return Interpreter(own, version)
