"""Which log files a `skyfleet logs` means, and how their lines are shown.

The rule of this file: it reads files and nothing else; what ends the following is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROLES = ("agent", "router", "checker")
# A log may be large; the last lines are in its last part.
TAIL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class LogFile:
    """One function's log (or the daemon's own); `label` is put before its lines."""

    label: str
    path: Path


def choose(logs: Path, clouds: tuple[str, ...], role: str | None) -> list[LogFile]:
    """Logs of the functions in `clouds` whose name has `role` as a part."""
    found: list[LogFile] = []
    for cloud in clouds:
        for path in sorted((logs / cloud).glob("*.log")):
            if role is None or role in path.stem.split("-"):
                found.append(LogFile(f"{cloud}/{path.stem}", path))
    return found


def tail(file: LogFile, lines: int) -> tuple[list[str], int]:
    """The last `lines` lines, and the size up to which they were read."""
    size = file.path.stat().st_size
    with file.path.open("rb") as opened:
        opened.seek(max(0, size - TAIL_BYTES))
        said = opened.read(TAIL_BYTES)
        end = opened.tell()
    shown = said.decode(errors="replace").splitlines()
    return (shown[-lines:] if lines else []), end


@dataclass(slots=True)
class Follower:
    """New whole lines of one log since the last read; from the start when a shorter file replaced it."""

    file: LogFile
    position: int
    rest: bytes = b""

    def new_lines(self) -> Iterator[str]:
        """Lines that were completed since the last call."""
        try:
            if self.file.path.stat().st_size < self.position:
                self.position, self.rest = 0, b""
            with self.file.path.open("rb") as opened:
                opened.seek(self.position)
                fresh = opened.read()
        except FileNotFoundError:
            return
        self.position += len(fresh)
        *whole, self.rest = (self.rest + fresh).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
