"""One request of a caller on its way: the plan decides, this file plays the network and the shell's part.

Rules
- As in the router's shell: ask the plan, obey it, tell the rule each outcome once, by a direct call. Whom
  a hedge has overtaken is no failure; its time so far is told, and its /health is asked.
- Whatever can be known only later (a reply, a refusal) comes back after the way on the wire.
- Callers wait `PATIENCE_S`; a request that has no good reply by then is an error, however it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol

from bench.simulation.agents import RETRY_AFTER_S, Agent, End, Job
from bench.simulation.events import Event, Loop
from bench.simulation.questions import Questions
from router.core.health.fleet import Outcome
from router.core.policy import Policy
from router.core.request import machine as p
from router.core.request.budget import Extra
from router.core.request.failures import GiveUp
from router.core.request.machine import Choice, Failure, Worth

PATIENCE_S: Final = 30.0


class Rule(Protocol):
    """How one router instance chooses, and what it is told."""

    def choose(self, tried: Collection[str]) -> Choice | None: ...

    def afford(self, choice: Choice, extra: Extra) -> bool: ...

    def hedge_after_s(self) -> float: ...

    def sent(self, key: str) -> None: ...

    def settled(self, key: str) -> None: ...

    def record(self, key: str, outcome: Outcome, retry_after_s: float | None) -> None: ...

    def report_first_event(self, key: str, milliseconds: float, load: float, cold: bool) -> None: ...

    def outlasted(self, choice: Choice, milliseconds: float) -> None: ...

    def attempt_is_slow(self, key: str) -> None: ...

    def suspected(self, choice: Choice, silent: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """A router instance: its rule, how far away each target is (s, one way), and what a plan may ask."""

    rule: Rule
    agents: dict[str, Agent]
    way_s: dict[str, float]
    means: p.Means
    questions: Questions


@dataclass(frozen=True, slots=True)
class Told:
    """How one request ended for its caller. took_s: until the first event. first: where it went first."""

    at: float
    took_s: float
    good: bool
    attempts: int
    first: str


@dataclass(slots=True)
class Attempt:
    """One attempt on its way."""

    choice: Choice
    extra: Extra | None
    sent: float
    job: Job
    asking: bool = False

    @property
    def key(self) -> str:
        return self.choice.key


_ANSWERS: Final = {
    End.GOOD: (200, Worth.ANSWER),
    End.COLD: (200, Worth.ANSWER),
    End.ERROR: (500, Worth.BROKEN),
    End.RATE_LIMITED: (429, Worth.UNDONE),
    End.FULL: (429, Worth.UNDONE),
}
_FAILURES: Final = {End.REFUSED: Failure.NOT_SENT, End.RESET: Failure.RESET}
_OUTCOMES: Final = {
    End.GOOD: Outcome.SUCCESS,
    End.COLD: Outcome.COLD,
    End.ERROR: Outcome.FAILURE,
    End.RATE_LIMITED: Outcome.RATE_LIMITED,
    End.FULL: Outcome.RATE_LIMITED,
    End.REFUSED: Outcome.FAILURE,
    End.RESET: Outcome.FAILURE,
}
_GOOD: Final = frozenset({End.GOOD, End.COLD})


class Caller:
    """One request."""

    __slots__ = ("_attempts", "_began", "_due", "_ended", "_hedge_won", "_loop", "_place", "_plan", "_tell")

    def __init__(
        self,
        loop: Loop,
        place: Place,
        policy: Policy,
        tell: Callable[[Told], None],
        *,
        repeatable: bool,
    ) -> None:
        """Begins at once. tell: called with how it ended."""
        self._loop, self._place, self._tell = loop, place, tell
        self._began = loop.now
        self._attempts: dict[int, Attempt] = {}
        self._due: Event | None = None
        self._ended: End | None = None
        self._hedge_won = False
        terms = p.Terms(
            policy,
            min(policy.attempts, len(place.agents)),
            loop.now + PATIENCE_S,
            repeatable,
            hedge_after_s=place.rule.hedge_after_s(),
        )
        self._plan: p.Plan
        self._do(*p.begin(terms, place.means, loop.now))

    def _do(self, plan: p.Plan, actions: p.Actions) -> None:
        self._plan = plan
        for action in actions:
            match action:
                case p.Try(number, choice, extra):
                    if extra is Extra.HEDGE:
                        for attempt in self._attempts.values():
                            self._place.rule.attempt_is_slow(attempt.key)
                    self._try(number, choice, extra)
                case p.Ask(number):
                    self._ask(number)
                case p.Drop(number):
                    self._drop(number, Outcome.SILENT)
                case p.PassOn(number):
                    self._end(good=self._ended in _GOOD, winner=number)
                    return
                case GiveUp():
                    self._end(good=False, winner=-1)
                    return
        if self._due is not None:
            self._due.cancel()
        self._due = self._loop.at(p.due(self._plan), self._pass)

    def _pass(self) -> None:
        self._do(*p.passed(self._plan, self._place.means, self._loop.now))

    def _try(self, number: int, choice: Choice, extra: Extra | None) -> None:
        loop, place, key = self._loop, self._place, choice.key
        place.rule.sent(key)
        way, agent = place.way_s[key], place.agents[key]
        job = Job(lambda end: loop.after(way, lambda: self._heard(number, end)), loop.now)
        self._attempts[number] = Attempt(choice, extra, loop.now, job)
        loop.after(way, lambda: agent.take(job))

    def _heard(self, number: int, end: End) -> None:
        """What the target did has come back."""
        if number not in self._attempts:
            return
        attempt = self._over(number)
        rule, key, now = self._place.rule, attempt.key, self._loop.now
        rule.settled(key)
        rule.record(key, _OUTCOMES[end], RETRY_AFTER_S if end is End.RATE_LIMITED else None)
        if end in _GOOD:
            load = self._place.agents[key].utilization
            rule.report_first_event(key, (now - attempt.sent) * 1e3, load, end is End.COLD)
        if end in _ANSWERS:
            self._ended = end
            self._hedge_won = attempt.extra is Extra.HEDGE
            status, worth = _ANSWERS[end]
            self._do(*p.replied(self._plan, number, status, worth, self._place.means, now))
        else:
            self._do(*p.failed(self._plan, number, _FAILURES[end], self._place.means, now))

    def _ask(self, number: int) -> None:
        attempt, now = self._attempts[number], self._loop.now
        attempt.asking = True
        waited = now - self._place.questions.join(attempt.key, now)
        if not self._place.agents[attempt.key].fault.unreachable:
            self._loop.after(2 * self._place.way_s[attempt.key], lambda: self._lives(number))
        elif waited:
            self._plan = p.waited(self._plan, number, waited, now)

    def _lives(self, number: int) -> None:
        attempt = self._attempts.get(number)
        if attempt is not None:
            self._stop_asking(attempt)
            self._do(*p.lives(self._plan, number, self._loop.now))

    def _stop_asking(self, attempt: Attempt) -> None:
        if attempt.asking:
            attempt.asking = False
            self._place.questions.leave(attempt.key)

    def _over(self, number: int) -> Attempt:
        attempt = self._attempts.pop(number)
        self._stop_asking(attempt)
        return attempt

    def _drop(self, number: int, outcome: Outcome) -> None:
        attempt = self._over(number)
        self._place.agents[attempt.key].leave(attempt.job)
        self._place.rule.settled(attempt.key)
        self._place.rule.record(attempt.key, outcome, None)

    def _end(self, *, good: bool, winner: int) -> None:
        if self._due is not None:
            self._due.cancel()
        rule, now = self._place.rule, self._loop.now
        for number in tuple(self._attempts):
            attempt = self._attempts[number]
            late = winner < 0 or (self._hedge_won and number < winner)
            self._drop(number, Outcome.NEUTRAL)
            if late:
                rule.outlasted(attempt.choice, (now - attempt.sent) * 1e3)
            if late and winner >= 0:
                rule.suspected(attempt.choice, self._place.agents[attempt.key].fault.unreachable)
        took = now - self._began
        tried = self._plan.tried
        self._tell(Told(self._began, took, good and took <= PATIENCE_S, len(tried), tried[0]))
