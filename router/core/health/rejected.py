"""Documents that were not believed, and why, for the status.

Rules
- What was refused of a configured checker or of a stored object is named until something good comes from
  there. Of anybody else nothing good can come, so that is named for five minutes only.
- Only the newest few sources are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from router.core.policy import SKEW_S
from skyfleet.values import frozen

# Long enough to be read by who looks why a snapshot changed nothing.
NAMED_S: Final = 300.0
# No checker's name has a dot (`targets.is_name`), every stored object ends like this.
_STORED: Final = ".json"


@frozen
class Rejection:
    """Why, and when it was said last (unix s). lasting: it is named until it is forgotten."""

    reason: str
    at: float
    lasting: bool


def still_named(refusals: Mapping[str, Rejection], now: float) -> dict[str, Rejection]:
    """Those that have not had their time. What is said to come from the future was noted before the clock was
    set back, so its age is not known: it goes."""
    return {
        source: one for source, one in refusals.items() if one.lasting or -SKEW_S <= now - one.at < NAMED_S
    }


class Rejected:
    """What one router instance refuses, by source: a checker, a stored object, or neither."""

    def __init__(self, checkers: Collection[str], clock: Callable[[], float]) -> None:
        """checkers: the configured ones. clock: unix seconds."""
        self._checkers, self._clock = checkers, clock
        self._refusals: dict[str, Rejection] = {}

    def note(self, source: str, reason: str) -> None:
        """Remember why a document was not believed."""
        self.forget(source)
        lasting = source in self._checkers or source.endswith(_STORED)
        self._refusals[source] = Rejection(reason, self._clock(), lasting)
        while len(self._refusals) > len(self._checkers) + 1:
            del self._refusals[next(iter(self._refusals))]

    def forget(self, source: str) -> None:
        """Something good came from there, or nothing is there any more."""
        self._refusals.pop(source, None)

    def told(self) -> dict[str, str]:
        """The reasons by source."""
        self._refusals = still_named(self._refusals, self._clock())
        return {source: one.reason for source, one in self._refusals.items()}
