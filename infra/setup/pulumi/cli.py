"""The values that the three ways give back, and the version we ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# What we fetch or build, and what every test runs with. The go.mod beside emulator pins the same.
RELEASE = "3.250.0"
# The oldest CLI that our SDKs and the attached providers (PULUMI_DEBUG_PROVIDERS) have been run with.
LEAST = (3, 250, 0)

PULUMI = "pulumi"
LANGUAGE_HOST = "pulumi-language-python"
LANGUAGE_EXEC = "pulumi-language-python-exec"
DYNAMIC_PROVIDER = "pulumi-resource-pulumi-python"
# A folder with these four on PATH is all that a Python program needs.
FILES = (PULUMI, LANGUAGE_HOST, LANGUAGE_EXEC, DYNAMIC_PROVIDER)

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Cli:
    """A CLI that serves. `path`: folders to put first on PATH; `origin`: where it came from, for people."""

    program: Path
    version: str
    path: tuple[Path, ...]
    origin: str

    @property
    def folder(self) -> Path:
        return self.program.parent


@dataclass(frozen=True, slots=True)
class Lack:
    """One way did not give a CLI. `reason`: what was found; `remedy`: what the user could do about it."""

    way: str
    reason: str
    remedy: str


def parse_version(text: str) -> tuple[int, int, int] | None:
    """`v3.250.0`, also with a suffix such as -alpha.1, as numbers; None when `text` has no version."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
