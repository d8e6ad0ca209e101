"""The process of one job: `python -m infra.manager.jobs.child FOLDER STACK` in the checkout.

It has a session of its own, so it goes on when the manager ends. The lock of the job's folder is held as long
as it lives: a second process for the same job ends at once.

A cancel is a file in the folder. It becomes one interrupt of Pulumi, when that runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from infra.manager.jobs.journal import ROLLBACK, Child, Journal
from infra.manager.jobs.stack import Stack
from infra.manager.jobs.work import Work
from infra.operations.manager.process import start_ticks
from infra.operations.paths import STACK, Layout
from infra.operations.stack.stop_signals import STOP_SIGNALS
from infra.setup.file_lock import exclusive

CANCEL_POLL_S: Final = 0.2
# Exit codes: another process works on the job; the journal cannot be written or read.
BUSY, BROKEN = 3, 4


class Busy(Exception):
    """Another process works on the job."""


def main(folder: Path, stack: Callable[[], Stack]) -> int:
    """Work on the job in a folder. stack: makes the stack."""

    def refuse() -> None:
        raise Busy

    journal = Journal(folder)
    try:
        with exclusive(folder, refuse):
            request = journal.request()
            if request is None or journal.result() is not None:
                return BROKEN if request is None else 0
            before = journal.child()
            attempt = before.attempt + 1 if before else 1
            pid = os.getpid()
            journal.write_child(Child(pid, start_ticks(pid) or 0, attempt, time.time()))
            interrupt = Interrupt(journal)
            with interrupt.watching():
                Work(journal, stack(), request, on_line=interrupt.arm).run()
    except Busy:
        return BUSY
    except OSError as error:
        sys.stderr.write(f"{error.filename or folder}: {error.strerror}\n")
        return BROKEN
    return 0


@dataclass(slots=True)
class Interrupt:
    """Interrupts Pulumi once when the job is cancelled."""

    journal: Journal
    _armed: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)

    def arm(self) -> None:
        """Pulumi runs, and its process gets the interrupt."""
        self._armed.set()

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch for a cancel. Signals of others are left to Pulumi's runner, and end nothing else."""
        for number in STOP_SIGNALS:
            signal.signal(number, _ignore)
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._ended.set()
            watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(CANCEL_POLL_S):
            if self.journal.text(ROLLBACK) is not None:
                return  # a cancel that came too late must not interrupt it
            if self._armed.is_set() and self.journal.cancelled_by():
                os.kill(os.getpid(), signal.SIGTERM)
                return


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """A handler, and not SIG_IGN, which Pulumi would inherit."""


if __name__ == "__main__":
    from infra.manager.jobs.stacks import stack_of

    name = sys.argv[2] if len(sys.argv) > 2 else STACK
    sys.exit(main(Path(sys.argv[1]), lambda: stack_of(Layout(Path.cwd()), name, os.environ)))
