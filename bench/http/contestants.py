"""This router, nginx and HAProxy, each in front of a recording upstream.

Rules
- Each runs as `make bench-router` runs it: this router on the server of its AWS form, the peers as their
  packages ship them, each with one target.
- The router is open (no API key), since what is under test comes before any key.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.failover.peers.base import Absent, Bench
from bench.http.wire import Recorder, recording
from bench.router import contestants as c
from bench.router.run import Group, free_port

OWN: Final = c.AWS
NAMES: Final = (OWN, c.NGINX, c.HAPROXY)
TITLES: Final[Mapping[str, str]] = {OWN: "this router", c.NGINX: "nginx", c.HAPROXY: "HAProxy"}


@dataclass(frozen=True, slots=True)
class Running:
    """A contestant. port: its own. upstream: what it sends requests to. version: in its own words."""

    port: int
    upstream: Recorder
    version: str


def _start(installed: c.Installed, site: c.Site, name: str) -> c.Start:
    start = installed.start(site)
    if name != OWN:
        return start
    environ = {key: value for key, value in start.environ.items() if key != "SKYFLEET_API_KEY_SHA256"}
    return replace(start, environ=environ | {"SKYFLEET_OPEN": "1"})


@contextlib.contextmanager
def started(bench: Bench, folder: Path, name: str, upstream: int) -> Generator[tuple[int, str]]:
    """Start one contestant before the upstream at a port; its own port and its version. Raises Absent."""
    installed = next(one for one in c.CONTESTANTS if one.name == name).install(bench)
    certificate = bench.root / "tests" / "router" / "net" / "tls" / "cert.pem"
    own, port = folder / name, free_port()
    own.mkdir()
    start = _start(installed, c.Site(own, port, (upstream,), (), certificate), name)
    group = Group(name, start, (), folder / f"{name}.log", os.environ.get("PATH", ""))
    try:
        group.ready(f"http://127.0.0.1:{port}/health")
        yield port, installed.version
    finally:
        group.stop()


@contextlib.contextmanager
def running(bench: Bench, folder: Path, names: Sequence[str] = NAMES) -> Generator[dict[str, Running]]:
    """Start the contestants that this machine can have; the bench needs this router among them."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Running] = {}
        for name in names:
            recorder = stack.enter_context(recording())
            try:
                port, version = stack.enter_context(started(bench, folder, name, recorder.port))
            except Absent as reason:
                bench.console.line(f"absent: {name}: {reason}")
                continue
            found[name] = Running(port, recorder, version)
        yield found
