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
def running(bench: Bench, folder: Path, names: Sequence[str] = NAMES) -> Generator[dict[str, Running]]:
    """Start the contestants that this machine can have; the bench needs this router among them."""
    every = {one.name: one for one in c.CONTESTANTS}
    certificate = bench.root / "tests" / "router" / "net" / "tls" / "cert.pem"
    with contextlib.ExitStack() as stack:
        found: dict[str, Running] = {}
        for name in names:
            try:
                installed = every[name].install(bench)
            except Absent as reason:
                bench.console.line(f"absent: {name}: {reason}")
                continue
            recorder, own, port = stack.enter_context(recording()), folder / name, free_port()
            own.mkdir()
            start = _start(installed, c.Site(own, port, (recorder.port,), (), certificate), name)
            group = Group(name, start, (), folder / f"{name}.log", os.environ.get("PATH", ""))
            stack.callback(group.stop)
            group.ready(f"http://127.0.0.1:{port}/health")
            found[name] = Running(port, recorder, installed.version)
        yield found
