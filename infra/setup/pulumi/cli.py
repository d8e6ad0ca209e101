"""The results of the three ways, and the required version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# The version that is downloaded or built, and used by all tests. The go.mod files pin the same.
RELEASE = "3.250.0"
# The oldest CLI that was tested with the SDKs and with PULUMI_DEBUG_PROVIDERS.
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
    """A usable CLI. path: folders to put first on PATH. origin: where it came from, for messages."""

    program: Path
    version: str
    path: tuple[Path, ...]
    origin: str

    @property
    def folder(self) -> Path:
        return self.program.parent


@dataclass(frozen=True, slots=True)
class Lack:
    """A way without a CLI. reason: what was found. remedy: what the user can do about it."""

    way: str
    reason: str
    remedy: str


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The numbers of a version such as `v3.250.0-alpha.1`; None when `text` has no version."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
