"""Run the contestants: all at once on the first core, one under load at a time.

Rules
- The proxies are on the first core; targets and load are on the last one. With a single core nothing is
  pinned, and the document says so.
- Each round loads all contestants in random order, so a disturbance affects all alike. Idle ones sleep.
  Ratios are of one round.
- A contestant with a wrong reply is not timed.
- CPU time is that of a contestant's whole process group, as the kernel counts it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.failover.peers.debian import Program
from bench.router import load
from bench.router.configs import upstream_config
from bench.router.contestants import Installed, Site, Start
from bench.router.shapes import BODY, HEADERS, REPLY

DIRECT: Final = "direct"
_READY_S: Final = 60.0
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_STREAMS: Final = 1_000
_MEASURED: Final = 10_000  # requests before memory is read


class NotStarted(Exception):
    """A process did not become ready, or does not proxy; the message says which."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long everything is measured. many_s, one_s: a slice with 32 connections and with one."""

    rounds: int
    many_s: float
    one_s: float
    streams_s: float
    stream_rounds: int
    imports: int


FULL: Final = Length(rounds=9, many_s=2, one_s=1, streams_s=5, stream_rounds=5, imports=25)
QUICK: Final = Length(rounds=3, many_s=1, one_s=1, streams_s=2, stream_rounds=1, imports=7)


def cores() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How to pin a proxy, and everything else; empty on one core."""
    free = sorted(os.sched_getaffinity(0))
    if len(free) < 2:
        return (), ()
    return ("taskset", "-c", str(free[0])), ("taskset", "-c", str(free[-1]))


def free_port() -> int:
    """A port without a listener just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Group:
    """A started process and its children."""

    def __init__(self, name: str, start: Start, pin: Sequence[str], log: Path, path: str) -> None:
        self.name, self.log = name, log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [*pin, *start.argv],
                env={"PATH": path, **start.environ},
                cwd=start.cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def ready(self, url: str) -> None:
        """Wait until it answers there."""
        until = time.monotonic() + _READY_S
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url, timeout=5).read()  # noqa: S310
                return
            time.sleep(0.1)
        raise NotStarted(f"{self.name} is not ready: {self.log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """The whole group, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def cpu_s(self) -> float:
        """User and system time so far."""
        return sum(int(fields[11]) + int(fields[12]) for _, fields in self._members()) * _TICK_S

    def resident_mb(self) -> float:
        """Memory of all its processes."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid, _ in self._members()]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _members(self) -> list[tuple[str, list[str]]]:
        """Process ids of the group with the fields of /proc/PID/stat from the third on."""
        found: list[tuple[str, list[str]]] = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[2]) == self._process.pid:
                        found.append((folder.name, fields))
        return found


@dataclass
class Stage:
    """All that runs. groups, ports: of the contestants."""

    groups: dict[str, Group]
    ports: dict[str, int]
    pin: tuple[str, ...]
    tool: Program
    lua: Path
    streams: dict[str, int]
    streams_direct: int


@contextlib.contextmanager
def staged(
    installed: Mapping[str, Installed],
    streaming: Sequence[str],
    nginx: Program,
    tool: Program,
    folder: Path,
    root: Path,
) -> Generator[Stage]:
    """Targets and contestants, started and stopped. streaming: which run the event streams."""
    proxy_pin, other_pin = cores()
    path, certificate = os.environ.get("PATH", ""), root / "tests" / "router" / "net" / "tls" / "cert.pem"
    running: list[Group] = []

    def started(name: str, start: Start, pin: Sequence[str], url: str) -> Group:
        group = Group(name, start, pin, folder / f"{name}.log", path)
        running.append(group)
        group.ready(url)
        return group

    try:
        plain, tls = tuple(free_port() for _ in range(3)), tuple(free_port() for _ in range(3))
        config = folder / "upstream.conf"
        (folder / "upstream").mkdir()
        config.write_text(upstream_config(folder / "upstream", plain, tls, certificate))
        argv = (nginx.path, "-p", str(folder / "upstream"), "-e", "stderr", "-c", str(config))
        started("upstream", Start(argv, nginx.environ), other_pin, f"http://127.0.0.1:{plain[0]}/health")
        events = tuple(free_port() for _ in range(3))
        argv = (sys.executable, "-m", "bench.router.streams", "serve", *map(str, events))
        told = {"PYTHONPATH": str(root)}
        started("streams", Start(argv, told), other_pin, f"http://127.0.0.1:{events[0]}/health")
        lua = folder / "request.lua"
        load.script(lua)
        stage = Stage({}, {DIRECT: plain[0]}, other_pin, tool, lua, {}, events[0])
        for name, one in installed.items():
            for kind, targets in (("", plain), ("-streams", events)):
                if kind and name not in streaming:
                    continue
                own = folder / f"{name}{kind}"
                own.mkdir()
                port = free_port()
                start = one.start(Site(own, port, targets, tls, certificate))
                group = started(f"{name}{kind}", start, proxy_pin, f"http://127.0.0.1:{port}/health")
                stage.groups[f"{name}{kind}"] = group
                (stage.streams if kind else stage.ports)[name] = port
                if not kind:
                    _proves(name, port)
        yield stage
    finally:
        for group in reversed(running):
            group.stop()


def _proves(name: str, port: int) -> None:
    """It passes the request on and the reply back."""
    headers = {key.decode(): value.decode() for key, value in HEADERS}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/invoke", BODY, headers, method="POST")
    for _ in range(30):
        try:
            with urllib.request.urlopen(asked, timeout=10) as reply:  # noqa: S310
                found = reply.read().decode()
        except urllib.error.HTTPError as error:
            found = f"{error.code} {error.read()[:200].decode(errors='replace')}"
        if found != REPLY:
            raise NotStarted(f"{name} gives another reply than its target: {found[:300]}")


def measure(stage: Stage, length: Length, tell: Callable[[str], None]) -> dict[str, Any]:
    """All samples: {"requests": {name: [{...} per round]}, "memory": {name: MB}, "streams": {...}}."""
    memory: dict[str, float] = {}
    for name in stage.groups:
        if name in stage.ports:
            memory[name] = _warmed(stage, name, length)
            tell(f"warm: {name}, {memory[name]:.1f} MB")
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in stage.ports}
    for number in range(length.rounds):
        for name in random.sample(sorted(stage.ports), len(stage.ports)):
            samples[name].append(_slice(stage, name, length))
        tell(f"round {number + 1} of {length.rounds}")
    streams: dict[str, list[dict[str, float]]] = {name: [] for name in (DIRECT, *stage.streams)}
    for number in range(length.stream_rounds):
        for name in random.sample(sorted(streams), len(streams)):
            streams[name].append(_stream(stage, name, length))
        tell(f"streams: round {number + 1} of {length.stream_rounds}")
    return {"requests": samples, "memory": memory, "streams": streams}


def _warmed(stage: Stage, name: str, length: Length) -> float:
    """Its memory after 10,000 requests; of those slower than 1,000 a second, after ten seconds."""
    done, until = 0, time.monotonic() + 10
    while done < _MEASURED and time.monotonic() < until:
        done += load.run(stage.tool, stage.pin, stage.lua, stage.ports[name], 32, length.many_s).requests
    return stage.groups[name].resident_mb()


def _slice(stage: Stage, name: str, length: Length) -> dict[str, float]:
    group, port = stage.groups.get(name), stage.ports[name]
    before = group.cpu_s() if group else 0.0
    many = load.run(stage.tool, stage.pin, stage.lua, port, 32, length.many_s)
    cpu = group.cpu_s() - before if group else 0.0
    one = load.run(stage.tool, stage.pin, stage.lua, port, 1, length.one_s)
    return {
        "per_s": many.per_s,
        "cpu_us": 1e6 * cpu / max(1, many.requests),
        "p50": one.p50,
        "p99": one.p99,
        "errors": many.errors + one.errors,
    }


def _stream(stage: Stage, name: str, length: Length) -> dict[str, float]:
    port = stage.streams.get(name, stage.streams_direct)
    group = stage.groups.get(f"{name}-streams")
    argv = [*stage.pin, sys.executable, "-m", "bench.router.streams", "read", str(port), str(_STREAMS)]
    with subprocess.Popen([*argv, "2", str(length.streams_s)], stdout=subprocess.PIPE, text=True) as reader:
        if reader.stdout is None:
            raise RuntimeError("the reader has no output")
        reader.stdout.readline()
        before = group.cpu_s() if group else 0.0
        said = reader.stdout.readline()
        cpu = group.cpu_s() - before if group else 0.0
    return {**json.loads(said), "cpu": cpu / length.streams_s}
