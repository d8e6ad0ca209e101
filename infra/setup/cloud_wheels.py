"""Whether every pin of a package's lock has a wheel that runs in the clouds: `make lock` tells what has none.

One target for all clouds, so that an agent's dependencies are the same everywhere: x86_64 Linux, Python 3.13
and the oldest glibc of the three (PEP 600: a wheel for an older glibc runs with a newer one).
- Lambda python3.13 is Amazon Linux 2023 (docs.aws.amazon.com/lambda/latest/dg/lambda-python.html) with glibc
  2.34 (docs.aws.amazon.com/linux/al2023/ug/core-glibc.html).
- Azure Functions' image for Python 3.13 is Debian 12, glibc 2.36 (github.com/Azure/azure-functions-docker,
  host/4/bookworm/python/python313/python313.Dockerfile; of 3.12: azure-functions-python-worker, issue 1397).
- Google's python313 is the stack google-22, Ubuntu 22.04, glibc 2.35
  (docs.cloud.google.com/run/docs/runtimes/python).
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.setup.errors import NoWheel, StepFailed

PYTHON = "3.13"
GLIBC = (2, 34)
PLATFORM = f"x86_64-manylinux_{GLIBC[0]}_{GLIBC[1]}"
DESCRIPTION = f"Python {PYTHON}, Linux x86_64, glibc {GLIBC[0]}.{GLIBC[1]}"
LIMIT_S = 300
# As uv's resolver words it: "Because numpy==2.5.5 has no usable wheels and you require ...".
_WITHOUT = re.compile(r"Because (?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>\S+) has no ")
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[.*?\])?==(?P<version>\S+)", re.MULTILINE)
NO_BUILD = ("--no-deps", "--only-binary", ":all:", "--python-version", PYTHON, "--python-platform", PLATFORM)

# Exit code, and stdout and stderr together; arguments and stdin of uv.
Uv = Callable[[Sequence[str], str], tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Missing:
    """A pin without a wheel for the clouds. newest: the newest version that has one, empty if none has."""

    name: str
    version: str
    newest: str

    def __str__(self) -> str:
        if not self.newest:
            return f"{self.name} {self.version}: no version has a wheel; the agent needs another package"
        return (
            f"{self.name} {self.version}: the newest version with a wheel is {self.newest}; write "
            f"{self.name}<={self.newest}"
        )


def runner(uv: Path, python: Path, environ: Mapping[str, str]) -> Uv:
    """Runs uv for the interpreter of the project."""

    def run(arguments: Sequence[str], text: str) -> tuple[int, str]:
        done = subprocess.run(
            [str(uv), *arguments, "--python", str(python)],
            input=text,
            env=dict(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def require(lock: str, name: str, requirements: str, uv: Uv) -> None:
    """NoWheel with every pin of `lock` that has no wheel for the clouds. name: of the lock's file.

    requirements: the file where the user writes what the agent needs. Raises StepFailed when uv cannot tell.
    """
    if missing := without_wheel(lock, uv):
        listed = "\n".join(f"  - {each}" for each in missing)
        raise NoWheel(
            f"locks/{name} is unchanged: the clouds install wheels only ({DESCRIPTION}), and there is none "
            f"of\n{listed}\nChange {requirements} accordingly, then run `make lock` again."
        )


def without_wheel(lock: str, uv: Uv) -> list[Missing]:
    """Every pin without a wheel: uv reports one at a time, so each is left out and the rest asked again."""
    found: list[Missing] = []
    while _PIN.search(lock):
        with tempfile.TemporaryDirectory() as folder:  # uv writes a lock file there, also in a dry run
            ask = ("pip", "install", "--dry-run", "--target", folder, *NO_BUILD, "--requirements", "-")
            code, said = uv(ask, lock)
        if code == 0:
            break
        refused = _WITHOUT.search(" ".join(said.split()))
        rest = _without(lock, refused["name"]) if refused else lock
        if refused is None or rest == lock:
            raise StepFailed(f"uv could not tell whether all pins have wheels; it printed\n{said.strip()}")
        found.append(Missing(refused["name"], refused["version"], newest(refused["name"], uv)))
        lock = rest
    return found


def newest(name: str, uv: Uv) -> str:
    """The newest version of a package that has a wheel for the clouds; empty if none has."""
    code, said = uv(
        ("pip", "compile", "--quiet", "--no-header", "--no-annotate", *NO_BUILD, "-"), f"{name}\n"
    )
    pin = _PIN.search(said) if code == 0 else None
    return pin["version"] if pin else ""


def _without(lock: str, name: str) -> str:
    """The lock without the entries of one package, each of which ends at the first line without backslash."""
    kept: list[str] = []
    skipping = False
    for line in lock.splitlines():
        pin = _PIN.match(line)
        if pin:
            skipping = pin["name"] == name
        if not skipping:
            kept.append(line)
    return "\n".join(kept) + "\n"
