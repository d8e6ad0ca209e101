"""State and decisions of `RequestMachine`: when to send again, what ends a request, when to wake up.

The events that lead here, and all rules, are in `router.core.request.machine`.
"""

from __future__ import annotations

import math
from typing import Final

from router.core.request.actions import (
    Abandon,
    Abandoned,
    Abort,
    Action,
    Actions,
    Cancel,
    Forward,
    MarkSlow,
    Pick,
    Queue,
    Send,
)
from router.core.request.budget import AttemptReason
from router.core.request.classify import Classification, ResponseKind
from router.core.request.failures import (
    ERROR_RULES,
    AttemptError,
    Fail,
    invalid_response,
    may_have_run,
    no_reply,
    too_late,
)
from router.core.request.limits import RequestLimits
from router.core.request.stream import ResumableStream, ping_at
from router.core.targets import Choice

# Refused connections are not charged, but each costs the client a round trip.
_MOST_NOT_CHARGED: Final = 5
# While targets come and go, each round of a queued request may be refused again.
_MOST_ATTEMPTS: Final = 20
NOT_RUNNING: Final = "Attempt {} is not running; report events of running attempts only."
_QUEUE: Final = (Queue(),)
_FORWARD_FIRST: Final = (Forward(0),)
_INCOMPLETE: Final = "What came before this is incomplete."
_QUEUED: Final = frozenset({"no-target", "no-answer"})


class ActiveAttempt:
    """One attempt as the machine sees it; `number` counts the attempts of the request from 0.

    wake_at: when its target is to be probed, or when a running probe counts as failed. excluded: its target
    must not be tried again. reset: its connection broke and a repeat is harmless, so its target may be tried
    again after a failed probe. past: of an earlier round, and its target may be tried again.
    """

    __slots__ = (
        "choice",
        "excluded",
        "headed_at",
        "number",
        "past",
        "probes",
        "probing",
        "reason",
        "repeatable",
        "reply",
        "reset",
        "sent_at",
        "status",
        "wake_at",
    )

    def __init__(
        self, number: int, choice: Choice, reason: AttemptReason | None, now: float, repeatable: bool
    ) -> None:
        self.number, self.choice, self.reason, self.sent_at = number, choice, reason, now
        self.repeatable = repeatable
        self.probes = self.status = 0
        self.reply: Classification | None = None
        self.probing = self.reset = self.past = False
        self.excluded = True
        self.headed_at = self.wake_at = 0.0


class RequestState:
    """What the machine knows of one request. Times are seconds of one monotonic clock.

    wake_at: when `on_time` is to be called next. active: attempts without a final result. forwarded: the
    attempt whose reply goes to the client. over: nothing more will be sent.
    """

    __slots__ = (
        "_budget",
        "_causes",
        "_excluded",
        "_hedge_at",
        "_hedge_off",
        "_kept",
        "_limits",
        "_lost",
        "_maybe_executed",
        "_paused",
        "_pending",
        "_ping_at",
        "_queued",
        "_reason",
        "_sent_at",
        "_slow",
        "active",
        "attempts",
        "charged",
        "data_at",
        "forwarded",
        "over",
        "stream",
        "wake_at",
    )

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._budget = limits.budget
        self.active: list[ActiveAttempt] = []
        self.attempts: list[ActiveAttempt] = []
        self.charged: int = 0
        self.forwarded: ActiveAttempt | None = None
        self.stream: ResumableStream | None = None
        self.over = self._maybe_executed = self._slow = self._paused = False
        self._hedge_off = limits.hedge_after_s == math.inf
        self._kept: list[ActiveAttempt] = []
        self._causes: list[str] = []
        self._reason: AttemptReason = AttemptReason.DUPLICATE
        self._excluded: tuple[str, ...] = ()
        self._pending: Choice | None = None
        self._queued: Fail | None = None
        self._lost = ""
        # When a comment for a silent stream is due; when its client got something last.
        self._ping_at = self._sent_at = math.inf
        self.data_at = self.wake_at = self._hedge_at = math.inf

    def _needs_repeatable(self) -> bool:
        """Whether another attempt may go to agents only that declare themselves repeatable."""
        return not self._limits.repeatable and (self._maybe_executed or bool(self.active))

    def _retry(self, now: float) -> Actions:
        self._reason = AttemptReason.RETRY
        return self._fill(now)

    def _fill(self, now: float) -> Actions:
        """Pick until as many run as are wanted; the best end when nothing runs at all."""
        if len(self.active) < self._limits.parallel and now < self._limits.deadline:
            return self._pick(now)
        return self._armed() if self.active else self._exhausted(now)

    def _pick(self, now: float) -> Actions:
        """Ask for a target, if the budget and the running attempts allow one more."""
        tried = tuple(one.choice.key for one in self.attempts if not one.past)
        if self.charged >= self._budget or len(tried) >= self._budget + _MOST_NOT_CHARGED:
            return self._none_left(now)
        # Failed attempts that may have executed were at repeatable targets, or the request would have ended.
        if self._needs_repeatable() and not all(one.choice.repeatable for one in self.active):
            return self._none_left(now)
        self._excluded = tried
        return (Pick(tried),)

    def _none_left(self, now: float) -> Actions:
        """No further attempt is possible now."""
        if not self.active:
            return self._exhausted(now)
        if self._reason is AttemptReason.HEDGE or now >= self._hedge_at:
            self._hedge_off, self._hedge_at = True, math.inf
        return self._armed()

    def _send_first(self, choice: Choice, now: float) -> Actions:
        """Like `_send`, but written out, because every request goes this way."""
        limits = self._limits
        one = ActiveAttempt(0, choice, None, now, limits.repeatable or choice.repeatable)
        one.wake_at = at = now + limits.policy.probe_after_s
        self.attempts, self.active, self.charged = [one], [one], 1
        if not self._hedge_off and one.repeatable:
            self._schedule_hedge(now)
            at = min(at, self._hedge_at)
        self.wake_at = at if at < limits.deadline else limits.deadline
        send = Send(0, choice)
        return (send,) if limits.parallel == 1 else (send, *self._fill(now))

    def _send(self, choice: Choice, now: float) -> Actions:
        limits, attempts = self._limits, self.attempts
        number = len(attempts)
        reason = None if all(one.past for one in attempts) else self._reason
        repeatable = limits.repeatable or choice.repeatable
        one = ActiveAttempt(number, choice, reason, now, repeatable)
        one.wake_at = now + limits.policy.probe_after_s
        attempts.append(one)
        self.active.append(one)
        self.charged += 1
        self._schedule_hedge(now)
        self._armed()
        send = Send(number, choice, reason)
        if reason is AttemptReason.HEDGE:
            return (*(MarkSlow(other.number) for other in self.active if other is not one), send)
        if len(self.active) >= limits.parallel:
            return (send,)
        return (send, *self._fill(now))

    def _schedule_hedge(self, now: float) -> None:
        self._hedge_at = math.inf
        if self._hedge_off or len(self.active) != 1 or self.charged >= self._budget:
            return
        one, limits = self.active[0], self._limits
        if one.reply is not None and one.reply.kind is ResponseKind.BUFFER:
            return
        if (limits.repeatable and not limits.retries_only) or one.choice.repeatable:
            self._hedge_at = max(now, one.sent_at + limits.hedge_after_s)

    def _armed(self) -> Actions:
        """Set `wake_at`; no action."""
        at = min(self._limits.deadline, self._hedge_at, self._ping_at)
        for one in self.active:
            at = min(at, one.wake_at)
        self.wake_at = at
        return ()

    def _probe(self, one: ActiveAttempt, now: float) -> None:
        policy = self._limits.policy
        patient = not one.choice.warm and not one.repeatable
        one.probes += 1
        one.probing = True
        one.wake_at = now + (policy.cold_timeout_s if patient else policy.probe_timeout_s)

    def _given_up(self, one: ActiveAttempt, error: AttemptError, why: str, now: float) -> Actions:
        """The machine counts a running attempt as failed."""
        fail = self._ended(one, error, now)
        more = self._retry(now) if fail is None else self._failed(fail, now)
        return (Cancel(one.number, error, why), *more)

    def _ended(self, one: ActiveAttempt, error: AttemptError, now: float) -> Fail | None:
        """An attempt failed; what the client is told if nothing may be sent for it."""
        rule, slow, key = ERROR_RULES[error], error is AttemptError.UNRESPONSIVE, one.choice.key
        sent = one.excluded = rule.sent
        one.reset = one.repeatable and rule.returns
        self._remove(one, f"{key}: {error}", now, executed=sent)
        if not sent:
            self.charged -= 1
        self._slow = self._slow or slow
        return may_have_run(key, error, slow=slow) if sent and not one.repeatable else None

    def _invalid(self, one: ActiveAttempt, why: str, now: float) -> Actions:
        """Its reply is not valid HTTP/1.1: nothing is sent for it, and what runs beside it goes on."""
        self._ended(one, AttemptError.INVALID, now)
        if self.active:
            return self._armed()
        if self._kept and one.repeatable:
            return self._exhausted(now)
        return self._failed(invalid_response(one.choice.key, why), now)

    def _remove(self, one: ActiveAttempt, cause: str, now: float, *, executed: bool) -> None:
        self.active.remove(one)
        self._causes.append(cause)
        self._maybe_executed = self._maybe_executed or executed
        self._schedule_hedge(now)

    def _running(self, number: int) -> ActiveAttempt:
        one = self.attempts[number]
        if one not in self.active:
            raise ValueError(NOT_RUNNING.format(number))
        return one

    # Ends.

    def _mismatch(self, number: int, what: str) -> Actions:
        """A resumed stream is not the one that was begun. what: the reply is, e.g. "another"."""
        key = self.attempts[number].choice.key
        return self._abort("stream-cut", f"{self._lost} {key} gave {what} reply.")

    def _forward(self, one: ActiveAttempt, now: float) -> Actions:
        """Give the client this reply and close all other attempts."""
        reply = one.reply
        events = reply is not None and reply.events
        if self._lost and (one.status >= 300 or not events):
            return self._mismatch(one.number, "another")
        running = one in self.active
        others = self._close_others(one) if self.attempts[-1].number else ()
        if events and self.stream is None:
            self.stream = ResumableStream(may_resume=running and one.repeatable)
            self._silent_since(now)
        if not running:
            self.active = []
        self.forwarded, self.data_at = one, now
        if self._paused:
            self._await_body()
        else:
            quiet_at, limit = now + self._limits.policy.deadline_s, self._limits.client_deadline
            self.wake_at = at = quiet_at if quiet_at < limit else limit
            if self._ping_at < at:
                self.wake_at = self._ping_at
        if not one.number and not others:
            return _FORWARD_FIRST
        return (*others, Forward(one.number, bool(self._lost)))

    def _close_others(self, one: ActiveAttempt) -> Actions:
        actions: list[Action] = []
        for other in self.attempts:
            if other is one or other.past:
                continue
            running = other in self.active
            outrun = running and one.reason is AttemptReason.HEDGE and other.number < one.number
            actions.append(Abandon(other.number, Abandoned.OUTRUN if outrun else Abandoned.UNUSED))
            other.past = running  # it has not failed, so its target may be tried again
        if one in self.active:
            self.active = [one]
        return tuple(actions)

    def _truncated(self, one: ActiveAttempt, why: str, now: float) -> Actions:
        """The forwarded reply broke off: resume it from another target, or tell the client."""
        self._lost = f"The reply of {one.choice.key} broke off: {why}. {_INCOMPLETE}"
        if one not in self.active or self.stream is None or not self.stream.may_resume:
            return self._abort("stream-cut", self._lost)
        self.stream.restart()
        self.forwarded, self._maybe_executed = None, True
        return self._round(now)

    def _round(self, now: float) -> Actions:
        """Nothing runs; try the targets that are not excluded, within the policy's budget of attempts."""
        self._budget = self._limits.policy.attempts
        self.active, self._kept = [], []
        self._causes = list(dict.fromkeys(self._causes))
        self._hedge_at = math.inf
        return self._retry(now)

    def _body_time(self, one: ActiveAttempt, now: float) -> Actions:
        """The time of a forwarded body: the client's deadline, or silence for too long."""
        if now >= self._limits.client_deadline:
            return self._abort("deadline", f"The client's deadline passed in the reply of {one.choice.key}.")
        self._await_body()
        if now < self.wake_at:
            return ()
        why = f"nothing came for {self._limits.policy.deadline_s:g} s in the middle of its reply"
        return (Cancel(one.number, AttemptError.TRUNCATED, why), *self._truncated(one, why, now))

    def _await_body(self) -> None:
        limits = self._limits
        quiet_at = math.inf if self._paused else self.data_at + limits.policy.deadline_s
        self.wake_at = min(quiet_at, limits.client_deadline, self._ping_at)

    def _silent_since(self, at: float) -> None:
        """The client of the stream got something at this time: set when a comment is due."""
        self._sent_at = at
        if not self._paused:
            self._ping_at = ping_at(at, self._limits.heartbeat_s)

    def _exhausted(self, now: float) -> Actions:
        if self._kept:
            best = max(self._kept, key=lambda one: (one.status in (429, 503), one.number))
            return self._forward(best, now)
        return self._failed(no_reply(self._causes, slow=self._slow, sent=self.charged > 0), now)

    def _too_late(self) -> Fail:
        safe = all(one.repeatable for one in self.active)
        running = [one.choice.key for one in self.active]
        return too_late(self._causes, running, self._limits.deadline - self._limits.started, safe=safe)

    def _failed(self, fail: Fail, now: float) -> Actions:
        """End with an error, unless a stream was begun or the request may be queued."""
        if self._lost:
            return self._abort("stream-cut", self._lost)
        limits = self._limits
        until = min(limits.started + limits.policy.queue_timeout_s, limits.deadline)
        if fail.code in _QUEUED and now < until and self._may_wait():
            self._queued, self.wake_at = fail, until
            return _QUEUE
        return self._finally(fail)

    def _finally(self, fail: Fail) -> Actions:
        self.over = True
        return (*self._abandoned(), fail) if fail.code == "deadline" else (fail,)

    def _abandoned(self) -> Actions:
        """The client no longer waits for the running attempts."""
        return tuple(Abandon(one.number, Abandoned.CLIENT_GONE) for one in self.active)

    def _abort(self, code: str, text: str) -> Actions:
        """End a reply that has begun so that no client takes it for complete."""
        self.over = True
        return (Abort(code, text, as_event=self.stream is not None and self.stream.repairable),)

    def _may_wait(self) -> bool:
        """Whether the request may wait for a target: it was not sent, or the budget allows a repeat."""
        back = any(one.reset or not one.excluded for one in self.attempts if not one.past)
        left = back and self.charged < self._limits.policy.attempts
        return len(self.attempts) < _MOST_ATTEMPTS and (not self.charged or left)
