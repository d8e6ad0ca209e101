"""What a person sees while something long runs: a spinner on a terminal, plain lines elsewhere; all on
stderr.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.status import Status


class Progress(Protocol):
    """Steps of a command. Inside a step `say` prints a lasting line and `now` tells what is being done."""

    def step(self, title: str) -> Generator[None]: ...
    def say(self, text: str) -> None: ...
    def now(self, text: str) -> None: ...


class PlainProgress:
    """One line when a step begins, one when it is done."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock

    def step(self, title: str) -> Generator[None]:
        began = self._clock()
        self._write(f"{title} ...")
        yield
        self._write(f"{title}: done in {self._clock() - began:.1f} s")

    def say(self, text: str) -> None:
        self._write(f"  {text}")

    def now(self, text: str) -> None:
        """A log has no use for what passes."""


class RichProgress:
    """A spinner with what is being done and for how long."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._clock = clock
        self._status: Status | None = None
        self._title = ""

    def step(self, title: str) -> Generator[None]:
        began = self._clock()
        self._title = title
        with self._console.status(title) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None
        self._console.print(f"[green]✓[/green] {title} [dim]{self._clock() - began:.1f} s[/dim]")

    def say(self, text: str) -> None:
        self._console.print(f"  {text}", style="dim", markup=False)

    def now(self, text: str) -> None:
        if self._status is not None:
            from rich.markup import escape

            self._status.update(f"{self._title} [dim]{escape(text)}[/dim]")


def progress() -> Progress:
    """Progress for a terminal or for plain lines, by what stderr is."""
    if sys.stderr.isatty():
        return RichProgress()

    def write(text: str) -> None:
        with contextlib.suppress(OSError):  # its reader has gone; the work goes on
            print(text, file=sys.stderr, flush=True)

    return PlainProgress(write)


@contextmanager
def step(shown: Progress, title: str) -> Generator[None]:
    """A part of a command, in a `with` statement; one that fails has no end line: the error is its end."""
    yield from shown.step(title)
