"""What holds for every request, whatever fails, in whatever order, at whatever time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.core.outcomes import Outcome
from router.core.policy import DEFAULT
from router.core.request import actions as a
from router.core.request.budget import AttemptReason, full, pay
from router.core.request.classify import Classification, ResponseKind
from router.core.request.failures import UNSENT, AttemptError, Fail
from router.core.request.limits import RequestLimits
from router.core.request.machine import RequestMachine
from router.core.targets import Choice

PRICE = 0.4
MONEY = 1.0
POLICY = replace(DEFAULT, extra_usd_per_hour=MONEY, hedge_burst=1.0)
BAD = {
    ResponseKind.NOT_PROCESSED: 429,
    ResponseKind.SERVER_ERROR: 500,
    ResponseKind.FRONTEND: 403,
    ResponseKind.UNKNOWN: 200,
}
HELD = frozenset({ResponseKind.BUFFER, ResponseKind.STREAM})
# After these the agent may have executed.
MAY_HAVE_EXECUTED = frozenset({ResponseKind.SERVER_ERROR, ResponseKind.UNKNOWN})
EVENT = b"data: x\n\n"


@dataclass
class Sent:
    """One attempt as its target knows it."""

    choice: Choice
    maybe_executed: bool = True
    running: bool = True
    headed: bool = False
    probing: bool = False
    charged: bool = True
    restarted: bool = False


class Lives(RuleBasedStateMachine):
    """One request, its targets, a driver, and a clock that never goes back."""

    @initialize(
        flags=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=5),
        repeatable=st.booleans(),
        parallel=st.integers(1, 3),
        hedge_after_s=st.sampled_from([math.inf, 0.01, 0.05]),
        deadlines_s=st.sampled_from([(0.0, math.inf), (1.0, 1.0), (230.0, math.inf), (230.0, 400.0)]),
        broke=st.booleans(),
        retries_only=st.booleans(),
    )
    def begin(
        self,
        flags: list[tuple[bool, bool, bool]],
        repeatable: bool,
        parallel: int,
        hedge_after_s: float,
        deadlines_s: tuple[float, float],
        broke: bool,
        retries_only: bool,
    ) -> None:
        self.now = 1000.0
        self.targets = [
            Choice(f"t{at}", friendly, warm=warm, in_backoff=in_backoff)
            for at, (friendly, warm, in_backoff) in enumerate(flags)
        ]
        self.budget = full(self.now, POLICY)
        if broke:
            self.budget = replace(self.budget, usd=0.0)
        self.money = self.budget.usd
        self.sent: list[Sent] = []
        self.kept: set[int] = set()
        self.closed: set[int] = set()
        self.body: int | None = None
        self.end: a.Abort | Fail | str | None = None
        self.queued = self.begun = False
        self.limits = RequestLimits(
            POLICY,
            min(POLICY.attempts, len(flags)),
            self.now,
            self.now + deadlines_s[0],
            repeatable,
            parallel,
            hedge_after_s,
            retries_only,
            self.now + deadlines_s[1],
        )
        self.machine = RequestMachine(self.limits)
        self._obey(self.machine.on_start(self.now))

    def _obey(self, actions: a.Actions) -> None:
        while actions:
            more: a.Actions = ()
            for at, action in enumerate(actions):
                assert self.end is None, "nothing follows the end"
                last = at == len(actions) - 1
                match action:
                    case a.Pick(excluded):
                        assert last
                        left = [one for one in self.targets if one.key not in excluded]
                        more = self.machine.on_pick(left[0] if left else None, self.now)
                    case a.Charge(_, reason):
                        assert last
                        self.budget, paid = pay(self.budget, reason, PRICE, 0, self.now, POLICY)
                        more = self.machine.on_charge(self.now, affordable=paid)
                    case a.Send():
                        self._send(action)
                    case a.MarkSlow(number):
                        assert self.sent[number].running
                    case a.Probe(number):
                        assert self.sent[number].running
                        self.sent[number].probing = True
                    case a.Cancel(number) | a.Abandon(number):
                        self.sent[number].running = False
                        self.closed.add(number)
                    case _:
                        assert last
                        self._settle(action)
            actions = more

    def _settle(self, action: a.Action) -> None:
        match action:
            case a.Forward(number, resumed):
                one = self.sent[number]
                assert (one.running and one.headed) or number in self.kept
                assert number not in self.closed
                assert resumed == self.begun, "the client gets one head"
                assert [at for at in self._running() if at != number] == []
                self.body, self.begun = number, True
            case a.Queue():
                assert not self.begun
                self.queued = True
            case a.Abort():
                assert self.begun
                self.end = action
            case Fail():
                assert not self.begun
                self.end = action
            case _:
                raise AssertionError(action)

    def _send(self, action: a.Send) -> None:
        choice, before = action.choice, self.sent
        assert action.number == len(before)
        assert self.now < self.limits.deadline
        running = [one.choice for one in before if one.running]
        for one in before:
            if one.choice.key == choice.key:
                assert not one.running
                assert one.restarted or not one.maybe_executed or self.begun
        exposed = [one.choice for one in before if one.maybe_executed]
        if exposed:
            assert self.limits.repeatable or all(one.repeatable for one in [*exposed, choice])
        if action.reason in (AttemptReason.HEDGE, AttemptReason.DUPLICATE):
            assert self.limits.repeatable or choice.repeatable
        if action.reason is AttemptReason.HEDGE and self.limits.retries_only:
            assert all(one.repeatable for one in running)
        if choice.last_resort:
            assert all(one.last_resort for one in running)
        before.append(Sent(choice))

    def _running(self) -> list[int]:
        return [number for number, one in enumerate(self.sent) if one.running]

    def _of(self, at: int, numbers: list[int]) -> int:
        return numbers[at % len(numbers)]

    def _waiting(self) -> list[int]:
        return [number for number in self._running() if not self.sent[number].headed]

    def _held(self) -> list[int]:
        return [number for number in self._running() if self.sent[number].headed]

    def _probing(self) -> list[int]:
        return [number for number in self._running() if self.sent[number].probing]

    def going(self) -> bool:
        return self.end is None

    def trying(self) -> bool:
        return self.end is None and self.body is None and not self.queued

    def waiting(self) -> bool:
        return self.trying() and bool(self._waiting())

    def probing(self) -> bool:
        return self.trying() and bool(self._probing())

    def holding(self) -> bool:
        return self.trying() and bool(self._held())

    def flowing(self) -> bool:
        return self.end is None and self.body is not None

    def waits(self) -> bool:
        return self.end is None and self.queued

    @precondition(going)
    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05, 1.0, 2.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.machine.wake_at:
            self._wake()
        assert self.end is not None or self.machine.wake_at > self.now, "no time is due twice"

    @precondition(lambda self: self.going() and self.machine.wake_at < math.inf)
    @rule()
    def the_next_time_comes(self) -> None:
        self.now = max(self.now, self.machine.wake_at)
        self._wake()

    def _wake(self) -> None:
        self.queued = False
        self._obey(self.machine.on_time(self.now))

    @precondition(waiting)
    @rule(at=st.integers(0, 2), kind=st.sampled_from([ResponseKind.PASS, *sorted(HELD)]))
    def a_good_head_comes(self, at: int, kind: ResponseKind) -> None:
        number = self._of(at, self._waiting())
        one = self.sent[number]
        one.headed, one.probing = True, False
        events = kind is ResponseKind.STREAM
        reply = Classification(kind, None, Outcome.SUCCESS, events=events, sized=True)
        self._obey(self.machine.on_head(number, 200, reply, self.now))
        assert kind in HELD or self.body == number or isinstance(self.end, a.Abort)

    @precondition(waiting)
    @rule(at=st.integers(0, 2), kind=st.sampled_from(sorted(BAD)))
    def a_bad_head_comes(self, at: int, kind: ResponseKind) -> None:
        number = self._of(at, self._waiting())
        one = self.sent[number]
        one.headed, one.probing = True, False
        one.maybe_executed = kind in MAY_HAVE_EXECUTED
        if kind in (ResponseKind.NOT_PROCESSED, ResponseKind.SERVER_ERROR):
            self.kept.add(number)
        one.running = kind is ResponseKind.SERVER_ERROR and not (
            self.limits.repeatable or one.choice.repeatable
        )
        reply = Classification(kind, Outcome.FAILURE, Outcome.FAILURE)
        self._obey(self.machine.on_head(number, BAD[kind], reply, self.now))

    @precondition(waiting)
    @rule(
        at=st.integers(0, 2),
        error=st.sampled_from([*sorted(UNSENT), AttemptError.RESET, AttemptError.INVALID]),
    )
    def an_attempt_fails(self, at: int, error: AttemptError) -> None:
        number = self._of(at, self._waiting())
        one = self.sent[number]
        one.running = False
        one.maybe_executed = one.charged = error not in UNSENT
        self._obey(self.machine.on_error(number, error, self.now))

    @precondition(holding)
    @rule(at=st.integers(0, 2), cut=st.booleans())
    def a_held_reply_comes_to_its_end(self, at: int, cut: bool) -> None:
        number = self._of(at, self._held())
        if cut:
            self.sent[number].running = False
            self._obey(self.machine.on_truncated(number, "cut", self.now))
        else:
            self._obey(self.machine.on_ready(number, self.now))
            assert self.body == number or isinstance(self.end, a.Abort)

    @precondition(probing)
    @rule(at=st.integers(0, 2), alive=st.booleans(), heartbeat=st.booleans())
    def a_probe_ends(self, at: int, alive: bool, heartbeat: bool) -> None:
        number = self._of(at, self._probing())
        one = self.sent[number]
        one.probing = False
        if alive:
            sends = heartbeat and one.headed
            self._obey(self.machine.on_probe_ok(number, self.now, heartbeat=sends))
        else:
            self._obey(self.machine.on_probe_failed(number, self.now))

    @precondition(probing)
    @rule(at=st.integers(0, 2), seconds=st.floats(0, 60))
    def the_probe_had_begun_before(self, at: int, seconds: float) -> None:
        self.machine.on_probe_joined(self._of(at, self._probing()), seconds, self.now)

    @precondition(lambda self: self.trying() and bool(self.kept - self.closed))
    @rule(at=st.integers(0, 2))
    def a_kept_reply_is_truncated(self, at: int) -> None:
        number = self._of(at, sorted(self.kept - self.closed))
        self.kept.discard(number)
        assert self.machine.on_truncated(number, "cut", self.now) == ()

    @precondition(waits)
    @rule(at=st.integers(0, 4), alive=st.booleans())
    def a_target_is_probed_for_the_queue(self, at: int, alive: bool) -> None:
        """As the request queue does it."""
        key = self.targets[at % len(self.targets)].key
        if not alive:
            self.machine.on_target_failed(key)
            for one in self.sent:
                one.restarted = one.restarted or one.choice.key == key
        elif self.machine.can_retry_on(key):
            self.queued, self.kept = False, set()
            self._obey(self.machine.on_retry_round(self.now))
        else:
            self.queued = False
            actions = self.machine.on_target_ok(key, self.now)
            self.queued = not actions
            self._obey(actions)

    @precondition(flowing)
    @rule()
    def an_event_is_forwarded(self) -> None:
        self.machine.data_at = self.now
        if self.machine.stream is not None:
            self.machine.stream.feed(EVENT)

    @precondition(flowing)
    @rule()
    def the_body_is_truncated(self) -> None:
        assert self.body is not None
        number, self.body = self.body, None
        self.sent[number].running = False
        self.kept = set()
        self._obey(self.machine.on_truncated(number, "cut", self.now))

    @precondition(flowing)
    @rule()
    def the_body_ends(self) -> None:
        assert self.body is not None
        self.machine.on_end(self.body)
        self.sent[self.body].running = False
        self.end = "complete"

    @precondition(flowing)
    @rule(reads=st.booleans())
    def the_client_reads_slowly_or_again(self, reads: bool) -> None:
        if reads:
            self.machine.on_resume(self.now)
        else:
            self.machine.on_pause()

    @precondition(going)
    @rule()
    def the_client_leaves(self) -> None:
        for action in self.machine.on_client_gone():
            assert isinstance(action, a.Abandon)
            assert self.sent[action.number].running
        self.end = "gone"

    @precondition(lambda self: self.end is not None)
    @rule()
    def it_is_over(self) -> None:
        """One end, of one kind."""
        assert self.machine.over

    @invariant()
    def the_budgets_hold(self) -> None:
        charged = sum(one.charged for one in self.sent)
        free = sum(one.headed and not one.maybe_executed for one in self.sent)
        assert charged - free <= POLICY.attempts
        # The first attempt is not extra; what was not sent costs nothing.
        assert max(0, charged - 1) * PRICE <= self.money + MONEY / 3600 * (self.now - 1000.0) + 1e-9

    @invariant()
    def while_it_tries_something_runs_and_has_a_time(self) -> None:
        if self.end is None and self.body is None and not self.queued:
            assert [one.number for one in self.machine.active] == self._running() != []
            assert self.machine.wake_at <= self.limits.deadline

    @invariant()
    def a_queued_request_has_a_time(self) -> None:
        if self.end is None and self.queued:
            assert self._running() == []
            assert self.machine.wake_at <= min(
                self.limits.deadline, self.limits.started + POLICY.queue_timeout_s
            )

    @invariant()
    def what_must_not_be_repeated_executed_at_one_place_at_most(self) -> None:
        executed = [one.choice for one in self.sent if one.maybe_executed]
        assert len(executed) <= 1 or self.limits.repeatable or all(one.repeatable for one in executed)

    @invariant()
    def an_error_that_may_be_repeated_says_so(self) -> None:
        if isinstance(self.end, Fail) and self.end.retry:
            executed = [one.choice for one in self.sent if one.maybe_executed]
            assert self.limits.repeatable or all(one.repeatable for one in executed)

    def teardown(self) -> None:
        if hasattr(self, "machine") and self.end is None and self.body is None:
            self.now = max(self.now, self.limits.deadline)
            self._wake()
            assert isinstance(self.end, Fail | a.Abort)


TestLives = pytest.mark.pure(Lives.TestCase)
