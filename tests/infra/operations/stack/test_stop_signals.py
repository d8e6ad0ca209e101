"""Tests of the signals that stop a deployment."""

from __future__ import annotations

import io
import os
import signal
import threading
from pathlib import Path
from typing import cast

import pytest

from infra.operations.stack.runner import PulumiRunner
from infra.operations.stack.stop_signals import TOGETHER_S, Repeats, stop_requests
from tests.infra.cli.fakes import script

WAITING = """
n=0
trap 'n=$((n+1))' INT
echo ready
while [ $n -lt 1 ]; do sleep 0.02; done
exit 3
"""


class Interrupted(io.RawIOBase):
    """A file during each write to which the process gets these signals."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers
        self.written = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        for number in self.numbers:
            signal.raise_signal(number)
        text = memoryview(cast("bytes", data)).tobytes()
        self.written += text
        return len(text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_during_a_write_to_stderr_stops_the_deployment(tmp_path: Path, number: int) -> None:
    """A handler that wrote there itself raised RuntimeError: reentrant call."""
    raw = Interrupted(number)
    stderr = io.BufferedWriter(raw)
    stopped = threading.Event()

    def show(line: str) -> None:
        stderr.write(f"{line}\n".encode())
        stderr.flush()
        raw.numbers = ()

    def stop() -> None:
        show("stopping")
        stopped.set()

    engine = PulumiRunner(script(tmp_path / "pulumi", WAITING), tmp_path, {"PATH": os.environ["PATH"]})
    code = engine.stream("up", log=tmp_path / "up.log", on_line=show, on_stop=stop)
    assert code == 3
    assert stopped.is_set()
    assert raw.written == b"ready\nstopping\n"


def test_a_signal_before_pulumi_has_started_is_not_lost(tmp_path: Path) -> None:
    """It waits in the pipe, and its default action does not end this process."""
    with stop_requests() as requests:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        requests.end()
        assert list(requests.numbers()) == [signal.SIGTERM, signal.SIGHUP]


def test_handlers_are_restored() -> None:
    """Outside of a deployment a signal has its former action."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with stop_requests():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.parametrize(
    ("signals", "counted"),
    [
        ([(signal.SIGTERM, 0.0), (signal.SIGTERM, 0.001), (signal.SIGTERM, 0.9)], 1),
        ([(signal.SIGTERM, 0.0), (signal.SIGTERM, TOGETHER_S + 0.1)], 2),
        ([(signal.SIGINT, 0.0), (signal.SIGINT, 0.2)], 2),
        ([(signal.SIGHUP, 0.0), (signal.SIGHUP, 0.0), (signal.SIGTERM, 0.0)], 2),
        ([(signal.SIGTERM, 0.6 * number) for number in range(4)], 1),
    ],
)
def test_the_repeats_of_a_supervisor_count_once(signals: list[tuple[int, float]], counted: int) -> None:
    """`timeout` and `make` send SIGTERM three times at once; each Ctrl-C is a request of its own."""
    repeats = Repeats()
    assert sum(repeats.is_new(number, at) for number, at in signals) == counted
