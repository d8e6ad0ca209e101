"""Remove a folder with all that is in it, read-only folders included (unpacked packages are read-only)."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path


def remove(folder: Path) -> None:
    """Remove `folder`, if it exists."""

    def make_writable(action: Callable[..., object], path: str, problem: object) -> None:
        if isinstance(problem, tuple) and isinstance(problem[1], FileNotFoundError):
            return
        os.chmod(Path(path).parent, stat.S_IRWXU)  # noqa: PTH101
        Path(path).chmod(stat.S_IRWXU)
        action(path)

    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder, onerror=make_writable)
