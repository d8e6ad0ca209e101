"""Read a requirements lock: its identity, and one entry with its hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from infra.setup.errors import LockUnreadable


def read(path: Path) -> str:
    """The text of the lock at `path`."""
    try:
        return path.read_text()
    except OSError as error:
        raise LockUnreadable(
            f"{path} cannot be read ({error.strerror}). It is part of the repository: restore it with git."
        ) from None


def identity(text: str) -> str:
    """A hash of the lock, by which a change is found."""
    return hashlib.sha256(text.encode()).hexdigest()


def entry(text: str, name: str) -> str:
    """The lines of one package, hashes included, as `pip install --require-hashes -r` takes them."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if line.startswith(f"{name}=="):
            end = start
            while lines[end].endswith("\\"):
                end += 1
            return "\n".join(lines[start : end + 1]) + "\n"
    raise LockUnreadable(f"the lock has no entry for {name}; `make lock` compiles it from pyproject.toml.")
