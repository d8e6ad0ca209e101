"""A router in a process of its own, started as the package of a cloud is started, in front of one target.

- AWS: what `run.sh` starts. Google: functions-framework with the packages of the router's lock. Both listen
  on loopback, with no front end before them.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from emulator.runtime.instances.wheels import Wheels, cache_folder
from emulator.runtime.ports import for_instance
from tests.end_to_end.kit import UV, target
from tests.router.support import ROOTS

Form = Literal["aws", "gcp"]
CHECKOUT: Final = Path(__file__).resolve().parents[2]
CARRIED: Final = ("functions", "router", "skyfleet")
START_S: Final = 60.0


class Running:
    """A running router."""

    def __init__(self, form: Form, process: subprocess.Popen[bytes], port: int) -> None:
        self.form, self.process, self.port = form, process, port

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def memory_kb(self) -> int:
        """Of the process that serves, now. Its peak counts from here (proc(5), clear_refs)."""
        (self._proc / "clear_refs").write_text("5")
        return self._line("VmRSS")

    def peak_kb(self) -> int:
        """The most memory since `memory_kb`."""
        return self._line("VmHWM")

    @property
    def _proc(self) -> Path:
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return Path(f"/proc/{children[0] if children else own}")  # gunicorn's worker is a child

    def _line(self, name: str) -> int:
        lines = (self._proc / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def environment(form: Form, url: str, **more: str) -> dict[str, str]:
    """What a deployment gives to a router. url: of its one target."""
    target = {"cloud": "aws", "region": "r0", "url": url, "weight": 1, "repeatable": True}
    return {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "SKYFLEET_APP": "router.app:create",
        "SKYFLEET_CLOUD": form,
        "SKYFLEET_REGION": "r0",
        "SKYFLEET_TARGETS": json.dumps([target]),
        "SKYFLEET_ROOT_KEYS": ROOTS,
        "SKYFLEET_OPEN": "1",
        **more,
    }


@contextmanager
def started(form: Form, folder: Path, url: str, **more: str) -> Generator[Running]:
    """A router of this form in `folder`, until the end of the block. more: of its environment."""
    for name in CARRIED:
        (folder / name).symlink_to(CHECKOUT / name)
    held = for_instance()
    port = held.number
    program, own = _aws(port) if form == "aws" else _gcp(folder, port)
    environ = environment(form, url, **own, **more)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(program, cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            _wait(process, port, folder / "log")
            yield Running(form, process, port)
        finally:
            process.terminate()
            process.wait(20)
            held.release()


def _aws(port: int) -> tuple[list[str], Mapping[str, str]]:
    return [sys.executable, "-m", "functions.runtimes.aws"], {"AWS_LWA_PORT": str(port)}


def _gcp(folder: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    (folder / "main.py").write_bytes((CHECKOUT / "functions/runtimes/entry/gcp/main.py").read_bytes())
    wheels = Wheels(cache_folder(os.environ), UV, os.environ)
    lock = (CHECKOUT / "locks/router-gcp.txt").read_bytes()
    found = asyncio.run(wheels.install(lock, target()))
    return [str(target().path), "-P", "-m", "functions_framework"], {
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "FUNCTION_TARGET": "main",
        "FUNCTION_SOURCE": str(folder / "main.py"),
        "FUNCTION_SIGNATURE_TYPE": "http",
        "PYTHONPATH": str(found),
    }


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)
