"""Tests of how the emulator's daemon is found, started and stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.operations.emulator import daemon
from infra.operations.emulator.admin import EmulatorInfo, call, parse_info
from infra.operations.errors import EmulatorFailed
from infra.operations.paths import Layout
from tests.infra.cli.fakes import Reply, Request, json_reply, serving

NOTE = {"pid": 7, "admin": "http://127.0.0.1:1", "token": "t", "providers": "aws:1", "python": "3.13.0 (/p)"}
# A program with the command line of the real daemon.
SLEEPER = (
    "import signal, sys; signal.signal(signal.SIGTERM, {handler}); print('up', flush=True); signal.pause()"
)


def test_a_damaged_pid_file_is_ignored() -> None:
    """A daemon may be killed while it writes the file."""
    assert parse_info(json.dumps(NOTE)) == EmulatorInfo(7, "http://127.0.0.1:1", "t", "aws:1", "3.13.0 (/p)")
    assert parse_info(json.dumps(NOTE)[:30]) is None
    assert parse_info("{}") is None


def test_a_daemon_is_recognised_by_its_command_line(tmp_path: Path) -> None:
    """The command line must contain the module and the folder."""
    layout = Layout(tmp_path / "here")
    lines = {
        1: ["python", "-m", daemon.MODULE, "--root", str(layout.home)],
        2: ["python", "-m", daemon.MODULE, "--root", "/other/.skyfleet"],
        3: ["sleep", "600"],
    }
    for pid, words in lines.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").write_bytes(b"\0".join(word.encode() for word in words) + b"\0")
    assert [daemon.is_daemon(pid, layout, tmp_path) for pid in (1, 2, 3, 4)] == [True, False, False, False]


def test_a_pid_file_with_the_pid_of_another_program_is_ignored(tmp_path: Path) -> None:
    """The pid of the test itself is alive and is not a daemon."""
    layout = Layout(tmp_path)
    layout.home.mkdir()
    layout.emulator_file.write_text(json.dumps(NOTE | {"pid": os.getpid()}))
    layout.daemon_file.write_text(json.dumps({"pid": os.getpid(), "code": "x"}))
    assert daemon.running(layout) is None
    assert daemon.daemon_pid(layout) is None


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[Layout, subprocess.Popen[bytes]]]:
    """A process with the daemon's command line that ends on SIGTERM."""
    with started(tmp_path, "lambda *_: sys.exit(0)") as child:
        yield Layout(tmp_path), child
        child.kill()


def started(root: Path, handler: str) -> subprocess.Popen[bytes]:
    """A running stand-in of the daemon whose signal handler is installed."""
    code = SLEEPER.format(handler=handler)
    home = str(Layout(root).home)
    child = subprocess.Popen([sys.executable, "-c", code, daemon.MODULE, home], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    return child


def test_a_daemon_is_found_by_its_pid_file_and_stopped(
    sleeper: tuple[Layout, subprocess.Popen[bytes]],
) -> None:
    """SIGTERM suffices."""
    layout, child = sleeper
    layout.home.mkdir()
    layout.emulator_file.write_text(json.dumps(NOTE | {"pid": child.pid}))
    found = daemon.running(layout)
    assert found is not None
    assert found.pid == child.pid
    assert daemon.stop(child.pid, layout, lambda: child.poll() is None)
    assert daemon.running(layout) is None


def test_a_daemon_is_found_after_its_folder_was_removed(
    sleeper: tuple[Layout, subprocess.Popen[bytes]],
) -> None:
    """`down` ends a daemon also after `rm -rf .skyfleet`."""
    layout, child = sleeper
    assert not layout.home.exists()
    assert daemon.running(layout) is None
    assert daemon.daemon_pid(layout) == child.pid
    assert daemon.stop(child.pid, layout, lambda: child.poll() is None)
    assert daemon.daemon_pid(layout) is None


def test_a_daemon_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """`down` reports the kill."""
    with started(tmp_path, "signal.SIG_IGN") as child:
        assert not daemon.stop(child.pid, Layout(tmp_path), lambda: child.poll() is None, timeout_s=0.2)
        assert child.returncode == -signal.SIGKILL


def test_the_log_of_a_daemon_that_fails_to_start_is_quoted(tmp_path: Path) -> None:
    """The message contains the last line, for example about a port in use."""
    layout = Layout(tmp_path)
    layout.logs.mkdir(parents=True)
    layout.daemon_log.write_text("Traceback\nPortTaken: port 4711 is taken\n")
    with (
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as child,
        pytest.raises(EmulatorFailed) as raised,
    ):
        daemon.await_ready(child, layout, lambda: None)
    assert "exit code 3" in raised.value.message
    assert "port 4711" in raised.value.message


def test_a_daemon_that_never_becomes_ready_is_stopped(tmp_path: Path) -> None:
    """The wait is bounded, and no process is left."""
    with started(tmp_path, "lambda *_: sys.exit(0)") as child:
        with pytest.raises(EmulatorFailed, match="not ready"):
            daemon.await_ready(child, Layout(tmp_path), lambda: None, timeout_s=0.2)
        assert child.poll() is not None


def test_a_daemon_is_ready_when_its_pid_file_is_its_own_and_it_answers(
    sleeper: tuple[Layout, subprocess.Popen[bytes]],
) -> None:
    """The pid file of an earlier daemon does not count."""
    layout, child = sleeper
    layout.home.mkdir()
    layout.emulator_file.write_text(json.dumps(NOTE))
    with serving(lambda request: json_reply({"status": "ok"})) as admin:

        def tick() -> None:
            layout.emulator_file.write_text(json.dumps(NOTE | {"pid": child.pid, "admin": admin}))

        assert daemon.await_ready(child, layout, tick).admin == admin


def test_changed_sources_are_noticed(tmp_path: Path) -> None:
    """The hash covers names and contents of the daemon's files."""
    (tmp_path / "emulator").mkdir()
    source = tmp_path / "emulator" / "a.py"
    source.write_text("x = 1\n")
    before = daemon.code_identity(tmp_path)
    assert daemon.code_identity(tmp_path) == before
    source.write_text("x = 2\n")
    changed = daemon.code_identity(tmp_path)
    source.rename(source.with_name("b.py"))
    assert len({before, changed, daemon.code_identity(tmp_path)}) == 3


def test_a_refusal_of_the_admin_api_is_shown_with_its_message() -> None:
    """The token is in every request and in no message."""
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        return json_reply({"error": {"code": "bad-fault", "message": "unknown fault x"}}, status=400)

    with serving(answer) as admin:
        note = EmulatorInfo(7, admin, "very-secret", "", "")
        with pytest.raises(EmulatorFailed, match="unknown fault x") as raised:
            call(note, "POST", "/v1/faults", {"cloud": "aws"})
    assert seen[0].headers["authorization"] == "Bearer very-secret"
    assert "very-secret" not in raised.value.message + repr(note)
