"""Progress of a deployment as events of a job.

The percentage is an estimate: how many resources an operation touches is known when it has ended. It never
goes back and reaches 100 with the result.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Final

from infra.manager.jobs.journal import Journal

STEPS: Final[Mapping[str, int]] = {"packages": 15, "emulated clouds": 20, "deployment": 25}
FROM, TO = 25, 92


class JobProgress:
    """Writes to a journal. expected: resources that the deployment touches; 0 if that is not known."""

    def __init__(self, journal: Journal, expected: int) -> None:
        self._journal = journal
        self._expected = expected
        self._done = 0

    def step(self, title: str) -> Generator[None]:
        self._journal.say(title, "step", STEPS.get(title))
        yield

    def message(self, text: str) -> None:
        self._journal.say(text)

    def update(self, text: str) -> None:
        """Says nothing: what passes is not worth a line of the history."""

    def operation(self, line: str, words: str) -> None:
        self._done += 1
        self._journal.say(words, "resource", percent(self._done, self._expected))


def percent(done: int, expected: int) -> int | None:
    """The percentage of the job after `done` of `expected` operations; None if that is not known."""
    if not expected:
        return None
    return FROM + int((TO - FROM) * min(1.0, done / expected))
