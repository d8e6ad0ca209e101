"""The log files of the emulated functions: selection, last lines, new lines.

The rule of this file: it only reads files; the caller decides when to stop.

Checkers probe each function several times a minute, and Azure's web server writes a line for each. Such lines
hide what an agent prints, so they are left out unless they are asked for. A check that failed is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROLES = ("agent", "router", "checker")
# A log may be large; only its end is read. The last hour of health checks alone takes a third of this.
TAIL_BYTES = 1024 * 1024

Filter = Callable[[str], bool]

# uvicorn's line of a successful probe, of a checker's snapshot, and of what `skyfleet status` reads.
_READS = r"GET /health|POST /_skyfleet/health|GET /api/(status|control)"
_CHECK = re.compile(rf'INFO: +\S+ - "({_READS})(\?\S*)? HTTP/[\d.]+" 2\d\d\b')


def is_check(line: str) -> bool:
    """Whether a line of a log reports a successful health check or a read of the fleet's status."""
    return _CHECK.match(line) is not None


def is_news(line: str) -> bool:
    """Whether a line is shown by default."""
    return not is_check(line)


def everything(_line: str) -> bool:
    """A filter that keeps each line."""
    return True


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


def tail(file: LogFile, lines: int, keep: Filter = everything) -> tuple[list[str], int]:
    """The last `lines` lines that `keep` accepts, and the position after them."""
    size = file.path.stat().st_size
    with file.path.open("rb") as opened:
        opened.seek(max(0, size - TAIL_BYTES))
        content = opened.read(TAIL_BYTES)
        end = opened.tell()
    shown = list(filter(keep, content.decode(errors="replace").splitlines()))
    return (shown[-lines:] if lines else []), end


@dataclass(slots=True)
class Follower:
    """Reads the complete lines that were added to a log; a shorter file is read from its start."""

    file: LogFile
    position: int
    keep: Filter = everything
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
        yield from filter(self.keep, (line.decode(errors="replace") for line in whole))
