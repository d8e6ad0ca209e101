"""Requests that no target can take wait here, and one loop probes all targets for them.

Rules
- A request of which nothing was sent waits safely, also one that must not be repeated; so does a repeatable
  one whose targets could not be reached. Each waits at most `queue_timeout_s` from its start, and never
  past its deadline.
- A queued request is not resent to a target that may have executed it, unless the connection was reset, the
  request is retryable and the target has failed a probe since (it restarted). A request for which no other
  target is left is told when its target answers all the while.
- While a request waits, all targets are probed, a few each round, a round each `queue_pause_s`. An answer
  resumes every request that may be sent there. While other targets are out, that is `_TOGETHER_S` later, so
  that targets that return together share the requests.
- The loop goes on for `queue_timeout_s` after the last request has left, so that it notices the other
  targets that return: a total outage is not a target's own fault, so each serves again at its first answer,
  in slow start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from router.core.balance.balancer import Balancer
from router.proxy.prober import Prober

# Probes of one round; with more targets than this the rounds take turns.
_ROUND: Final = 5
# Longer than a warm /health takes between two continents, and no client notices it after an outage.
_TOGETHER_S: Final = 0.05


class QueuedRequest(Protocol):
    """A request that waits for a target to return."""

    def can_retry_on(self, key: str) -> bool:
        """Whether it can be sent to that target."""
        ...

    def on_target_failed(self, key: str) -> None:
        """A probe of that target failed."""
        ...

    def on_target_ok(self, key: str) -> None:
        """A probe of that target succeeded, but this request cannot be sent there."""
        ...

    def on_target_back(self) -> None:
        """A target that it can be sent to has answered; it has left the queue."""
        ...


class RequestQueue:
    """The queued requests of one router instance."""

    def __init__(self, balancer: Balancer, prober: Prober, ticks: Callable[[], float]) -> None:
        self._balancer, self._prober, self._ticks = balancer, prober, ticks
        self._waiting: dict[QueuedRequest, float] = {}  # since when
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._next = 0
        self._leaves: list[Callable[[], None]] = []
        # Targets that have answered and whose requests have not resumed yet: when (ticks).
        self._answered: dict[str, float] = {}
        self._resuming: asyncio.TimerHandle | None = None

    def wait(self, one: QueuedRequest) -> None:
        """Queue a request until a target answers."""
        self._waiting[one] = self._ticks()
        self._until = self._ticks() + self._balancer.policy.queue_timeout_s
        if self._timer is None:
            self._round()

    def leave(self, one: QueuedRequest) -> None:
        """Take a request out."""
        self._waiting.pop(one, None)

    def close(self) -> None:
        """Stop the loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        self._waiting.clear()

    def _round(self) -> None:
        self._timer = None
        for leave in self._leaves:
            leave()
        self._leaves = []
        if self._waiting:
            self._until = self._ticks() + self._balancer.policy.queue_timeout_s
        # A target that reset one request need not be out yet, and may have gone all the same.
        keys = list(self._balancer.targets) if self._waiting else self._balancer.out()
        if not keys or self._ticks() >= self._until:
            return
        for step in range(min(_ROUND, len(keys))):
            key = keys[(self._next + step) % len(keys)]
            if self._prober.is_overdue(key):
                self._probed(key, False)
            self._leaves.append(self._prober.verify(key, partial(self._probed, key), 0.0)[1])
        self._next += _ROUND
        self._timer = asyncio.get_running_loop().call_later(self._balancer.policy.queue_pause_s, self._round)

    def _probed(self, key: str, alive: bool) -> None:
        if not alive:
            for one in self._waiting:
                one.on_target_failed(key)
            return
        self._balancer.back(key)
        self._answered[key] = self._ticks()
        if not self._balancer.out():
            self._resume()
        elif self._resuming is None:
            self._resuming = asyncio.get_running_loop().call_later(_TOGETHER_S, self._resume)

    def _resume(self) -> None:
        """Send the requests that may go to a target that has answered."""
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        answered, self._answered = self._answered, {}
        waiting = [one for one in self._waiting if any(map(one.can_retry_on, answered))]
        # An answer may be as old as this; what came before the connection broke says nothing.
        fresh_s = self._balancer.policy.probe_fresh_s
        others = [
            (one, key)
            for key, at in answered.items()
            for one, since in self._waiting.items()
            if since < at - fresh_s and one not in waiting
        ]
        for one in waiting:
            del self._waiting[one]
        for one in waiting:
            one.on_target_back()
        for one, key in others:
            one.on_target_ok(key)
