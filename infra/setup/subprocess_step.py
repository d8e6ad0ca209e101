"""Run one program of the set-up: silent on success, its last lines on failure.

The child has its own process group. A Ctrl-C reaches this process first, which ends the whole group, so no
compiler goes on in the background. Signals that arrive while the child starts are delivered when it can be
ended. Its output goes to a file: a full pipe cannot block it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from infra.setup.errors import StepFailed
from infra.setup.progress import Console

# pip, uv and go print the reason at the end; more than this would hide it.
SHOWN_LINES = 15
# Between SIGTERM and SIGKILL; go needs about a second to remove its temporary folder.
GRACE_S = 5.0


def run_step(
    argv: Sequence[str | Path],
    *,
    title: str,
    console: Console,
    environ: Mapping[str, str],
    cwd: Path | None = None,
    advice: str = "",
) -> str:
    """Run `argv` and return its output, stdout and stderr together. Raises StepFailed.

    advice: added to the error.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        signals = _HeldSignals()
        try:
            child = subprocess.Popen(
                [str(part) for part in argv],
                env=dict(environ),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except Exception as error:
            signals.release()
            if not isinstance(error, OSError):
                raise
            raise StepFailed(
                f"{title}: {argv[0]} cannot be started: {error.strerror}. {advice}".strip()
            ) from None
        try:
            signals.release()
            while not _ended(child):
                console.tick(title, time.monotonic() - began)
        finally:
            _end_group(child)
        output.seek(0)
        printed = output.read().decode(errors="replace")
    if child.returncode != 0:
        raise StepFailed(_failure(title, argv, child.returncode, printed, advice))
    console.done(title, time.monotonic() - began)
    return printed


class _HeldSignals:
    """Holds SIGINT and SIGTERM from its creation until `release()`, which delivers those that have arrived.

    A handler that raises inside `Popen()` would leave a child that its caller does not know. The child itself
    starts with the default actions, as `execve` resets handled signals (POSIX).
    """

    def __init__(self) -> None:
        self._arrived: list[int] = []
        self._handlers: dict[int, signal.Handlers | Callable[[int, FrameType | None], object]] = {}
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread runs handlers
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.getsignal(number)
            if callable(before):
                self._handlers[number] = before
                signal.signal(number, lambda number, _: self._arrived.append(number))

    def release(self) -> None:
        """Restore the handlers, then call them for each signal held."""
        while self._handlers:
            number, handler = self._handlers.popitem()
            signal.signal(number, handler)
        for number in self._arrived:
            signal.raise_signal(number)


def _ended(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End the group of a running child, after an exception such as Ctrl-C, SIGTERM or a full disk."""
    if child.poll() is not None:
        return
    for sign, timeout_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=timeout_s)
            return


def _failure(title: str, argv: Sequence[str | Path], code: int, printed: str, advice: str) -> str:
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()][-SHOWN_LINES:]
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    output = "\n".join(f"    {line}" for line in lines) or "    (it printed nothing)"
    tail = f"\n  {advice}" if advice else ""
    return f"{title} failed: {Path(str(argv[0])).name} {how} and printed\n{output}{tail}"
