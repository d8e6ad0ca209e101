"""Tests of Pulumi as a child process: its output, its failures, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.operations.errors import PulumiFailed
from infra.operations.stack.runner import PulumiRunner
from tests.infra.cli.fakes import script

# Counts interrupts as Pulumi does: the first one means "finish the current operations".
COUNTING = """
n=0
trap 'n=$((n+1)); echo "interrupt $n"; [ $n -lt 2 ] || exit 3' INT
echo ready
while :; do sleep 0.02; done
"""
DRIVER = """
import sys
from pathlib import Path
from infra.operations.stack.runner import PulumiRunner
import os
engine = PulumiRunner(Path(sys.argv[1]), Path(sys.argv[2]), dict(os.environ))
code = engine.stream("up", log=Path(sys.argv[2]) / "up.log", on_line=lambda line: print(line, flush=True),
                     on_stop=lambda: print("stopping", flush=True))
print("code", code, flush=True)
"""


def engine(folder: Path, body: str) -> PulumiRunner:
    """An engine whose `pulumi` is this script."""
    return PulumiRunner(script(folder / "pulumi", body), folder, {"PATH": os.environ["PATH"]})


def test_a_short_command_returns_its_output(tmp_path: Path) -> None:
    """Pulumi is called without colours and prompts."""
    assert engine(tmp_path, 'echo "$@"').capture("stack", "output") == (
        "stack output --non-interactive --color never\n"
    )


def test_a_failed_short_command_is_reported_with_its_error_line(tmp_path: Path) -> None:
    """The error line is shown without Pulumi's usage text."""
    failing = engine(tmp_path, "echo 'error: no stack named x' >&2; echo usage; exit 255")
    with pytest.raises(PulumiFailed, match=r"pulumi stack.*255.*\n.*no stack named x") as raised:
        failing.capture("stack", "output")
    assert "usage" not in raised.value.message


def test_a_long_command_is_logged_and_reported_line_by_line(tmp_path: Path) -> None:
    """This includes stderr, and the exit code is returned."""
    lines: list[str] = []
    log = tmp_path / "logs" / "up.log"
    noisy = engine(tmp_path, "echo one; echo two >&2; exit 9")
    assert noisy.stream("up", log=log, on_line=lines.append, on_stop=lambda: None) == 9
    assert lines == ["one", "two"]
    assert log.read_text() == "$ pulumi up\none\ntwo\n"


@pytest.mark.parametrize("ignored", [False, True], ids=["foreground", "background"])
def test_each_interrupt_reaches_pulumi_exactly_once(tmp_path: Path, ignored: bool) -> None:
    """The first Ctrl-C lets Pulumi finish and the second one ends it; SIGTERM counts as an interrupt.

    The terminal's own SIGINT to the process group is not delivered twice. This holds also for a background
    job of a shell, which starts with SIGINT ignored.
    """
    program = script(tmp_path / "pulumi", COUNTING)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        driver = [sys.executable, "-c", DRIVER, str(program), str(tmp_path)]
        child = subprocess.Popen(driver, stdout=subprocess.PIPE, text=True, process_group=0)
    finally:
        signal.signal(signal.SIGINT, before)
    with child:
        try:
            said = child.stdout
            assert said is not None
            assert said.readline() == "ready\n"
            os.killpg(child.pid, signal.SIGINT)  # as a terminal signals its foreground process group
            first = {said.readline(), said.readline()}
            child.terminate()
            second = {said.readline(), said.readline()}
            assert first == {"interrupt 1\n", "stopping\n"}
            assert second == {"interrupt 2\n", "stopping\n"}
            assert said.readline() == "code 3\n"
        finally:
            child.kill()


def test_a_killed_pulumi_is_reported_by_its_signal(tmp_path: Path) -> None:
    """The code is negative, and the caller announces that the next `up` recovers."""
    killed = engine(tmp_path, "kill -9 $$")
    assert killed.stream("up", log=tmp_path / "l", on_line=print, on_stop=lambda: None) == -signal.SIGKILL


def test_the_children_of_a_killed_pulumi_are_ended(tmp_path: Path) -> None:
    """The language host has its own process group and would wait forever."""
    note = tmp_path / "host"
    host = "import os, signal; os.setpgid(0, 0); print(os.getpid(), flush=True); signal.pause()"
    wait = f"while [ ! -s {note} ]; do sleep 0.02; done"
    dies = engine(tmp_path, f"{sys.executable} -c '{host}' > {note} &\n{wait}; kill -9 $$")
    dies.stream("up", log=tmp_path / "l", on_line=print, on_stop=lambda: None)
    assert not Path(f"/proc/{note.read_text().strip()}/exe").exists()


def test_a_pulumi_that_cannot_write_its_state_is_stopped(tmp_path: Path) -> None:
    """Pulumi would wait forever; it gets an interrupt, which suffices here."""
    body = "trap 'echo stopped; exit 8' INT\necho 'error: failed to save snapshot: no space left'\n"
    stuck = engine(tmp_path, body + "while :; do sleep 0.02; done")
    lines: list[str] = []
    code = stuck.stream("up", log=tmp_path / "up.log", on_line=lines.append, on_stop=lambda: None)
    assert (code, lines[-1]) == (8, "stopped")


def test_a_log_that_cannot_be_written_does_not_end_a_deployment(tmp_path: Path) -> None:
    """Its lines are still reported."""
    lines: list[str] = []
    noisy = engine(tmp_path, "echo one; echo two")
    code = noisy.stream("up", log=Path("/dev/full"), on_line=lines.append, on_stop=lambda: None)
    assert (code, lines) == (0, ["one", "two"])
