"""Run the plain Pulumi CLI as a child process.

Why not `pulumi.automation`: it runs this same CLI, but between us and a signal, hides its output behind an
event log and costs a second of imports. As a child in a session of its own the CLI gets each Ctrl-C
exactly once (the first lets it finish what it is doing, the second ends it at once), what it prints goes
whole into a log, and when we are killed it is an ordinary Pulumi whose lock the next `up` knows how to
judge.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from types import FrameType

from infra.cli.errors import PulumiFailed
from infra.cli.stack.process_cleanup import end_session
from infra.cli.stack.pulumi_lines import diagnostics

# SIGHUP: the terminal is closed; Pulumi itself no longer hears of it.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


# Pulumi goes on waiting for ever when it cannot write the stack's state (a full disk) ...
STATE_WRITE_FAILED = "failed to save snapshot"
# ... and ends at its second interrupt when the first did not bring it to an end.
SECOND_INTERRUPT_S = 10.0


@dataclass(frozen=True, slots=True)
class PulumiRunner:
    """`program` run in `root` with `environ`, which names backend, passphrase, stack and providers."""

    program: Path
    root: Path
    environ: Mapping[str, str] = field(repr=False)

    def capture(self, *arguments: str) -> str:
        """A short command's stdout; PulumiFailed with what it said when it fails."""
        done = subprocess.run(
            [str(self.program), *arguments, "--non-interactive", "--color", "never"],
            cwd=self.root,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            said = "\n".join(diagnostics((done.stderr + done.stdout).splitlines()))
            raise PulumiFailed(f"`pulumi {' '.join(arguments)}` ended with {done.returncode}:\n{said}")
        return done.stdout

    def stream(
        self, *arguments: str, log: Path, on_line: Callable[[str], None], on_stop: Callable[[], None]
    ) -> int:
        """A long command: every line to `log` and to `on_line`; `on_stop` is called when the user wants to
        stop. One that can no longer write its state is told to stop.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        interrupted = False
        with log.open("ab", buffering=0) as written:
            keep(written, f"$ pulumi {' '.join(arguments)}\n")
            with interruptible():
                child = subprocess.Popen(
                    [str(self.program), *arguments, "--non-interactive", "--color", "never"],
                    cwd=self.root,
                    env=dict(self.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            with child, forwarding_signals(child, on_stop), ending_children(child):
                for line in child.stdout or ():
                    keep(written, line)
                    on_line(line.rstrip("\n"))
                    if STATE_WRITE_FAILED in line and not interrupted:
                        interrupted = True
                        interrupt_twice(child)
        return child.returncode


def keep(log: FileIO, line: str) -> None:
    """A line for the log; a full disk costs the line and not the deployment."""
    with contextlib.suppress(OSError):
        log.write(line.encode())


def interrupt_twice(child: subprocess.Popen[str]) -> None:
    """Interrupt `child`, and once more if it stays."""
    child.send_signal(signal.SIGINT)
    again = threading.Timer(SECOND_INTERRUPT_S, child.send_signal, (signal.SIGINT,))
    again.daemon = True
    again.start()


@contextmanager
def interruptible() -> Generator[None]:
    """Start a child that hears SIGINT, also when we were started in the background, where it is ignored: an
    ignored signal stays ignored in a child, a handled one is the child's own again.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def ending_children(child: subprocess.Popen[str]) -> Generator[None]:
    """End what `child` leaves running as soon as it has ended: a language host may hold the pipe that we
    read.
    """

    def sweep() -> None:
        child.wait()
        end_session(child.pid)

    sweeper = threading.Thread(target=sweep, daemon=True)
    sweeper.start()
    yield
    sweeper.join()


@contextmanager
def forwarding_signals(child: subprocess.Popen[str], on_stop: Callable[[], None]) -> Generator[None]:
    """Give each signal to stop to `child` as one SIGINT, Pulumi's word for "stop after what you are
    doing".
    """

    def forward(_signal: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGINT)
        on_stop()

    before = {sign: signal.signal(sign, forward) for sign in STOP_SIGNALS}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
