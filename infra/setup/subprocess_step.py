"""Run one program of the set-up: silent when it works, its last lines when it does not, killed when we are.

The child is in a process group of its own: a Ctrl-C reaches us first and we end the whole group, so that no
compiler goes on in the background. Its output goes to a file, not a pipe: it can never block on us.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.setup.errors import StepFailed
from infra.setup.progress import Console

# pip, uv and go print the reason at the end; more than this would hide it.
SHOWN_LINES = 15
# Between "please stop" and SIGKILL; go needs about a second to remove its temporary folder.
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
    """Run `argv` to its end and return what it printed (stdout and stderr together)."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
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
        except OSError as error:
            raise StepFailed(
                f"{title}: {argv[0]} cannot be started: {error.strerror}. {advice}".strip()
            ) from None
        try:
            while not _ended(child):
                console.tick(title, time.monotonic() - began)
        finally:
            _end_group(child)
        output.seek(0)
        printed = output.read().decode(errors="replace")
    if child.returncode != 0:
        raise StepFailed(_complaint(title, argv, child.returncode, printed, advice))
    console.done(title, time.monotonic() - began)
    return printed


def _ended(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Only does something when we leave early: by Ctrl-C, SIGTERM turned into an exception, a full disk."""
    if child.poll() is not None:
        return
    for sign, patience in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=patience)
            return


def _complaint(title: str, argv: Sequence[str | Path], code: int, printed: str, advice: str) -> str:
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()][-SHOWN_LINES:]
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    said = "\n".join(f"    {line}" for line in lines) or "    (it printed nothing)"
    tail = f"\n  {advice}" if advice else ""
    return f"{title} failed: {Path(str(argv[0])).name} {how} and said\n{said}{tail}"
