"""When nothing can be sent to any target: requests wait here, and one loop asks for all of them who is back.

Rules
- Requests of which nothing was sent wait, so waiting is safe for every request, also for one that must not be
  repeated; and requests that may be repeated, when somebody could not be reached. Each waits at most
  `queue_timeout_s` from its start, and never past its deadline.
- Nobody is woken for a target where its request may have run already; except where its connection broke, a
  repeat does no harm, and the target did not answer for a while since: that one died and is back. Who goes
  on answering was not away; a request that has nobody else to wait for is told so.
- While somebody waits, all targets are asked for their free /health, a few a round, a round each
  `queue_pause_s`: one question per target, however many requests wait. The first answer wakes them all.
- The loop goes on for `queue_timeout_s` after the last request has left, so that the others that come back
  are noticed too: a total outage is nobody's own fault, and who answers serves again at once, easing in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from router.core.balance.balancer import Balancer
from router.proxy.prober import Prober


class Waiting(Protocol):
    """A request that waits for a target to come back."""

    def wants(self, key: str) -> bool: ...

    def away(self, key: str) -> None: ...

    def lives(self, key: str) -> None: ...

    def again(self) -> None: ...


# One round of questions; with more targets than this the rounds take turns.
_ROUND = 5


class RequestQueue:
    """The waiting requests of one router instance."""

    def __init__(self, balancer: Balancer, prober: Prober, ticks: Callable[[], float]) -> None:
        self._balancer, self._prober, self._ticks = balancer, prober, ticks
        self._waiting: dict[Waiting, float] = {}  # since when
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._next = 0
        self._leaves: list[Callable[[], None]] = []

    def wait(self, one: Waiting) -> None:
        """Call `again` of this one once, when a target has answered."""
        self._waiting[one] = self._ticks()
        self._until = self._ticks() + self._balancer.policy.queue_timeout_s
        if self._timer is None:
            self._round()

    def leave(self, one: Waiting) -> None:
        self._waiting.pop(one, None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()

    def _round(self) -> None:
        self._timer = None
        for leave in self._leaves:  # who is not heard by now is asked anew, or nobody waits any more
            leave()
        self._leaves = []
        if self._waiting:
            self._until = self._ticks() + self._balancer.policy.queue_timeout_s
        # A target that broke one request off need not be out yet, and may be away all the same.
        keys = list(self._balancer.targets) if self._waiting else self._balancer.out()
        if not keys or self._ticks() >= self._until:
            return
        for step in range(min(_ROUND, len(keys))):
            key = keys[(self._next + step) % len(keys)]
            if self._prober.unanswered(key):
                self._heard(key, False)
            self._leaves.append(
                self._prober.ask(self._balancer.targets[key], partial(self._heard, key), 0.0)[1]
            )
        self._next += _ROUND
        self._timer = asyncio.get_running_loop().call_later(self._balancer.policy.queue_pause_s, self._round)

    def _heard(self, key: str, alive: bool) -> None:
        if not alive:
            for one in self._waiting:
                one.away(key)
            return
        self._balancer.is_back(key)
        waiting = [one for one in self._waiting if one.wants(key)]
        # An answer may be as old as this; what came before the connection broke says nothing.
        before = self._ticks() - self._balancer.policy.ask_fresh_s
        others = [one for one, since in self._waiting.items() if since < before and not one.wants(key)]
        for one in waiting:
            del self._waiting[one]
        for one in waiting:
            one.again()
        for one in others:
            one.lives(key)
