"""The log files of the emulated functions: selection, last lines, new lines.

The rule of this file: it only reads files; the caller decides when to stop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROLES = ("agent", "router", "checker")
# A log may be large; only its end is read.
TAIL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class LogFile:
    """The log of a function or of the daemon. label: printed before each line."""

    label: str
    path: Path


def choose(logs: Path, clouds: tuple[str, ...], role: str | None) -> list[LogFile]:
    """The logs of the functions in `clouds`. role: a part of the function's name; None means all."""
    found: list[LogFile] = []
    for cloud in clouds:
        for path in sorted((logs / cloud).glob("*.log")):
            if role is None or role in path.stem.split("-"):
                found.append(LogFile(f"{cloud}/{path.stem}", path))
    return found


def tail(file: LogFile, lines: int) -> tuple[list[str], int]:
    """The last `lines` lines, and the position after them."""
    size = file.path.stat().st_size
    with file.path.open("rb") as opened:
        opened.seek(max(0, size - TAIL_BYTES))
        content = opened.read(TAIL_BYTES)
        end = opened.tell()
    shown = content.decode(errors="replace").splitlines()
    return (shown[-lines:] if lines else []), end


@dataclass(slots=True)
class Follower:
    """Reads the complete lines that were added to a log; a shorter file is read from its start."""

    file: LogFile
    position: int
    rest: bytes = b""

    def new_lines(self) -> Iterator[str]:
        """The lines that were completed since the last call."""
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
