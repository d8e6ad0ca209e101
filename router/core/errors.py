"""Errors of the router, by cause.

    RouterError
    ├── SettingsError   the environment of this function is invalid (all mistakes at once)
    ├── CallerError     the client's request is invalid: answered with `status` and a JSON error
    │   └── SnapshotRejected   a checker's snapshot is invalid
    └── IllegalEvent    a defect of the router: an event that the health table does not have

A message tells what happened, what was found and what to do. It never has a secret.
"""

from __future__ import annotations

from collections.abc import Sequence

from skyfleet.asgi import Header


class RouterError(Exception):
    """Base of the errors that the router raises itself."""


class SettingsError(RouterError):
    """The environment does not make a working router; lists every mistake."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        lines = "\n".join(f"  - {mistake}" for mistake in self.mistakes)
        super().__init__(f"The configuration has {len(self.mistakes)} mistake(s):\n{lines}")


class CallerError(RouterError):
    """The request cannot be served as it is. fields: header fields that its status requires."""

    def __init__(self, status: int, code: str, message: str, fields: Sequence[Header] = ()) -> None:
        self.status, self.code, self.message, self.fields = status, code, message, tuple(fields)
        super().__init__(message)


class SnapshotRejected(CallerError):
    """A snapshot is invalid; the last valid one of its checker stays."""

    def __init__(self, reason: str) -> None:
        super().__init__(400, "snapshot-rejected", reason)


class IllegalEvent(RouterError):
    """The health table has no row for this event in this status."""
