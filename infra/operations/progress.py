"""Progress of a long command on stderr: a spinner on a terminal, plain lines elsewhere."""

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
    """Shows the steps of a command. `message` prints a line that stays, `update` the present activity.

    `operation` is a finished operation on a resource, as a line and as `what type name`.
    """

    def step(self, title: str) -> Generator[None]: ...
    def message(self, text: str) -> None: ...
    def update(self, text: str) -> None: ...
    def operation(self, line: str, words: str) -> None: ...


class PlainProgress:
    """Prints a line when a step begins and when it ends."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock

    def step(self, title: str) -> Generator[None]:
        began = self._clock()
        self._write(f"{title} ...")
        yield
        self._write(f"{title}: done in {self._clock() - began:.1f} s")

    def message(self, text: str) -> None:
        self._write(f"  {text}")

    def update(self, text: str) -> None:
        """Prints nothing: plain lines show no passing activity."""

    def operation(self, line: str, words: str) -> None:
        self.message(line)


class RichProgress:
    """Shows a spinner with the present activity, and the duration of each step."""

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

    def message(self, text: str) -> None:
        self._console.print(f"  {text}", style="dim", markup=False)

    def update(self, text: str) -> None:
        if self._status is not None:
            from rich.markup import escape

            self._status.update(f"{self._title} [dim]{escape(text)}[/dim]")

    def operation(self, line: str, words: str) -> None:
        self.message(line)
        self.update(words.partition(" ")[2])


def make_progress() -> Progress:
    """A spinner if stderr is a terminal, else plain lines."""
    if sys.stderr.isatty():
        return RichProgress()

    def write(text: str) -> None:
        with contextlib.suppress(OSError):  # the reader has closed the pipe; the work goes on
            print(text, file=sys.stderr, flush=True)

    return PlainProgress(write)


@contextmanager
def step(progress: Progress, title: str) -> Generator[None]:
    """A step of a command, as a context manager. A step that fails prints no end line."""
    yield from progress.step(title)
