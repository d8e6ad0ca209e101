"""The manager as a process: how `make up` starts it, starts it again, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from infra.operations.emulator.lifecycle import child_environment
from infra.operations.errors import CommandFailed
from infra.operations.http import session
from infra.operations.manager import process
from infra.operations.paths import Layout
from infra.setup.paths import ROOT
from tests.infra.manager.serving import wait_until

# It outlives the command that starts it, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
COPIED = ("infra", "skyfleet", "Pulumi.yaml", "Pulumi.local.yaml", "locks/project.txt")


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    """A checkout without a deployment; a manager that is left is killed."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy2(source, target)
    found = Layout(tmp_path)
    yield found
    if (left := process.running(found)) is not None:
        os.kill(left.pid, signal.SIGKILL)


def environment(layout: Layout) -> dict[str, str]:
    return child_environment(layout, os.environ)


def test_a_manager_is_started_once_and_again_when_its_code_has_changed(layout: Layout) -> None:
    """On the same port, and it ends at SIGTERM with its file."""
    first = process.ensure_running(layout, environment(layout))
    with session(first.url) as http:
        health = http.get(f"{first.url}/health", timeout=20).json()
        status = http.get(f"{first.url}/api/status", timeout=20)
    assert health == {"status": "ok", "stack": "local"}
    assert status.status_code in (200, 503)  # no deployment: no picture, or one that says so
    assert process.ensure_running(layout, environment(layout)) == first
    (layout.root / "infra" / "added.py").write_text('"""New."""\n')
    second = process.ensure_running(layout, environment(layout))
    assert (second.url, second.pid != first.pid) == (first.url, True)
    assert process.stop(layout, second)
    assert process.running(layout) is None
    assert not layout.manager_file().exists()
    with pytest.raises(requests.ConnectionError), session(first.url) as http:
        http.get(f"{first.url}/health", timeout=20)


def test_a_killed_manager_is_no_obstacle(layout: Layout) -> None:
    """Its file names a process that is gone, and its lock went with it."""
    first = process.ensure_running(layout, environment(layout))
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: process.running(layout) is None)
    second = process.ensure_running(layout, environment(layout))
    assert second.pid != first.pid
    assert process.stop(layout, second)


def test_a_manager_that_does_not_start_is_said_with_its_log(layout: Layout) -> None:
    """Here its code is broken."""
    (layout.root / "infra" / "manager" / "assembly.py").write_text("raise SystemExit('broken on purpose')\n")
    with pytest.raises(CommandFailed, match=r"(?s)did not start.*broken on purpose.*manager\.log"):
        process.ensure_running(layout, environment(layout))
