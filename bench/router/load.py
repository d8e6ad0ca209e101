"""One slice of load: wrk, a C program, with the same request for each contestant; its figures as JSON.

Closed loop: each connection sends its next request when it has the reply. Latencies in microseconds.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.failover.peers.base import Bench
from bench.failover.peers.debian import Program, program
from bench.router.shapes import BODY, HEADERS

_SCRIPT: Final = """\
wrk.method = "POST"
wrk.body = [==[{body}]==]
{headers}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{{"requests": %d, "took_us": %d, "p50": %d, "p99": %d, "errors": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Slice:
    """What a slice of load showed. per_s: requests. p50, p99: in microseconds."""

    requests: int
    per_s: float
    p50: float
    p99: float
    errors: int


def wrk(bench: Bench) -> Program:
    """From PATH or Debian's package."""
    return program(bench, "wrk", "usr/bin/wrk", ("wrk", "libluajit-5.1-2", "libluajit-5.1-common"))


def script(path: Path) -> None:
    """Write the request for wrk."""
    fields = [f'wrk.headers["{name.decode()}"] = "{value.decode()}"' for name, value in HEADERS]
    path.write_text(_SCRIPT.format(body=BODY.decode(), headers="\n".join(fields)))


def run(tool: Program, pin: Sequence[str], lua: Path, port: int, connections: int, seconds: float) -> Slice:
    """Load one port."""
    whole = max(1, round(seconds))
    argv = [*pin, tool.path, "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "10s", "-s", str(lua)]
    said = subprocess.run(
        [*argv, f"http://127.0.0.1:{port}/invoke"],
        env=tool.environ,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    ).stdout
    found = json.loads(said.strip().splitlines()[-1])
    per_s = found["requests"] / (found["took_us"] / 1e6)
    return Slice(found["requests"], per_s, found["p50"], found["p99"], found["errors"])
