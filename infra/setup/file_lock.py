"""An advisory lock on an existing file or folder, so no lock file is left.

The kernel releases the lock when its process ends, so there are no stale locks.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(
    path: Path, waiting: Callable[[], None], pause: Callable[[], None] | None = None
) -> Generator[None]:
    """Hold the lock of `path`, a file or folder. waiting: called once if another process holds it.

    pause: called between attempts; what it raises ends the waiting. None: the kernel waits.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            if pause is None:
                fcntl.flock(handle, fcntl.LOCK_EX)
            else:
                _poll(handle, pause)
        yield
    finally:
        os.close(handle)


def _poll(handle: int, pause: Callable[[], None]) -> None:
    while True:
        pause()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return
