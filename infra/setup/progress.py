"""Progress of the set-up: a line that counts seconds on a terminal, else a line from time to time.

The rule of this file: it only prints, and only to stderr, since programs read stdout.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

# How often a log without a terminal, as in CI, gets a line.
QUIET_EVERY_S = 30.0


class Console:
    """Prints steps. stream: None, as in a process without stderr, prints nothing."""

    def __init__(self, stream: TextIO | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._live = bool(stream and stream.isatty())
        self._open = False
        self._last = clock()

    def line(self, text: str) -> None:
        """Print a line."""
        self._close()
        self._write(text + "\n")

    def tick(self, title: str, elapsed_s: float) -> None:
        """Show that a step still runs."""
        if self._live:
            self._write(f"\r\x1b[2K{title} … {elapsed_s:.0f} s")
            self._open = True
        elif self._clock() - self._last >= QUIET_EVERY_S:
            self._write(f"{title} ... still running after {elapsed_s:.0f} s\n")

    def done(self, title: str, elapsed_s: float) -> None:
        """Print that a step has succeeded."""
        if self._live and self._open:
            self._write("\r\x1b[2K")
            self._open = False
        self._write(f"{title}: {elapsed_s:.1f} s\n")

    def _close(self) -> None:
        if self._open:
            self._write("\n")
            self._open = False

    def _write(self, text: str) -> None:
        self._last = self._clock()
        if self._stream is None:
            return
        self._stream.write(text)
        self._stream.flush()
