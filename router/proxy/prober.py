"""Probe a target's /health, once for all attempts that wait, and confirm checkers' reports.

Rules
- `verify` joins the running probe of a target or starts one. Its result always goes to the balancer, as an
  event of the health machine; callers await it, listen, or do neither.
- Alive is 200 of the right agent, also cold, and 429, which only a platform that has the function says. A
  200 that has neither the agents' mark (router.core.request.classify) nor an agent's fields, where agents
  send the mark, is from a platform front end; one of another fleet (router.core.identity) is no answer
  either.
- A probe may take as long as a cold start. A warm target that has not answered after `probe_timeout_s`, or a
  cold one after `cold_timeout_s`, is unresponsive, unless its agent responded to any request meanwhile. A
  later answer counts.
- Where requests of a class break everywhere, they may kill the agent, or the cloud may be out all the same:
  its /health tells (`router.proxy.attempt`). A killed agent has the time of a cold start to answer it.
- A probe older than `probe_timeout_s` may be lost, so the next caller starts another. A success of either
  counts, a failure only of the newer.
- What ends or times out much too late was frozen with its sandbox and proves nothing.
- If a single fresh checker reports a target down, it is probed before that is believed (`apply_snapshots`).
- While requests come, targets that are out are checked at bounded pauses (`router.core.health.recovery`), so
  their return is noticed before a checker's next minute. No request waits for such a check, and an instance
  without requests sends none.
- Serving targets that have become slow are checked as often (`router.core.health.slowness`), by checks of
  their own: only the time to an answer counts, and no request avoids the target meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Final

from router.core.balance.balancer import Balancer
from router.core.health.snapshots import Snapshot
from router.core.identity import mismatch
from router.core.request.classify import DRAINING, OUTCOME, AgentTraits
from router.net.errors import FetchError
from router.net.fetch import FetchRequest, FetchResponse, fetch
from router.net.fields import first
from router.net.pool import Pool
from skyfleet.orca import LOAD_HEADER

Listener = Callable[[bool], None]
# An event loop that is this much late was not running.
_FROZEN_S: Final = 1.0
# A check of a target that is out may be lost in its fault, so the next one starts again after this time. A
# lost SYN is repeated after 1 s (RFC 6298, section 2), which the new connection does at once.
_LOST_S: Final = 1.0
# Checks of targets that are out at one time; with more of them the rounds take turns.
_ROUND: Final = 5
# Checks of one slow target at one time: each may start another sandbox where a platform has one per request.
_SLOW_CHECKS: Final = 5


class _Probe:
    """A running probe. since: in ticks. fired: without a listener, by a caller that wants its event. timer:
    ends the patience with its target."""

    __slots__ = ("fired", "listeners", "since", "timer")

    def __init__(self, since: float, listeners: dict[int, Listener], *, fired: bool) -> None:
        self.since, self.listeners, self.fired = since, listeners, fired
        self.timer: asyncio.TimerHandle | None = None


class Prober:
    """Probes the /health of targets."""

    def __init__(
        self,
        pool: Pool,
        balancer: Balancer,
        ticks: Callable[[], float],
        agents: AgentTraits | None = None,
        fleet: str = "",
    ) -> None:
        """ticks: monotonic seconds. fleet: the id that agents must report; empty: any."""
        self._fleet, self._pool, self._balancer, self._ticks = fleet, pool, balancer, ticks
        self._agents = agents if agents is not None else AgentTraits()
        self._running: dict[str, _Probe] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tickets = 0
        # When targets that are out were last checked (unix s), by how many requests, and the next look.
        self._checked_at: dict[str, float] = {}
        self._requests = 0
        # Running checks of slow targets.
        self._slow_checks: dict[str, int] = {}
        self._watch: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Check the targets that are out or slow from now on, until none is."""
        if self._watch is None:
            self._look()

    def _look(self) -> None:
        balancer = self._balancer
        due, pause_s = balancer.checks_due(self._checked_at)
        if pause_s == math.inf:
            self._watch = None
            return
        if balancer.requests != self._requests:
            self._requests = balancer.requests
            for key in due[:_ROUND]:
                self._checked_at[key] = balancer.clock()
                if key not in balancer.slow:
                    self.verify(key, fresh_s=0.0, lost_s=_LOST_S)
                elif self._slow_checks.get(key, 0) < _SLOW_CHECKS:
                    self._spawn(self._check_slow(key))
        self._watch = asyncio.get_running_loop().call_later(pause_s, self._look)

    def verify(
        self,
        key: str,
        listener: Listener | None = None,
        fresh_s: float | None = None,
        lost_s: float | None = None,
        *,
        restarts: bool = False,
    ) -> tuple[float, Callable[[], None]]:
        """Probe a target, or join its running probe. Returns since when that runs (ticks), and how to stop
        listening.

        listener: called later with the result. fresh_s: how old an answer may be that serves again;
        default: the policy's. lost_s: when a running probe may be lost; default: `probe_timeout_s`.
        restarts: a new instance may have to start for the probe, so it has the time of a cold start."""
        now, loop = self._ticks(), asyncio.get_running_loop()
        balancer, policy = self._balancer, self._balancer.policy
        probe = self._running.get(key)
        answered = balancer.clock() - balancer.last_seen[key].probe
        fresh_s = policy.probe_fresh_s if fresh_s is None else fresh_s
        if probe is None and 0 <= answered < fresh_s:
            return now, loop.call_soon(listener, True).cancel if listener is not None else _nothing
        if probe is None or now - probe.since >= (policy.probe_timeout_s if lost_s is None else lost_s):
            lost = probe
            probe = _Probe(now, lost.listeners if lost else {}, fired=lost is not None and lost.fired)
            self._running[key] = probe
            self._spawn(self._run(key, probe))
            if lost is not None and lost.timer is not None:
                probe.timer, lost.timer = lost.timer, None
            else:
                warm = balancer.last_seen[key].is_warm(balancer.clock()) and not restarts
                due = loop.time() + (policy.probe_timeout_s if warm else policy.cold_timeout_s)
                probe.timer = loop.call_at(due, self._unanswered, key, due)
        balancer.probe_started(key)
        if listener is None:
            probe.fired = True
            return probe.since, _nothing
        self._tickets += 1
        probe.listeners[self._tickets] = listener
        return probe.since, partial(self._leave, key, probe, self._tickets)

    def is_overdue(self, key: str) -> bool:
        """Whether its running probe may be lost."""
        probe = self._running.get(key)
        return probe is not None and self._ticks() - probe.since >= self._balancer.policy.probe_timeout_s

    async def apply_snapshots(self, snapshots: Iterable[Snapshot]) -> None:
        """Apply checkers' snapshots, after probes of the targets that a single checker alone calls down."""
        snapshots = tuple(snapshots)
        unconfirmed = self._balancer.unconfirmed_down(snapshots)
        await asyncio.gather(*(self._await_answer(key) for key in unconfirmed))
        self._balancer.fold(snapshots)
        self.watch()

    def close(self) -> None:
        """Stop all probes."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for probe in self._running.values():
            if probe.timer is not None:
                probe.timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._running.clear()

    async def _await_answer(self, key: str) -> None:
        """Wait for its answer, at most `probe_timeout_s`."""
        answered = asyncio.Event()
        _, leave = self.verify(key, lambda alive: answered.set())
        try:
            async with asyncio.timeout(self._balancer.policy.probe_timeout_s):
                await answered.wait()
        except TimeoutError:
            pass
        finally:
            leave()

    def _leave(self, key: str, probe: _Probe, ticket: int) -> None:
        """A caller no longer waits. Without any, the probe keeps no request away from its target."""
        probe.listeners.pop(ticket, None)
        if not probe.listeners and not probe.fired and key in self._running:
            self._balancer.probe_ended(key, alive=None)

    def _unanswered(self, key: str, due: float) -> None:
        """The patience with it is over; the probe goes on."""
        self._running[key].timer = None
        frozen = asyncio.get_running_loop().time() - due >= _FROZEN_S
        self._balancer.probe_ended(key, alive=None if frozen else False)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check_slow(self, key: str) -> None:
        balancer, began = self._balancer, self._ticks()
        request = FetchRequest(balancer.targets[key].origin, "GET", "/health")
        self._slow_checks[key] = self._slow_checks.get(key, 0) + 1
        try:
            reply = await fetch(self._pool, request, timeout_s=balancer.policy.probe_timeout_s, limited=False)
            if reply.status == 200 and self._is_agents(reply, key):
                balancer.slow_target_checked(key, (self._ticks() - began) * 1000)
        except FetchError:
            pass  # No answer gives no time; requests decide whether the target is out.
        finally:
            self._slow_checks[key] -= 1

    async def _run(self, key: str, probe: _Probe) -> None:
        balancer, policy = self._balancer, self._balancer.policy
        request = FetchRequest(balancer.targets[key].origin, "GET", "/health")
        alive: bool | None = False
        cold = False
        try:
            reply = await fetch(self._pool, request, timeout_s=policy.cold_timeout_s, limited=False)
            if reply.status == 503 and first(reply.headers, OUTCOME) == DRAINING:
                # An instance that ends; the next connection leads to another one.
                reply = await fetch(self._pool, request, timeout_s=policy.cold_timeout_s, limited=False)
            alive = reply.status == 429 or (reply.status == 200 and self._is_agents(reply, key))
            cold = first(reply.headers, b"x-skyfleet-cold") == b"true"
        except FetchError:
            if self._ticks() - probe.since >= policy.cold_timeout_s + _FROZEN_S:
                alive = None
        if self._running.get(key) is not probe:
            if alive:
                self._finish(key, self._running.get(key) or probe, alive, cold=cold)
            return
        self._finish(key, probe, alive, cold=cold)

    def _finish(self, key: str, probe: _Probe, alive: bool | None, *, cold: bool) -> None:
        self._running.pop(key, None)
        if probe.timer is not None:
            probe.timer.cancel()
        if probe.timer is not None or alive:
            self._balancer.probe_ended(key, alive=alive, cold=cold)
        probe.timer = None
        if alive is not None:
            for listener in list(probe.listeners.values()):
                listener(alive)

    def _is_agents(self, reply: FetchResponse, key: str) -> bool:
        marked = not self._agents.identified or first(reply.headers, LOAD_HEADER) is not None
        if marked and not self._fleet:
            return True
        try:
            fields = json.loads(reply.body)
            right = not mismatch(fields, self._balancer.targets[key], self._fleet)
            return bool(marked or fields["status"] == "ok") and right
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            return False


def _nothing() -> None:
    """No listener is to be removed."""
