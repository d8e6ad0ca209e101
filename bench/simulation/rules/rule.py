"""The interface of a rule, and the probes that an instance's requests share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from router.core.outcomes import Outcome
from router.core.request.budget import AttemptReason
from router.core.targets import Choice


class Rule(Protocol):
    """How one router instance picks targets, and what it learns from attempts.

    Times are in s or ms as named.
    """

    def choose(self, excluded: Collection[str], request_class: int = 0) -> Choice | None:
        """Pick a target for the next attempt; None when all are excluded. request_class: see
        `router.core.health.attribution`."""
        ...

    def afford(self, choice: Choice, reason: AttemptReason) -> bool:
        """Charge a further attempt to the budget; whether it may be sent."""
        ...

    def hedge_after_s(self) -> float:
        """Delay after which a request is hedged (s); infinite without hedges."""
        ...

    def sent(self, key: str) -> None:
        """An attempt was sent to the target `key`."""
        ...

    def ended(self, key: str) -> None:
        """An attempt at the target `key` has ended, however it ended."""
        ...

    def record(self, key: str, outcome: Outcome, retry_after_s: float | None, request_class: int = 0) -> None:
        """The outcome of an attempt. retry_after_s: of a 429 that has it."""
        ...

    def report_first_event(self, key: str, milliseconds: float, load: float, cold: bool) -> None:
        """A good reply began. load: utilisation that its target reported. cold: after a cold start."""
        ...

    def report_censored(self, choice: Choice, milliseconds: float) -> None:
        """An attempt was abandoned after `milliseconds`, so its latency is longer."""
        ...

    def attempt_is_slow(self, key: str) -> None:
        """A hedge is sent for an attempt at the target `key`."""
        ...

    def verify(self, choice: Choice, unreachable: bool) -> None:
        """An attempt lost to a hedge; probe its target. unreachable: whether the probe will time out."""
        ...


class Probes:
    """Running probes of one router instance; requests for the same target share a probe."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._waiting: dict[str, int] = {}

    def join(self, key: str, now: float) -> float:
        """Let one more request wait for the probe; returns the start (s) of the probe."""
        self._waiting[key] = self._waiting.get(key, 0) + 1
        return self._since.setdefault(key, now)

    def leave(self, key: str) -> None:
        """Let a request wait no longer; the last one ends the probe."""
        self._waiting[key] -= 1
        if not self._waiting[key]:
            del self._waiting[key]
            del self._since[key]

    def pending(self) -> list[str]:
        """Keys of the targets with a running probe."""
        return list(self._waiting)
