"""Signals that stop a deployment: each becomes one interrupt of Pulumi.

A handler runs between any two instructions of the main thread. During a write to stderr another write raises
RuntimeError, "reentrant call" (docs.python.org/3/library/io.html, "Reentrancy"). So a handler only writes the
number of its signal to a pipe, and a thread acts on it. The handlers are set before Pulumi starts: a signal
that arrives during the start waits in the pipe.

A supervisor repeats itself: `timeout` signals the command and then its process group (timeout.c, `cleanup`),
and `make` passes SIGTERM on to its children (job.c and commands.c, `fatal_error_signal`). Pulumi would take a
second interrupt for "end at once" and leave operations unfinished. So the same signal within TOGETHER_S
counts once, except for SIGINT: a terminal sends that exactly once for each Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

# SIGHUP: the terminal was closed, which Pulumi in its own session does not notice.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# `timeout` and `make` repeat a signal within milliseconds, also on a busy machine.
TOGETHER_S = 1.0


@dataclass(frozen=True, slots=True)
class Requests:
    """A pipe of signal numbers; 0 ends it."""

    reader: int
    writer: int

    def note(self, number: int, _frame: FrameType | None) -> None:
        """The handler of each stop signal."""
        with contextlib.suppress(BlockingIOError):  # the pipe holds thousands of requests already
            os.write(self.writer, bytes([number]))

    def end(self) -> None:
        """Have `numbers` return after what was noted before."""
        os.write(self.writer, bytes([0]))

    def numbers(self) -> Generator[int]:
        """The numbers that were noted and that will be, until the end."""
        while number := os.read(self.reader, 1)[0]:
            yield number


@contextmanager
def stop_requests() -> Generator[Requests]:
    """A context in which each stop signal is only noted.

    A child that starts in it has the default actions, because `exec` resets handled signals (POSIX). This
    holds in a background process of a shell, too, which ignores SIGINT.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    requests = Requests(reader, writer)
    before = {number: signal.signal(number, requests.note) for number in STOP_SIGNALS}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)
        os.close(reader)


@contextmanager
def forwarding(
    requests: Requests, child: subprocess.Popen[str], on_stop: Callable[[], None]
) -> Generator[None]:
    """Interrupt `child` and call `on_stop`, in a thread, for each request that is not a repeat.

    Pulumi ends after the present operation at the first interrupt.
    """

    def forward() -> None:
        counted = Repeats()
        for number in requests.numbers():
            if counted.is_new(number, time.monotonic()):
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signal.SIGINT)
                on_stop()

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    try:
        yield
    finally:
        requests.end()
        thread.join()


class Repeats:
    """Tells a new request from the repeat of a supervisor."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}

    def is_new(self, number: int, now: float) -> bool:
        """Whether signal `number` at `now` (seconds) is a request of its own."""
        before = self._last.get(number)
        self._last[number] = now
        return number == signal.SIGINT or before is None or now - before > TOGETHER_S
