"""The daemon as a process: one per folder, the same ports after a restart, no child left after any end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from tests.end_to_end.kit import CHECKOUT, target

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("daemon")]

READY_S = 60.0  # imports on a busy machine

# Ports that no other test's emulator is given while a daemon of this module is down.
OWN_PORTS = """
from emulator.runtime import ports
ports.LOWEST, ports.HIGHEST = 32001, 32767
"""
DAEMON = f"""{OWN_PORTS}
import runpy
runpy.run_module("emulator", run_name="__main__", alter_sys=True)
"""

# An emulator in a process of its own: one function per cloud, called once, then it waits to be killed.
VICTIM = """
import asyncio, json, sys
from pathlib import Path
from emulator.desired.model import CLOUDS
from tests.end_to_end.kit import lab
async def main():
    async with lab(Path(sys.argv[1])) as here:
        said = {}
        for cloud in CLOUDS:
            spec = here.spec(cloud)
            await here.deploy(spec)
            async with here.session.get(here.url(spec, "/x")) as reply:
                assert reply.status == 201
        from emulator.runtime.describe import status
        print(json.dumps(status(here.emulator)), flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
# The same emulator after its daemon was killed: the world is back without a deploy.
HEIR = """
import asyncio, json, sys
from dataclasses import replace
from pathlib import Path
from emulator.desired.model import CLOUDS, DesiredState
from tests.end_to_end.kit import lab
async def main():
    ports = json.loads(sys.argv[2])
    async with lab(Path(sys.argv[1])) as here:
        specs = [replace(here.spec(cloud), port=ports[cloud]) for cloud in CLOUDS]
        await here.emulator.restore(DesiredState(functions=tuple(specs)))
        started = sum(host.version.pool.starts for host in here.emulator.hosts.values())
        statuses = []
        for spec in specs:
            async with here.session.get(here.url(spec, "/x")) as reply:
                statuses.append(reply.status)
        print(json.dumps({"started": started, "statuses": statuses}))
asyncio.run(main())
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def program(source: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWN_PORTS + source, *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )


def test_kill_9_leaves_no_child_and_a_restart_answers_again(tmp_path: Path) -> None:
    """Grandchildren included; the next emulator serves on the same ports and starts instances when called."""
    with program(VICTIM, str(tmp_path)) as victim:
        assert victim.stdout is not None
        said: dict[str, Any] = json.loads(victim.stdout.readline())
        pids = [int(pid) for function in said["functions"] for pid in function["pids"]]
        assert len(pids) >= 4
        assert all(map(alive, pids))
        victim.kill()
    until(lambda: not any(map(alive, pids)))
    ports = {str(function["cloud"]): function["port"] for function in said["functions"]}
    with program(HEIR, str(tmp_path), json.dumps(ports)) as heir:
        assert heir.stdout is not None
        assert json.loads(heir.stdout.read()) == {"started": 0, "statuses": [201, 201, 201]}


class Daemon:
    """A running daemon and its admin API."""

    def __init__(self, root: Path, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.note: dict[str, Any] = json.loads((root / "emulator.json").read_text())

    def call(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method,
                f"{self.note['admin']}{path}",
                json=body,
                headers={"authorization": f"Bearer {token or self.note['token']}"},
                timeout=20,
            )


def start(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            DAEMON,
            "--root",
            str(root),
            "--project",
            str(CHECKOUT),
            "--python",
            str(target().path),
        ],
        cwd=CHECKOUT,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def daemon(root: Path) -> Generator[Daemon]:
    """Ready, and stopped by SIGTERM afterwards."""
    with start(root) as process:
        try:
            until(lambda: (root / "emulator.json").exists() or process.poll() is not None, READY_S)
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            yield Daemon(root, process)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_the_admin_api_answers_and_refuses(tmp_path: Path) -> None:
    """Health, world, settings and faults with the token; 401 without, 404 and 400 that say what would do."""
    root = tmp_path / ".skyfleet"
    with daemon(root) as running:
        assert (root / "emulator.json").stat().st_mode & 0o777 == 0o600
        assert running.call("GET", "/v1/health").json()["status"] == "ok"
        assert running.call("GET", "/v1/status", token="wrong").status_code == 401
        assert "/v1/faults" in running.call("GET", "/v2").json()["error"]["message"]
        wrong = running.call("POST", "/v1/faults", {"cloud": "aws", "fault": "explode"})
        assert wrong.status_code == 400
        assert "blackhole" in wrong.json()["error"]["message"]
        assert running.call("PUT", "/v1/settings", {"minute_s": 0}).status_code == 400
        assert running.call("PUT", "/v1/settings", {"minute_s": 5}).json()["minute_s"] == 5
        injected = running.call("POST", "/v1/faults", {"cloud": "aws", "fault": "slow:800ms"}).json()
        assert injected["faults"] == [{"cloud": "aws", "scope": "agents", "fault": "slow:800ms"}]
        assert running.call("POST", "/v1/schedules/run", {"cloud": "aws"}).json() == {"schedules": []}
        providers = [each.partition(":")[0] for each in str(running.note["providers"]).split(",")]
        assert sorted(providers) == ["aws", "azure-native", "gcp", "random", "time"]
    assert not (root / "emulator.json").exists()


def test_ports_settings_and_faults_survive_a_restart(tmp_path: Path) -> None:
    """A broken cloud stays broken, a short minute short, and every address the same."""
    root = tmp_path / ".skyfleet"
    with daemon(root) as first:
        first.call("PUT", "/v1/settings", {"minute_s": 7})
        first.call("POST", "/v1/faults", {"cloud": "gcp", "fault": "kill", "scope": "all"})
        before = first.note
    with daemon(root) as second:
        assert {**second.note, "pid": 0} == {**before, "pid": 0}
        desired = cast("dict[str, Any]", second.call("GET", "/v1/status").json())
        assert desired["minute_s"] == 7
        assert desired["faults"] == [{"cloud": "gcp", "scope": "all", "fault": "kill"}]
        assert second.call("DELETE", "/v1/faults?cloud=gcp").json()["faults"] == []


def test_a_second_daemon_of_a_folder_is_refused(tmp_path: Path) -> None:
    """It names the one that runs, and leaves it alone."""
    root = tmp_path / ".skyfleet"
    with daemon(root) as first, start(root) as second:
        assert second.wait(READY_S) == 1
        assert second.stderr is not None
        assert str(first.process.pid) in second.stderr.read()
        assert first.call("GET", "/v1/health").ok


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """If another process listens on the admin port, the daemon ends with an error that names the port."""
    root = tmp_path / ".skyfleet"
    with daemon(root) as first:
        port = int(str(first.note["admin"]).rpartition(":")[2])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        with start(root) as second:
            assert second.wait(READY_S) == 1
            assert second.stderr is not None
            assert str(port) in second.stderr.read()
