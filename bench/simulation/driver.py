"""The driver of the router's `RequestMachine` in simulated time.

Rules
- The machine decides. The driver plays the network and reports each outcome to the rule once.
- A reply or a refusal arrives after the one-way time of the wire.
- Clients wait `PATIENCE_S`; a request without a good reply by then is an error. Requests are not queued.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bench.simulation.events import Event, Loop
from bench.simulation.fleet.agents import RETRY_AFTER_S, Agent, End, Job
from bench.simulation.rules.rule import Probes, Rule
from router.core.outcomes import Outcome
from router.core.policy import Policy
from router.core.request import actions as a
from router.core.request.classify import Classification, ResponseKind
from router.core.request.failures import AttemptError, Fail
from router.core.request.limits import RequestLimits
from router.core.request.machine import RequestMachine
from router.core.targets import Choice

PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A router instance: its rule, its one-way time to each target (s), and its probes."""

    rule: Rule
    agents: dict[str, Agent]
    one_way_s: dict[str, float]
    probes: Probes


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one request.

    at: its start (s). took_s: time to the first event. first: key of the target of its first attempt. doomed:
    it fails at each target.
    """

    at: float
    took_s: float
    good: bool
    attempts: int
    first: str
    doomed: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What a driver is told of a request. doomed: it fails at each target. request_class: as the router tells
    its paths and clients apart."""

    repeatable: bool
    doomed: bool = False
    request_class: int = 0


@dataclass(slots=True)
class Attempt:
    """One active attempt."""

    choice: Choice
    sent: float
    job: Job
    probing: bool = False

    @property
    def key(self) -> str:
        return self.choice.key


def _reply(kind: ResponseKind, outcome: Outcome) -> Classification:
    return Classification(kind, outcome, outcome)


_OUTCOMES: Final = {
    End.GOOD: Outcome.SUCCESS,
    End.COLD: Outcome.COLD,
    End.ERROR: Outcome.AGENT_ERROR,
    End.RATE_LIMITED: Outcome.RATE_LIMITED,
    End.FULL: Outcome.RATE_LIMITED,
    End.REFUSED: Outcome.SILENCE,
    End.RESET: Outcome.SILENCE,
}
_REPLIES: Final = {
    End.GOOD: (200, _reply(ResponseKind.PASS, Outcome.SUCCESS)),
    End.COLD: (200, _reply(ResponseKind.PASS, Outcome.COLD)),
    End.ERROR: (500, _reply(ResponseKind.SERVER_ERROR, Outcome.AGENT_ERROR)),
    End.RATE_LIMITED: (429, _reply(ResponseKind.NOT_PROCESSED, Outcome.RATE_LIMITED)),
    End.FULL: (429, _reply(ResponseKind.NOT_PROCESSED, Outcome.RATE_LIMITED)),
}
_ERRORS: Final = {End.REFUSED: AttemptError.CONNECT, End.RESET: AttemptError.RESET}
_GOOD: Final = frozenset({End.GOOD, End.COLD})


class Driver:
    """The driver of one request."""

    __slots__ = (
        "_attempts",
        "_began",
        "_due",
        "_ended",
        "_instance",
        "_loop",
        "_machine",
        "_on_result",
        "_request",
    )

    def __init__(
        self,
        loop: Loop,
        instance: Instance,
        policy: Policy,
        on_result: Callable[[Result], None],
        request: Request,
    ) -> None:
        """Start the request now. policy: with `queue_timeout_s` 0. on_result: called once, at its end."""
        self._loop, self._instance, self._on_result = loop, instance, on_result
        self._began, self._request = loop.now, request
        now = loop.now
        self._attempts: dict[int, Attempt] = {}
        self._due: Event | None = None
        self._ended: End | None = None
        budget, deadline = min(policy.attempts, len(instance.agents)), now + PATIENCE_S
        hedge_after_s = instance.rule.hedge_after_s()
        limits = RequestLimits(policy, budget, now, deadline, request.repeatable, hedge_after_s=hedge_after_s)
        self._machine = RequestMachine(limits)
        self._do(self._machine.on_start(now))

    def _do(self, actions: a.Actions) -> None:
        machine, instance, now = self._machine, self._instance, self._loop.now
        while actions:
            more: a.Actions = ()
            for action in actions:
                match action:
                    case a.Pick(excluded):
                        choice = instance.rule.choose(excluded, self._request.request_class)
                        more = machine.on_pick(choice, now)
                    case a.Charge(choice, reason):
                        more = machine.on_charge(now, affordable=instance.rule.afford(choice, reason))
                    case a.MarkSlow(number):
                        instance.rule.attempt_is_slow(self._attempts[number].key)
                    case a.Send(number, choice):
                        self._send(number, choice)
                    case a.Probe(number):
                        self._probe(number)
                    case a.Cancel(number):
                        self._close(number, Outcome.UNRESPONSIVE)
                    case a.Abandon(number, why):
                        self._abandon(number, why)
                    case a.Forward() | Fail():
                        self._end(good=isinstance(action, a.Forward) and self._ended in _GOOD)
                        return
                    case _:
                        raise TypeError(f"The simulation does not know the action {action}.")
            actions = more
        if self._due is not None:
            self._due.cancel()
        self._due = self._loop.at(machine.wake_at, self._on_time)

    def _on_time(self) -> None:
        self._do(self._machine.on_time(self._loop.now))

    def _send(self, number: int, choice: Choice) -> None:
        loop, instance, key = self._loop, self._instance, choice.key
        instance.rule.sent(key)
        one_way_s, agent = instance.one_way_s[key], instance.agents[key]
        job = Job(lambda end: loop.after(one_way_s, lambda: self._on_end(number, end)), loop.now)
        job.doomed = self._request.doomed
        self._attempts[number] = Attempt(choice, loop.now, job)
        loop.after(one_way_s, lambda: agent.take(job))

    def _on_end(self, number: int, end: End) -> None:
        """Handle the reply or error of an attempt when it arrives."""
        if number not in self._attempts:
            return
        attempt = self._remove(number)
        rule, key, now = self._instance.rule, attempt.key, self._loop.now
        rule.ended(key)
        retry_after_s = RETRY_AFTER_S if end is End.RATE_LIMITED else None
        rule.record(key, _OUTCOMES[end], retry_after_s, self._request.request_class)
        if end in _GOOD:
            load = self._instance.agents[key].utilization
            rule.report_first_event(key, (now - attempt.sent) * 1e3, load, end is End.COLD)
        if end in _REPLIES:
            self._ended = end
            self._do(self._machine.on_head(number, *_REPLIES[end], now))
        else:
            self._do(self._machine.on_error(number, _ERRORS[end], now))

    def _probe(self, number: int) -> None:
        attempt, now = self._attempts[number], self._loop.now
        attempt.probing = True
        waited = now - self._instance.probes.join(attempt.key, now)
        if not self._instance.agents[attempt.key].fault.unreachable:
            self._loop.after(2 * self._instance.one_way_s[attempt.key], lambda: self._probe_ok(number))
        elif waited:
            self._machine.on_probe_joined(number, waited, now)

    def _probe_ok(self, number: int) -> None:
        attempt = self._attempts.get(number)
        if attempt is not None:
            self._stop_probing(attempt)
            self._do(self._machine.on_probe_ok(number, self._loop.now))

    def _stop_probing(self, attempt: Attempt) -> None:
        if attempt.probing:
            attempt.probing = False
            self._instance.probes.leave(attempt.key)

    def _remove(self, number: int) -> Attempt:
        attempt = self._attempts.pop(number)
        self._stop_probing(attempt)
        return attempt

    def _close(self, number: int, outcome: Outcome) -> None:
        attempt = self._remove(number)
        self._instance.agents[attempt.key].leave(attempt.job)
        self._instance.rule.ended(attempt.key)
        self._instance.rule.record(attempt.key, outcome, None)

    def _abandon(self, number: int, why: a.Abandoned) -> None:
        attempt = self._attempts.get(number)
        if attempt is None:
            return  # a reply that was kept
        rule, now = self._instance.rule, self._loop.now
        self._close(number, Outcome.NEUTRAL)
        if why is not a.Abandoned.UNUSED:
            rule.report_censored(attempt.choice, (now - attempt.sent) * 1e3)
        if why is a.Abandoned.OUTRUN:
            rule.verify(attempt.choice, self._instance.agents[attempt.key].fault.unreachable)

    def _end(self, *, good: bool) -> None:
        if self._due is not None:
            self._due.cancel()
        for number in tuple(self._attempts):
            self._close(number, Outcome.NEUTRAL)
        took, attempts = self._loop.now - self._began, self._machine.attempts
        good = good and took <= PATIENCE_S
        first = attempts[0].choice.key
        self._on_result(Result(self._began, took, good, len(attempts), first, self._request.doomed))


def unqueued(policy: Policy) -> Policy:
    """The policy without the queue: a simulated request fails at once where the router would queue it."""
    return replace(policy, queue_timeout_s=0.0)
