"""Show the progress of a manager's job: a bar on a terminal, plain lines elsewhere; both on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from infra.operations import json_access
from infra.operations.json_access import JsonObject


class Shown(Protocol):
    """Takes the events of a job."""

    def event(self, event: JsonObject) -> None: ...
    def say(self, text: str) -> None: ...


class _Lines:
    def event(self, event: JsonObject) -> None:
        percent = json_access.number(event.get("percent"))
        known = f"{percent:3.0f} % " if percent is not None else ""
        self.say(f"{known}{_text(event)}")

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the reader has closed the pipe; the job goes on
            print(text, file=sys.stderr, flush=True)


@contextmanager
def showing(title: str) -> Generator[Shown]:
    """A display of a job's progress."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(escape(title), total=100)

        class OnTerminal:
            """Moves the bar and prints the events above it."""

            def event(self, event: JsonObject) -> None:
                percent = json_access.number(event.get("percent"))
                if percent is not None:
                    bar.update(task, completed=percent)
                is_step = event.get("kind") == "step"
                console.print(_text(event), style="" if is_step else "dim", markup=False)

            def say(self, text: str) -> None:
                console.print(text, markup=False)

        yield OnTerminal()


def _text(event: JsonObject) -> str:
    return str(json_access.printable(json_access.string(event.get("text"))))


def closing(job: JsonObject) -> str:
    """The last lines about a job: its plan, its state and its result."""
    plan = json_access.strings(json_access.printable(job.get("plan")))
    state = json_access.string(job.get("state"))
    result = str(json_access.printable(json_access.string(job.get("result"))))
    return "\n".join([*(f"  {line}" for line in plan), f"{state}: {result}" if result else state])
