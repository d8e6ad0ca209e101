"""The Python that functions run on: the one that the command line names, else the daemon's own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from emulator.runtime.errors import SetupError

TARGET = (3, 13)  # runtime of the deployed functions: Lambda python3.13, Flex 3.13, GCP python313
VERSION = "import sys; print(*sys.version_info[:3])"
TIMEOUT_S = 10.0


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


def own() -> Interpreter:
    """The interpreter of this process."""
    major, minor, patch = sys.version_info[:3]
    return Interpreter(Path(sys.executable), (major, minor, patch))


def at(path: Path) -> Interpreter:
    """The interpreter at `path`, with the version that it reports. Raises SetupError when it does not run."""
    try:
        found = subprocess.run(
            [str(path), "-I", "-S", "-c", VERSION],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        major, minor, patch = map(int, found.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        raise SetupError(f"--python {path} is not a Python that runs") from None
    return Interpreter(path, (major, minor, patch))
