"""Run the Pulumi CLI as a child process.

`pulumi.automation` runs the same CLI, but it does not forward signals, hides the output behind an event log
and takes a second to import. Here the CLI runs in its own session:
- It gets each Ctrl-C exactly once. After the first it finishes the present operation, at the second it ends.
- All that it prints is in a log.
- If this process is killed, the CLI leaves an ordinary lock, which the next `up` handles.
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

from infra.operations.errors import PulumiFailed
from infra.operations.stack.process_cleanup import end_session
from infra.operations.stack.pulumi_lines import diagnostics
from infra.operations.stack.stop_signals import forwarding, stop_requests

# Pulumi waits forever when it cannot write the state of the stack, as on a full disk ...
STATE_WRITE_FAILED = "failed to save snapshot"
# ... and ends at a second interrupt if the first did not end it.
SECOND_INTERRUPT_S = 10.0


@dataclass(frozen=True, slots=True)
class PulumiRunner:
    """Runs `program` in `root`. environ: names backend, passphrase, stack and providers."""

    program: Path
    root: Path
    environ: Mapping[str, str] = field(repr=False)

    def capture(self, *arguments: str) -> str:
        """Run a short command and return its stdout. Raises PulumiFailed with what it printed."""
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
            printed = "\n".join(diagnostics((done.stderr + done.stdout).splitlines()))
            raise PulumiFailed(f"`pulumi {' '.join(arguments)}` ended with {done.returncode}:\n{printed}")
        return done.stdout

    def stream(
        self, *arguments: str, log: Path, on_line: Callable[[str], None], on_stop: Callable[[], None]
    ) -> int:
        """Run a long command and return its exit code; one that cannot write its state is stopped.

        log: gets every line. on_line: called with every line. on_stop: called when the user wants to stop.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        interrupted = False
        with log.open("ab", buffering=0) as output:
            append(output, f"$ pulumi {' '.join(arguments)}\n")
            with stop_requests() as requests:
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
                with child, forwarding(requests, child, on_stop), ending_children(child):
                    for line in child.stdout or ():
                        append(output, line)
                        on_line(line.rstrip("\n"))
                        if STATE_WRITE_FAILED in line and not interrupted:
                            interrupted = True
                            interrupt_twice(child)
        return child.returncode


def append(log: FileIO, line: str) -> None:
    """Append a line to the log; on a full disk the line is lost and the deployment goes on."""
    with contextlib.suppress(OSError):
        log.write(line.encode())


def interrupt_twice(child: subprocess.Popen[str]) -> None:
    """Interrupt `child`, and again after SECOND_INTERRUPT_S."""
    child.send_signal(signal.SIGINT)
    again = threading.Timer(SECOND_INTERRUPT_S, child.send_signal, (signal.SIGINT,))
    again.daemon = True
    again.start()


@contextmanager
def ending_children(child: subprocess.Popen[str]) -> Generator[None]:
    """End the session of `child` when it has ended: its language host may keep the pipe open."""

    def sweep() -> None:
        child.wait()
        end_session(child.pid)

    sweeper = threading.Thread(target=sweep, daemon=True)
    sweeper.start()
    yield
    sweeper.join()
