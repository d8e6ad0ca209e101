"""What holds for every story of a request, whatever fails, in whatever order, at whatever time."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.core.policy import DEFAULT
from router.core.request import machine as p
from router.core.request.budget import Extra, full, pay
from router.core.request.failures import GiveUp
from router.core.request.machine import Ask, Choice, Drop, Failure, Means, PassOn, Terms, Try, Worth

PRICE = 0.4
MONEY = 1.0
POLICY = replace(DEFAULT, extra_usd_per_hour=MONEY, hedge_burst=1.0)
BAD = {Worth.UNDONE: 429, Worth.BROKEN: 500, Worth.AWAY: 403, Worth.STRANGE: 200}
# After these nobody can be sure that the agent did not run.
RAN_AFTER = frozenset({Worth.BROKEN, Worth.STRANGE})


@dataclass
class Sent:
    """One attempt as the world knows it."""

    choice: Choice
    may_have_run: bool = True
    running: bool = True
    held: bool = False
    asking: bool = False
    costs: bool = True


class Story(RuleBasedStateMachine):
    """One request, its targets, and a clock that never goes back."""

    @initialize(
        flags=st.lists(st.booleans(), min_size=1, max_size=5),
        repeatable=st.booleans(),
        copies=st.integers(1, 3),
        hedge_after_s=st.sampled_from([math.inf, 0.0, 0.05]),
        deadline_s=st.sampled_from([0.0, 1.0, 230.0]),
        broke=st.booleans(),
        retries_only=st.booleans(),
    )
    def begin(
        self,
        flags: list[bool],
        repeatable: bool,
        copies: int,
        hedge_after_s: float,
        deadline_s: float,
        broke: bool,
        retries_only: bool,
    ) -> None:
        self.now = 1000.0
        self.targets = [Choice(f"t{at}", flag, warm=at % 2 == 0) for at, flag in enumerate(flags)]
        self.budget = full(self.now, POLICY)
        if broke:
            self.budget = replace(self.budget, usd=0.0)
        self.money = self.budget.usd
        self.sent: list[Sent] = []
        self.kept: set[int] = set()
        self.end: PassOn | GiveUp | None = None
        self.terms = Terms(
            POLICY,
            min(POLICY.attempts, len(flags)),
            self.now + deadline_s,
            repeatable,
            copies,
            hedge_after_s,
            retries_only,
        )
        self.means = Means(self._choose, self._afford)
        self._obey(*p.begin(self.terms, self.means, self.now))

    def _choose(self, tried: Collection[str]) -> Choice | None:
        return next((one for one in self.targets if one.key not in tried), None)

    def _afford(self, choice: Choice, extra: Extra) -> bool:
        self.budget, paid = pay(self.budget, extra, PRICE, 0, self.now, POLICY)
        return paid

    def _obey(self, plan: p.Plan, actions: p.Actions) -> None:
        self.plan = plan
        for action in actions:
            assert self.end is None, "nothing follows the end"
            match action:
                case Try():
                    self._send(action)
                case Ask(number):
                    assert self.sent[number].running
                    self.sent[number].asking = True
                case Drop(number):
                    self.sent[number].running = False
                case PassOn(number):
                    one = self.sent[number]
                    assert (one.running and one.held) or number in self.kept
                    self.end = action
                case GiveUp():
                    self.end = action

    def _send(self, action: Try) -> None:
        choice, before = action.choice, self.sent
        assert action.number == len(before)
        assert choice.key not in [one.choice.key for one in before]
        assert self.now < self.terms.deadline
        exposed = [one.choice for one in before if one.may_have_run]
        if exposed:
            assert self.terms.repeatable or all(one.repeatable for one in [*exposed, choice])
        if action.extra in (Extra.HEDGE, Extra.COPY):
            assert self.terms.repeatable or choice.repeatable
        if action.extra is Extra.HEDGE and self.terms.retries_only:
            assert all(one.choice.repeatable for one in before if one.running)
        before.append(Sent(choice))

    def _running(self) -> list[int]:
        return [number for number, one in enumerate(self.sent) if one.running]

    def _pick(self, at: int, numbers: list[int]) -> int:
        return numbers[at % len(numbers)]

    def going(self) -> bool:
        return self.end is None

    def waiting(self) -> bool:
        return self.end is None and any(one.running and not one.held for one in self.sent)

    def asking(self) -> bool:
        return self.end is None and any(one.running and one.asking for one in self.sent)

    def holding(self) -> bool:
        return self.end is None and any(one.running and one.held for one in self.sent)

    @precondition(going)
    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05, 1.0, 2.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self._obey(*p.passed(self.plan, self.means, self.now))
        assert self.end is not None or p.due(self.plan) > self.now, "no time is due twice"

    @precondition(going)
    @rule()
    def the_next_time_comes(self) -> None:
        self.now = max(self.now, p.due(self.plan))
        self._obey(*p.passed(self.plan, self.means, self.now))

    @precondition(waiting)
    @rule(at=st.integers(0, 2), worth=st.sampled_from([Worth.ANSWER, Worth.WHOLE, Worth.EVENTS]))
    def a_good_head_comes(self, at: int, worth: Worth) -> None:
        number = self._pick(at, [one for one in self._running() if not self.sent[one].held])
        one = self.sent[number]
        one.held, one.asking = True, False
        self._obey(*p.replied(self.plan, number, 200, worth, self.means, self.now))
        assert worth is not Worth.ANSWER or self.end == PassOn(number)

    @precondition(waiting)
    @rule(at=st.integers(0, 2), worth=st.sampled_from(sorted(BAD)))
    def a_bad_head_comes(self, at: int, worth: Worth) -> None:
        number = self._pick(at, [one for one in self._running() if not self.sent[one].held])
        one = self.sent[number]
        one.running, one.may_have_run = False, worth in RAN_AFTER
        if worth in (Worth.UNDONE, Worth.BROKEN):
            self.kept.add(number)
        self._obey(*p.replied(self.plan, number, BAD[worth], worth, self.means, self.now))

    @precondition(waiting)
    @rule(at=st.integers(0, 2), failure=st.sampled_from([Failure.NOT_SENT, Failure.FULL, Failure.RESET]))
    def an_attempt_fails(self, at: int, failure: Failure) -> None:
        number = self._pick(at, [one for one in self._running() if not self.sent[one].held])
        one = self.sent[number]
        one.running = False
        one.may_have_run = one.costs = failure is Failure.RESET
        self._obey(*p.failed(self.plan, number, failure, self.means, self.now))

    @precondition(holding)
    @rule(at=st.integers(0, 2), cut=st.booleans())
    def a_held_reply_comes_to_its_end(self, at: int, cut: bool) -> None:
        number = self._pick(at, [one for one in self._running() if self.sent[one].held])
        if cut:
            self.sent[number].running = False
            self._obey(*p.failed(self.plan, number, Failure.CUT, self.means, self.now))
        else:
            self._obey(*p.ready(self.plan, number))
            assert self.end == PassOn(number)

    @precondition(asking)
    @rule(at=st.integers(0, 2), alive=st.booleans(), beating=st.booleans())
    def a_question_is_answered(self, at: int, alive: bool, beating: bool) -> None:
        number = self._pick(at, [one for one in self._running() if self.sent[one].asking])
        one = self.sent[number]
        one.asking = False
        if alive:
            self._obey(*p.lives(self.plan, number, self.now, beating=beating and one.held))
        else:
            self._obey(*p.silent(self.plan, number, self.means, self.now))

    @precondition(asking)
    @rule(at=st.integers(0, 2), seconds=st.floats(0, 60))
    def somebody_had_asked_before(self, at: int, seconds: float) -> None:
        number = self._pick(at, [one for one in self._running() if self.sent[one].asking])
        self._obey(p.waited(self.plan, number, seconds, self.now), ())

    @precondition(lambda self: self.going() and bool(self.kept))
    @rule(at=st.integers(0, 2))
    def a_kept_reply_is_cut(self, at: int) -> None:
        number = self._pick(at, sorted(self.kept))
        self.kept.discard(number)
        self._obey(p.cut(self.plan, number), ())

    @precondition(lambda self: isinstance(self.end, GiveUp) and self.end.code == "no-target")
    @rule(seconds=st.sampled_from([0.0, 1.0, 10.0]))
    def somebody_may_be_back(self, seconds: float) -> None:
        """The request was held; what may have cost something stays tried and paid for."""
        self.now += seconds
        if self.now < self.terms.deadline:
            self.sent, self.kept, self.end = [one for one in self.sent if one.costs], set(), None
            ran = [one.choice.key for one in self.sent]
            self._obey(*p.again(self.plan, ran, self.means, self.now))

    @precondition(lambda self: self.end is not None)
    @rule()
    def it_is_over(self) -> None:
        """One end, of one kind."""
        assert isinstance(self.end, PassOn | GiveUp)

    @invariant()
    def the_budgets_hold(self) -> None:
        assert sum(one.costs for one in self.sent) <= self.terms.budget
        # The first that may cost something is no extra; what was not sent costs nothing.
        extra = max(0, sum(one.costs for one in self.sent) - 1)
        assert extra * PRICE <= self.money + MONEY / 3600 * (self.now - 1000.0) + 1e-9

    @invariant()
    def while_it_goes_on_something_runs_and_has_a_time(self) -> None:
        if self.end is None:
            assert [run.number for run in self.plan.runs] == self._running() != []
            assert p.due(self.plan) <= self.terms.deadline

    @invariant()
    def what_must_not_be_repeated_ran_at_one_place_at_most(self) -> None:
        ran = [one.choice for one in self.sent if one.may_have_run]
        assert len(ran) <= 1 or self.terms.repeatable or all(one.repeatable for one in ran)

    @invariant()
    def an_error_that_may_be_repeated_says_so(self) -> None:
        if isinstance(self.end, GiveUp) and self.end.again:
            ran = [one.choice for one in self.sent if one.may_have_run]
            assert self.terms.repeatable or all(one.repeatable for one in ran)

    def teardown(self) -> None:
        if hasattr(self, "plan") and self.end is None:
            self.now = max(self.now, self.terms.deadline)
            self._obey(*p.passed(self.plan, self.means, self.now))
            assert isinstance(self.end, GiveUp)
            assert self.end.code == "deadline"


TestStory = pytest.mark.pure(Story.TestCase)
