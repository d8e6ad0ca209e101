"""What can go wrong in the router, by whose fault it is.

    RouterError
    ├── SettingsError   ours: the environment of this function (all mistakes at once)
    ├── CallerError     the caller's: answered with `status` and a JSON error
    │   └── SnapshotRefused   a health document that cannot be believed
    └── IllegalEvent    ours: an event that the health table does not know

A message says what happened, what was found and what to do. No secret is ever part of one.
"""

from __future__ import annotations

from collections.abc import Sequence


class RouterError(Exception):
    """Base of everything that this room raises on purpose."""


class SettingsError(RouterError):
    """The environment does not make a working router; lists every mistake."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        lines = "\n".join(f"  - {mistake}" for mistake in self.mistakes)
        super().__init__(f"The configuration has {len(self.mistakes)} mistake(s):\n{lines}")


class CallerError(RouterError):
    """The request cannot be served as it is."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(message)


class SnapshotRejected(CallerError):
    """A health document is not folded in; the last good view stays."""

    def __init__(self, reason: str) -> None:
        super().__init__(400, "snapshot-rejected", reason)


class IllegalEvent(RouterError):
    """The health table has no row for this event in this status."""
