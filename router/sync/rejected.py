"""Documents that were rejected, and why, for the status.

Rules
- Rejections from known checkers and stored objects are listed until a valid document replaces them; all
  others for five minutes.
- Only the newest few sources are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from router.core.policy import SKEW_S
from skyfleet.values import frozen

# Long enough for an operator to read why a snapshot changed nothing.
NAMED_S: Final = 300.0
# No checker's name has a dot (`targets.is_name`), every stored object ends like this.
_STORED: Final = ".json"


@frozen
class Rejection:
    """Why, and when it was last noted (unix s). lasting: listed until a valid document replaces it."""

    reason: str
    at: float
    lasting: bool


def still_listed(rejections: Mapping[str, Rejection], now: float) -> dict[str, Rejection]:
    """Those to list at `now`. One from the future predates a clock set back and is dropped."""
    return {
        source: one for source, one in rejections.items() if one.lasting or -SKEW_S <= now - one.at < NAMED_S
    }


class Rejected:
    """What one router instance rejects, by source: a checker, a stored object, or neither."""

    def __init__(self, checkers: Collection[str], clock: Callable[[], float]) -> None:
        """checkers: the configured ones. clock: unix seconds."""
        self._checkers, self._clock = checkers, clock
        self._rejections: dict[str, Rejection] = {}

    def note(self, source: str, reason: str) -> None:
        """Remember why a document was rejected."""
        self._rejections = still_listed(self._rejections, self._clock())
        self.forget(source)
        lasting = source in self._checkers or source.endswith(_STORED)
        self._rejections[source] = Rejection(reason, self._clock(), lasting)
        while len(self._rejections) > len(self._checkers) + 1:
            del self._rejections[next(iter(self._rejections))]

    def forget(self, source: str) -> None:
        """A valid document came from there, or the object is gone."""
        self._rejections.pop(source, None)

    def as_json(self) -> dict[str, str]:
        """The reasons by source. It changes nothing."""
        listed = still_listed(self._rejections, self._clock())
        return {source: one.reason for source, one in listed.items()}
