"""Is it dead or only slow? The question to a target's /health, asked once for all who wait for it.

Rules
- One question per target at a time; everybody who waits for that target hears its answer.
- 200 means alive, also a cold one; so does 429, which only a platform that has it says. Anything else is a
  front door without a function behind it. An answer of the last `ask_fresh_s` serves again.
- The question itself may take as long as a cold start; how long a request waits for it is the plan's
  business, counted from when the question was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from router.errors import FetchFailed
from router.policy import Policy
from router.pool import Pool, Question, fetch
from router.targets import Target

Listener = Callable[[bool], None]
_ALIVE: Final = frozenset({200, 429})


class _Asking:
    """A running question."""

    __slots__ = ("listeners", "since", "task")

    def __init__(self, since: float) -> None:
        self.since = since
        self.listeners: dict[int, Listener] = {}
        self.task: asyncio.Task[None] | None = None

    def leave(self, ticket: int) -> None:
        self.listeners.pop(ticket, None)


class Asker:
    """Asks targets whether they live."""

    def __init__(self, pool: Pool, policy: Policy, clock: Callable[[], float]) -> None:
        self._pool, self._policy, self._clock = pool, policy, clock
        self._running: dict[str, _Asking] = {}
        self._last: dict[str, tuple[float, bool]] = {}
        self._tickets = 0

    def ask(self, target: Target, listener: Listener) -> tuple[float, Callable[[], None]]:
        """Ask, or join the running question. Returns since when it runs, and how to stop listening.

        The listener is called later, never from in here.
        """
        now = self._clock()
        loop = asyncio.get_running_loop()
        at, alive = self._last.get(target.key, (float("-inf"), False))
        if target.key not in self._running and 0 <= now - at < self._policy.ask_fresh_s:
            handle = loop.call_soon(listener, alive)
            return now, handle.cancel
        asking = self._running.get(target.key)
        if asking is None:
            asking = self._running[target.key] = _Asking(now)
            asking.task = loop.create_task(self._run(target, asking))
        self._tickets += 1
        ticket = self._tickets
        asking.listeners[ticket] = listener
        return asking.since, partial(asking.leave, ticket)

    def close(self) -> None:
        """Stop all questions."""
        for asking in self._running.values():
            if asking.task is not None:
                asking.task.cancel()
        self._running.clear()

    async def _run(self, target: Target, asking: _Asking) -> None:
        question = Question(target.origin, "GET", "/health")
        try:
            reply = await fetch(self._pool, question, timeout_s=self._policy.cold_timeout_s)
            alive = reply.status in _ALIVE
        except FetchFailed:
            alive = False
        self._last[target.key] = (self._clock(), alive)
        self._running.pop(target.key, None)
        for listener in list(asking.listeners.values()):
            listener(alive)
