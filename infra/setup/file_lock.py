"""One at a time: an advisory lock on a file or folder that exists anyway, so nothing is left behind.

The kernel drops the lock when its holder ends, however it ends: there is no stale lock to clean.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path, waiting: Callable[[], None]) -> Generator[None]:
    """Hold `path` (a file or folder); `waiting` is called once if another process holds it."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
