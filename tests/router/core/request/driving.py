"""A request machine in a test: a script answers picks and charges, all other actions are returned."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict, Unpack

from router.core.outcomes import Outcome
from router.core.policy import DEFAULT, Policy
from router.core.request import actions as a
from router.core.request.classify import Classification, ResponseKind
from router.core.request.failures import AttemptError
from router.core.request.limits import RequestLimits
from router.core.request.machine import RequestMachine
from router.core.targets import Choice

NOW = 100.0
KEYS = ("a", "b", "c")


def choices(*keys: str, repeatable: bool = False, warm: bool = True) -> list[Choice]:
    """Targets in the order in which they are picked."""
    return [Choice(key, repeatable, warm=warm) for key in keys]


ALL = choices(*KEYS)


def reply(kind: ResponseKind, *, events: bool | None = None, sized: bool = True) -> Classification:
    """A classified head of that kind."""
    events = kind is ResponseKind.STREAM if events is None else events
    return Classification(kind, None, Outcome.SUCCESS, events=events, sized=sized)


class Changes(TypedDict, total=False):
    """What differs from the default limits."""

    policy: Policy
    budget: int
    repeatable: bool
    parallel: int
    hedge_after_s: float
    retries_only: bool
    heartbeat_s: float


def limits(
    *, deadline_s: float = 230.0, client_s: float = math.inf, **changes: Unpack[Changes]
) -> RequestLimits:
    """Limits of a request that started at `NOW`. client_s: of the client's own deadline."""
    deadline = NOW + min(deadline_s, client_s)
    own = RequestLimits(DEFAULT, len(KEYS), NOW, deadline, repeatable=False, client_deadline=NOW + client_s)
    return replace(own, **changes)


class Driven:
    """A machine and the script of its driver. Times of events are relative to `NOW`."""

    def __init__(
        self, limits: RequestLimits, targets: Sequence[Choice] = ALL, *, affordable: bool = True
    ) -> None:
        self.machine = RequestMachine(limits)
        self.targets, self.affordable = list(targets), affordable
        self.picks: list[tuple[str, ...]] = []
        self.started = self.run(self.machine.on_start(NOW), NOW)

    def run(self, actions: a.Actions, now: float) -> a.Actions:
        """Answer picks and charges; all other actions, in order."""
        found: list[a.Action] = []
        while actions:
            *others, last = actions
            found += others
            match last:
                case a.Pick(excluded):
                    self.picks.append(excluded)
                    left = [one for one in self.targets if one.key not in excluded]
                    actions = self.machine.on_pick(left[0] if left else None, now)
                case a.Charge():
                    actions = self.machine.on_charge(now, affordable=self.affordable)
                case _:
                    found.append(last)
                    actions = ()
            assert not any(isinstance(one, a.Pick | a.Charge) for one in others), "a question comes last"
        return tuple(found)

    def fork(self) -> Driven:
        """A copy, to try another event."""
        return copy.deepcopy(self)

    @property
    def due_s(self) -> float:
        """When the machine wants to be called, from the start of the request."""
        return self.machine.wake_at - NOW

    def head(self, number: int, status: int, kind: ResponseKind, at: float = 0.0) -> a.Actions:
        return self.run(self.machine.on_head(number, status, reply(kind), NOW + at), NOW + at)

    def ready(self, number: int, at: float = 0.0) -> a.Actions:
        return self.run(self.machine.on_ready(number, NOW + at), NOW + at)

    def error(self, number: int, error: AttemptError, at: float = 0.0) -> a.Actions:
        return self.run(self.machine.on_error(number, error, NOW + at), NOW + at)

    def truncated(self, number: int, at: float = 0.0) -> a.Actions:
        return self.run(self.machine.on_truncated(number, "why", NOW + at), NOW + at)

    def time(self, at: float) -> a.Actions:
        return self.run(self.machine.on_time(NOW + at), NOW + at)

    def probe_ok(self, number: int, at: float, *, heartbeat: bool = False, heard: float = -NOW) -> a.Actions:
        """heard: when the last part of its reply came."""
        now = NOW + at
        return self.run(self.machine.on_probe_ok(number, now, heartbeat=heartbeat, heard_at=NOW + heard), now)

    def probe_failed(self, number: int, at: float) -> a.Actions:
        return self.run(self.machine.on_probe_failed(number, NOW + at), NOW + at)

    def retry_round(self, at: float) -> a.Actions:
        return self.run(self.machine.on_retry_round(NOW + at), NOW + at)
