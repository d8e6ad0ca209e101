"""Sessions of browsers that have logged in with a token, in memory: they end with the manager.

The cookie is a random id, not the token, since browsers send the cookies of one host to all of its ports (RFC
6265, section 8.5). A session is as good as its token: one that was revoked or has expired ends it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from infra.manager.access.tokens import Token, digest

COOKIE: Final = "skyfleet-manager"
# A working day.
LONGEST_S: Final = 12 * 3600.0
MOST: Final = 200


@dataclass(slots=True)
class Sessions:
    """Sessions by the hash of their id: the hash of their token, and when they end (Unix seconds)."""

    _open: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])

    def begin(self, token: Token, now: float) -> str:
        """The id of a new session; the oldest session makes room if there are too many."""
        session = secrets.token_urlsafe(32)
        self._open[digest(session)] = token.sha256, now + LONGEST_S
        while len(self._open) > MOST:
            del self._open[next(iter(self._open))]
        return session

    def find(self, session: str, tokens: Iterable[Token], now: float) -> Token | None:
        """The token of a session, expired or not; None when the session is unknown or over."""
        sha256, ends = self._open.get(digest(session), ("", 0.0))
        if now >= ends:
            self.end(session)
            return None
        return next((token for token in tokens if token.sha256 == sha256), None)

    def end(self, session: str) -> None:
        """Forget a session."""
        self._open.pop(digest(session), None)
