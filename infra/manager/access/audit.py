"""The audit log: one JSON line for each request that changes something or was not let in.

- Fields: `at` (UTC), `by` (name of the token), `action`, `target`, `status` (HTTP), `detail`, `job`. No body,
  no header, no token.
- The services tell what a request means, so a button of the page and the API write the same line.
- On a full disk the line goes to the manager's own log instead; the request is served.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

# About 50,000 lines; the file before it is kept as `.1`.
MOST_BYTES: Final = 10 * 2**20
_LOG: Final = logging.getLogger("skyfleet.manager.audit")
_present: ContextVar[dict[str, str] | None] = ContextVar("skyfleet-audit", default=None)


def begin() -> dict[str, str]:
    """Start the entry of this request; what `note` adds later in the same request is in it."""
    entry: dict[str, str] = {}
    _present.set(entry)
    return entry


def note(**fields: str) -> None:
    """Say what the present request means: action, target, job. Empty values are left out."""
    entry = _present.get()
    if entry is not None:
        entry.update({name: value for name, value in fields.items() if value})


def line(at: float, by: str, status: int, entry: Mapping[str, str]) -> str:
    """One line of the log. at: Unix seconds."""
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"at": when, "by": by, **entry, "status": status}) + "\n"


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Appends lines to a file that only its user may read."""

    path: Path

    def write(self, text: str) -> None:
        """Append one line. Several processes may write: a short line goes out in one write."""
        try:
            if self.path.exists() and self.path.stat().st_size > MOST_BYTES:
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(handle, text.encode())
            finally:
                os.close(handle)
        except OSError as error:
            _LOG.error("the audit log cannot be written (%s): %s", error.strerror, text.rstrip())
