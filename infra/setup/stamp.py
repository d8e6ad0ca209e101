"""Whether `.venv` is complete: its stamp, written last, has its folder, Python and lock.

`python -S -m infra.setup.stamp` exits with 0 if the environment that runs it is complete; `... write` writes
the stamp. The environment's own interpreter decides: one that does not start is not complete. The checkout's
path is part of the stamp, because a virtual environment cannot be moved.

Few modules of the standard library only: each `make` target runs this.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path


def stamp_path(root: Path) -> Path:
    return root / ".venv" / "skyfleet.stamp"


def expected(root: Path, python: str) -> str:
    """The stamp of a complete environment. python: its version, such as `3.11`."""
    inputs = hashlib.sha256()
    for name in ("locks/project.txt", "locks/page.txt", "pyproject.toml"):
        inputs.update((root / name).read_bytes())
    return f"{root}\n{python}\n{inputs.hexdigest()}\n"


def is_complete(root: Path, python: str) -> bool:
    try:
        return stamp_path(root).read_text() == expected(root, python)
    except (OSError, UnicodeDecodeError):
        return False


def is_of(root: Path) -> bool:
    """Whether an environment was completed in this folder before, with any lock."""
    try:
        return stamp_path(root).read_text().startswith(f"{root}\n")
    except (OSError, UnicodeDecodeError):
        return False


if __name__ == "__main__":
    _root = Path(__file__).resolve().parents[2]
    _python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if sys.argv[1:] == ["write"]:
        _draft = stamp_path(_root).with_suffix(".new")
        _draft.write_text(expected(_root, _python))
        _draft.replace(stamp_path(_root))
    else:
        sys.exit(not is_complete(_root, _python))
