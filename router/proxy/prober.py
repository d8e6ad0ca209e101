"""Is it dead or only slow? The question to a target's /health, asked once for all who wait for it.

Rules
- One question per target at a time; everybody who waits for that target hears its answer. A question that is
  older than anybody waits may have been lost: the next who asks begins a new one, and of both only a good
  answer counts, or the newer one's silence.
- 200 means alive, also a cold one; so does 429, which only a platform that has it says. Anything else is a
  front end without a function behind it, and so is a 200 with neither the agents' mark
  (router.core.request.classify) nor an agent's words, where agents send the mark. A 200 of another fleet
  (router.core.identity) is no answer either. The result of the last `ask_fresh_s` serves again.
- The question itself may take as long as a cold start; how long a request waits for it is the plan's
  business, counted from when the question was sent.
- A hedge may overtake a dead target again and again before anybody has waited long enough to ask. So an
  overtaken target that had shown nothing is asked too (`suspect`), and silence is reported without anybody
  waiting for it. A reply of its agent to any request in the meantime is as good as an answer. A timer that
  rings much too late was frozen with its sandbox and proves nothing.
- A question that fails much too late was frozen too, and is no answer.
- While somebody waits for a target's answer it is in doubt, and new requests go elsewhere if they can: mostly
  for a few milliseconds; before a black hole until it is ejected.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Final

from router.core.identity import mismatch
from router.core.policy import Policy
from router.core.request.classify import LOAD_HEADER, AgentTraits
from router.core.targets import Target
from router.net.errors import FetchError
from router.net.fetch import FetchRequest, FetchResponse, fetch
from router.net.fields import first
from router.net.pool import Pool

Listener = Callable[[bool], None]
# A loop that is this much late was not running.
_FROZEN_S: Final = 1.0


class _Asking:
    """A running question."""

    __slots__ = ("listeners", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.listeners: dict[int, Listener] = {}

    def leave(self, ticket: int) -> None:
        self.listeners.pop(ticket, None)


class Prober:
    """Asks targets whether they live."""

    def __init__(
        self,
        pool: Pool,
        policy: Policy,
        clock: Callable[[], float],
        agents: AgentTraits | None = None,
        fleet: str = "",
    ) -> None:
        """fleet: what targets must say they are of; empty: anything will do."""
        self._fleet = fleet
        self._pool, self._policy, self._clock = pool, policy, clock
        self._agents = agents if agents is not None else AgentTraits()
        # By target, with the timer that ends our patience and how to stop listening.
        self.suspects: dict[str, tuple[asyncio.TimerHandle, Callable[[], None]]] = {}
        # By target. Looked at on the way of every request, so it is a plain field.
        self.running: dict[str, _Asking] = {}
        self._last: dict[str, tuple[float, bool]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tickets = 0
        # Called with the key of a target that has answered, also when nobody waits any more.
        self.on_alive: Callable[[str], None] | None = None

    def ask(
        self, target: Target, listener: Listener, fresh_s: float | None = None
    ) -> tuple[float, Callable[[], None]]:
        """Ask, or join the running question. Returns since when it runs, and how to stop listening.

        fresh_s: how old an answer may be that serves again; without it the policy's. The listener is called
        later, never from in here.
        """
        now = self._clock()
        loop = asyncio.get_running_loop()
        at, alive = self._last.get(target.key, (float("-inf"), False))
        if fresh_s is None:
            fresh_s = self._policy.ask_fresh_s
        if target.key not in self.running and 0 <= now - at < fresh_s:
            handle = loop.call_soon(listener, alive)
            return now, handle.cancel
        asking = self.running.get(target.key)
        if asking is None or self.unanswered(target.key):
            before, asking = asking, _Asking(now)
            if before is not None:
                asking.listeners = before.listeners
            self.running[target.key] = asking
            task = loop.create_task(self._run(target, asking))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._tickets += 1
        ticket = self._tickets
        asking.listeners[ticket] = listener
        return asking.since, partial(asking.leave, ticket)

    def unanswered(self, key: str) -> bool:
        """Whether its running question is older than anybody waits for an answer."""
        asking = self.running.get(key)
        return asking is not None and self._clock() - asking.since >= self._policy.ask_timeout_s

    def suspect(self, target: Target, patience_s: float, dead: Callable[[str], None]) -> None:
        """Ask for nobody in particular; `dead` hears the target's key when no answer comes in that time."""
        key = target.key
        if key in self.suspects:
            return
        loop = asyncio.get_running_loop()
        _, leave = self.ask(target, partial(self._heard, key, dead))
        due = loop.time() + patience_s
        self.suspects[key] = loop.call_at(due, self._unheard, key, due, dead), leave

    def pending(self) -> list[str]:
        """Targets for whose answer somebody waits right now: whoever can had better go elsewhere."""
        return [key for key, asking in self.running.items() if asking.listeners]

    def clear(self, key: str) -> bool:
        """It has given a sign of life, so nobody needs its answer any more. Whether it was suspected."""
        if key not in self.suspects:
            return False
        timer, leave = self.suspects.pop(key)
        timer.cancel()
        leave()
        return True

    def _heard(self, key: str, dead: Callable[[str], None], alive: bool) -> None:
        if self.clear(key) and not alive:
            dead(key)

    def _unheard(self, key: str, due: float, dead: Callable[[str], None]) -> None:
        self.clear(key)
        if asyncio.get_running_loop().time() - due < _FROZEN_S:
            dead(key)

    def close(self) -> None:
        """Stop all questions."""
        for timer, _ in self.suspects.values():
            timer.cancel()
        self.suspects.clear()
        for task in self._tasks:
            task.cancel()
        self.running.clear()

    def _is_agents(self, reply: FetchResponse, target: Target) -> bool:
        marked = not self._agents.identified or first(reply.headers, LOAD_HEADER) is not None
        if marked and not self._fleet:
            return True
        try:
            said = json.loads(reply.body)
            return bool(marked or said["status"] == "ok") and not mismatch(said, target, self._fleet)
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            return False

    def _forget(self, key: str, asking: _Asking) -> None:
        """It was frozen with its sandbox, and its connection may have ended meanwhile: that is no answer."""
        if self.running.get(key) is asking:
            del self.running[key]

    async def _run(self, target: Target, asking: _Asking) -> None:
        question = FetchRequest(target.origin, "GET", "/health")
        try:
            timeout_s = self._policy.cold_timeout_s
            reply = await fetch(self._pool, question, timeout_s=timeout_s, limited=False)
            alive = reply.status == 429 or (reply.status == 200 and self._is_agents(reply, target))
        except FetchError:
            alive = False
            if self._clock() - asking.since >= self._policy.cold_timeout_s + _FROZEN_S:
                self._forget(target.key, asking)
                return
        if self.running.get(target.key) is not asking and not alive:
            return
        self._last[target.key] = (self._clock(), alive)
        self.running.pop(target.key, None)
        if alive and self.on_alive is not None:
            self.on_alive(target.key)
        for listener in list(asking.listeners.values()):
            listener(alive)
