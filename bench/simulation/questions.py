"""Questions to the free /health of targets, as an instance asks them: one at a time for each target.

Rule: whoever asks while another waits shares that wait; whose answer somebody waits for is in doubt.
"""

from __future__ import annotations


class Questions:
    """Running questions of one router instance."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._waiting: dict[str, int] = {}

    def join(self, key: str, now: float) -> float:
        """One more waits; since when the question runs."""
        self._waiting[key] = self._waiting.get(key, 0) + 1
        return self._since.setdefault(key, now)

    def leave(self, key: str) -> None:
        """One less waits; the last one takes the question along."""
        self._waiting[key] -= 1
        if not self._waiting[key]:
            del self._waiting[key]
            del self._since[key]

    def pending(self) -> list[str]:
        """Targets that somebody waits for."""
        return list(self._waiting)
