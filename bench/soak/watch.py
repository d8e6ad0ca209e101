"""What the router's process holds: memory, descriptors, sockets and tasks, and what its status counts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. at_s: from the begin of the load. rss_mb: resident memory. inflight: active requests of all
    targets, as the status has them. cpu_s: of the process since its start."""

    at_s: float
    rss_mb: float
    descriptors: int
    sockets: int
    tasks: int
    inflight: int
    cpu_s: float


def sample(pid: int, tasks: Path, status: Mapping[str, Any], at_s: float) -> Sample:
    """Look at a process. tasks: the file of `bench.soak.counted`. status: `GET /api/status`. OSError: the
    process has ended."""
    process = Path("/proc") / str(pid)
    links = [_link(one) for one in (process / "fd").iterdir()]
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        round(at_s, 1),
        round(int((process / "statm").read_text().split()[1]) * _PAGE / 2**20, 2),
        len(links),
        sum(one.startswith("socket:") for one in links),
        int(tasks.read_text()),
        sum(int(target["inflight"]) for target in status["targets"]),
        (int(fields[11]) + int(fields[12])) * _TICK_S,
    )


def _link(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""  # it was closed meanwhile
