"""The way of one request through the router, as plain callbacks: ask the plan, obey it, tell the board.

Rules
- `Exchange` is all this file knows of the server in front. The plan decides what happens; nothing here does.
- The attempt whose reply the plan passes on owns the exchange; all others are closed, so that their agents
  see the caller leave. Replies that were not passed on are held, paused and bounded, until then.
- An attempt's outcome is recorded once: a success after its last byte, no blame when another overtook it or
  the caller left, which closes everything upstream.
- A reply cut by the target never ends cleanly: an event stream that may be repeated goes on with another
  target's reply if that is the same so far (router.core.request.stream), or gets an explicit error event;
  others are aborted. The last two also when the caller's own deadline comes in the middle of it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from router.core.health.fleet import Outcome
from router.core.request import machine as p
from router.core.request.budget import Extra
from router.core.request.classify import read
from router.core.request.failures import GiveUp
from router.core.request.front_end import MARK, is_ordinary, stream_fault
from router.core.request.machine import Failure
from router.core.request.options import wishes
from router.core.request.replies import error_reply, story_headers
from router.core.request.stream import Passage
from router.net.fields import Header, check_request, downstream, first
from router.net.lambda_errors import response_handler
from router.proxy.attempt import Attempt
from router.proxy.context import Exchange, Plane, Request
from router.proxy.means import means, terms
from router.proxy.outgoing import attempt_bytes
from router.proxy.witness import given_up, lost_to_hedge
from skyfleet.sse import LastEvent, error_event


class Relay:
    """One request on its way."""

    __slots__ = (
        "_arrived",
        "_attempts",
        "_earlier",
        "_exchange",
        "_held_for",
        "_limit",
        "_lost",
        "_means",
        "_name",
        "_over",
        "_passage",
        "_passed",
        "_paused",
        "_plan",
        "_plane",
        "_request",
        "_started",
        "_terms",
        "due",
    )

    def __init__(self, plane: Plane, request: Request, exchange: Exchange) -> None:
        """InvalidRequest for what cannot be sent on, CallerError for an option that is not granted."""
        check_request(request.method, request.target, request.headers)
        balancer = plane.balancer
        wished = wishes(request.headers, balancer.policy)
        self._plane, self._request, self._exchange = plane, request, exchange
        now = plane.ticks()
        self._started = now if request.arrived is None else request.arrived
        self._arrived = balancer.clock() - (now - self._started)  # unix seconds, the same in all attempts
        self._limit = math.inf if wished.timeout_s is None else self._started + wished.timeout_s
        # On safe methods agents do not look at a key, so its repeats need not meet.
        self._name = b"" if request.method in p.SAFE else wished.key or b""
        self._means = plane.means
        if wished.strategy is not None or self._name:
            self._means = means(balancer, plane.prober, wished.strategy, self._name)
        self._terms = terms(balancer, request.method, wished, self._started, self._limit)
        # Of this round; how many there were in rounds before; and what the caller is told if no other comes.
        self._attempts: list[Attempt] = []
        self._earlier = 0
        self._held_for: GiveUp | None = None
        self._passed: Attempt | None = None
        self._passage: Passage | None = None
        self._lost = ""  # why a stream that was begun has to go on elsewhere
        self._over = self._paused = False
        self.due = math.inf

    # What the server in front calls.

    def start(self) -> None:
        self._plane.balancer.requests += 1
        self._do(*p.begin(self._terms, self._means, self._plane.ticks()))

    def pause(self) -> None:
        """The caller reads slowly. That is not the target's silence, so only its own deadline runs on."""
        self._paused = True
        if self._passed is not None:
            self._passed.call.pause()
            self._set_due(self._limit)

    def resume(self) -> None:
        self._paused = False
        if self._passed is not None:
            self._passed.call.resume()
            self._expect_more()

    def gone(self) -> None:
        """The caller left, or has everything. Nothing of it is used again."""
        if not self._over:
            self._tell_of_given_up()
            self._finish()
        self._attempts, self._passed = [], None  # each holds this

    # What time and the outage call.

    def wants(self, key: str) -> bool:
        """Whether it may be sent there; to the untried it could not, for want of money or since it ran."""
        return not {one.key: one.over for one in self._attempts}.get(key, self._plan.paid > 0)

    def away(self, key: str) -> None:
        """This target does not answer: what broke off there may go there again when it is back."""
        for attempt in self._attempts:
            attempt.over = attempt.over and not (attempt.broke and attempt.key == key)

    def lives(self, key: str) -> None:
        """This target has answered all the while: what broke off there did so for another reason."""
        for attempt in self._attempts:
            attempt.broke = attempt.broke and attempt.key != key
        if self._held_for is not None and not self._may_wait():
            self._give_up(self._held_for)

    def again(self) -> None:
        """A target has come back while nothing could be sent. What may have run stays tried and paid for."""
        self._held_for = None
        over = [attempt for attempt in self._attempts if attempt.over]
        for attempt in self._attempts:
            attempt.close()  # a front door that turned it away may still be at the page that says so
        self._earlier += len(self._attempts) - len(over)
        self._attempts = over
        self._do(*p.again(self._plan, [one.key for one in over], self._means, self._plane.ticks()))

    def overdue(self, now: float) -> None:
        """`due` has come: a silent body, a deadline, an unanswered question, a stall, or a hedge."""
        if self._held_for is not None:
            self._give_up(self._held_for)
        elif self._passed is None:
            self._do(*p.passed(self._plan, self._means, now))
        elif now >= self._limit:
            self._break_off("deadline", f"The caller's deadline came amid the reply of {self._passed.key}.")
        else:
            why = f"nothing came for {self._plane.balancer.policy.deadline_s:g} s in the middle of its reply"
            self._passed.record(Outcome.FAILURE, why)
            self.on_cut(self._passed, why)

    # What an attempt calls.

    def on_head(self, attempt: Attempt) -> None:
        plane, request = self._plane, self._request
        if attempt.asking is not None:
            attempt.stop_asking()
        head, strict = request.method == "HEAD", plane.door.marked
        reading = read(
            attempt.status, attempt.headers, bodiless=head, strict=strict, now=plane.balancer.clock()
        )
        if not strict and first(attempt.headers, MARK) is not None:
            plane.door.marked = True
        worth = reading.worth
        if worth is p.Worth.AWAY or worth is p.Worth.STRANGE:
            attempt.over = not p.is_free(worth, attempt.status)
            if not is_ordinary(request.method, request.target):
                attempt.record(Outcome.NEUTRAL)
        elif plane.prober.suspects:
            plane.prober.clear(attempt.key)
        attempt.read(reading)
        attempt.awaited = worth is p.Worth.WHOLE or worth is p.Worth.EVENTS
        now = plane.ticks()
        self._do(*p.replied(self._plan, attempt.number, attempt.status, worth, self._means, now))

    def on_ready(self, attempt: Attempt) -> None:
        """What was awaited of a held reply is here."""
        self._do(*p.ready(self._plan, attempt.number))

    def on_data(self, attempt: Attempt, data: bytes) -> None:
        if not attempt.ended:
            self._expect_more()
        if self._passage is not None:
            ready = self._passage.feed(data)
            if ready is None:
                self._break_off("stream-cut", f"{self._lost} {attempt.key} gave another reply.")
                return
            data = ready
        if data:
            self._exchange.body(data)

    def on_end(self, attempt: Attempt) -> None:
        if self._passage is not None:
            rest = self._passage.finish()
            if rest is None:
                self._break_off("stream-cut", f"{self._lost} {attempt.key} gave a shorter reply.")
                return
            if rest:
                self._exchange.body(rest)
        self._finish()
        self._exchange.end()

    def on_cut(self, attempt: Attempt, why: str) -> None:
        """The passed reply broke off: another target may have the same, or its caller is told."""
        self._lost = f"The reply of {attempt.key} broke off: {why}. What came before this is incomplete."
        runs = {run.number for run in self._plan.runs}
        if attempt.number not in runs or self._passage is None or not self._passage.may_go_on:
            self._break_off("stream-cut", self._lost)
            return
        self._passage.again()
        self._passed = None
        # Who was overtaken has not failed, so it may be asked again.
        over = [one for one in self._attempts if one is attempt or one.number not in runs]
        self._earlier += len(self._attempts) - len(over)
        self._attempts, plan = over, replace(self._plan, exposed=True)
        self._do(*p.again(plan, [one.key for one in over], self._means, self._plane.ticks()))

    def on_failure(self, attempt: Attempt, failure: Failure) -> None:
        """Nothing of it can be passed on."""
        attempt.stop_asking()
        attempt.over = failure not in p.UNSENT
        attempt.broke = p.may_return(self._plan, attempt.number, failure)
        self._do(*p.failed(self._plan, attempt.number, failure, self._means, self._plane.ticks()))

    def on_kept_cut(self, attempt: Attempt) -> None:
        """A bad reply that was kept, in case there is no better one, broke off."""
        self._plan = p.cut(self._plan, attempt.number)

    def fault(self, last: LastEvent) -> str:
        return stream_fault(last, self._request.path, self._plane.door)

    def elapsed_ms(self, since: float) -> float:
        return (self._plane.ticks() - since) * 1000

    # Obeying the plan.

    def _do(self, plan: p.Plan, actions: p.Actions) -> None:
        if not actions and plan is self._plan:
            return  # nothing new, so nothing is due at another time either
        self._plan = plan
        for action in actions:
            match action:
                case p.Try():
                    self._try(action)
                case p.PassOn():
                    self._pass_on(self._attempts[action.number])
                case p.Ask():
                    self._ask(self._attempts[action.number])
                case p.Drop():
                    self._attempts[action.number].drop(action.failure)
                case GiveUp():
                    if self._lost:
                        self._break_off("stream-cut", self._lost)
                    elif not self._hold(action):
                        self._give_up(action)
        if self._passed is None and self._held_for is None and not self._over:
            self._set_due(p.due(self._plan))

    def _set_due(self, due: float) -> None:
        sooner, self.due = due < self.due, due
        if sooner and not self._over:
            self._plane.watch.add(self)

    def _expect_more(self) -> None:
        quiet_s = math.inf if self._paused else self._plane.balancer.policy.deadline_s
        self._set_due(min(self._limit, self._plane.ticks() + quiet_s))

    def _try(self, sent: p.Try) -> None:
        plane, request = self._plane, self._request
        target = plane.balancer.targets[sent.choice.key]
        plane.balancer.retried += sent.extra is Extra.RETRY
        if sent.extra is Extra.HEDGE:
            for run in self._plan.runs:
                if run.number < sent.number:
                    plane.balancer.attempt_is_slow(run.choice.key)
        elif self._name and sent.extra is not Extra.COPY:
            plane.balancer.names.sent(self._name, target.key)
        now = plane.ticks()
        attempt = Attempt(self, plane.balancer, sent, now)
        self._attempts.append(attempt)
        left_s = self._terms.deadline - now if self._limit < math.inf else None
        nonce = "" if self._earlier or sent.number else request.nonce
        data = attempt_bytes(request, target, self._arrived, left_s, plane.sign, nonce)
        handler = response_handler(attempt, target.cloud)
        attempt.call = plane.pool.send(target.origin, data, handler, head_only=request.method == "HEAD")

    def _ask(self, attempt: Attempt) -> None:
        plane, now = self._plane, self._plane.ticks()
        target = plane.balancer.targets[attempt.key]
        since, attempt.asking = plane.prober.ask(target, partial(self._on_answer, attempt))
        if (asked_before := now - since) > 0:
            self._plan = p.waited(self._plan, attempt.number, asked_before, now)

    def _on_answer(self, attempt: Attempt, alive: bool) -> None:
        attempt.stop_asking()
        number, now = attempt.number, self._plane.ticks()
        if alive and not attempt.has_stopped(self._plane.balancer.policy.probe_after_s):
            self._do(*p.lives(self._plan, number, now, beating=attempt.beating))
        else:
            failure = Failure.CUT if alive else Failure.NO_ANSWER
            self._do(*p.silent(self._plan, number, self._means, now, failure))

    def _pass_on(self, attempt: Attempt) -> None:
        self._passed = attempt
        if self._name:
            self._plane.balancer.names.sent(self._name, attempt.key)
        if attempt.asking is not None:
            attempt.stop_asking()
        for other in self._attempts:
            if other is not attempt:
                if attempt.extra is Extra.HEDGE and other.number < attempt.number:
                    lost_to_hedge(self._plane, other)
                other.close()
        if self._lost:
            self._go_on(attempt)
            return
        events = attempt.reading is not None and attempt.reading.events
        headers = downstream(attempt.headers, attempt.status, streamed=events)
        if events:
            running = attempt.number in [run.number for run in self._plan.runs]
            self._passage = Passage(may_go_on=running and p.may_repeat(self._plan, attempt.number))
        self._plane.balancer.failed += attempt.status >= 500
        self._exchange.head(attempt.status, headers + self._story(attempt))
        if not attempt.ended:
            self._expect_more()
        attempt.flow()

    def _go_on(self, attempt: Attempt) -> None:
        """With a stream that was begun, if this is one."""
        if attempt.status >= 300 or attempt.reading is None or not attempt.reading.events:
            self._break_off("stream-cut", f"{self._lost} {attempt.key} gave another reply.")
            return
        self._expect_more()
        attempt.flow()
        if self._paused:
            self.pause()

    def _break_off(self, code: str, text: str) -> None:
        """End a reply that has begun, so that nobody takes it for whole."""
        self._plane.balancer.failed += 1
        self._finish()
        if self._passage is not None and self._passage.repairable:
            self._exchange.body(error_event(code, text))
            self._exchange.end()
        else:
            self._exchange.abort(text)

    def _hold(self, action: GiveUp) -> bool:
        """Wait for a target to come back, if nobody could be reached and there is time."""
        until = min(self._started + self._plane.balancer.policy.queue_timeout_s, self._terms.deadline)
        unserved = action.code in ("no-target", "no-answer") and self._may_wait()
        if not unserved or self._plane.ticks() >= until:
            return False
        self._held_for, self.due = action, until
        self._plane.watch.add(self)
        self._plane.outage.wait(self)
        return True

    def _may_wait(self) -> bool:
        back = any(one.broke or not one.over for one in self._attempts)
        return p.may_wait(self._plan, self._earlier + len(self._attempts), back=back)

    def _give_up(self, action: GiveUp) -> None:
        balancer = self._plane.balancer
        balancer.failed += 1
        if action.code == "deadline":
            self._tell_of_given_up()
        headers, body = error_reply(action, balancer.retry_after_s())
        headers += self._story(self._attempts[-1] if self._attempts else None)
        self._finish()
        self._exchange.head(action.status, headers)
        self._exchange.body(body)
        self._exchange.end()

    def _tell_of_given_up(self) -> None:
        if self._passed is None:
            given_up(self._plane, self._attempts, self._plane.ticks())

    def _story(self, attempt: Attempt | None) -> list[Header]:
        now, attempts = self._plane.ticks(), self._attempts
        hedged = len(attempts) > 1 and any(one.extra is Extra.HEDGE for one in attempts)
        total_ms = (now - self._started) * 1000
        spent_ms = (now - attempt.started) * 1000 if attempt is not None else 0.0
        sent = self._earlier + len(attempts)
        choice, times = None if attempt is None else attempt.choice, (total_ms, spent_ms)
        return story_headers(self._request.id, sent, times, choice, hedged=hedged)

    def _finish(self) -> None:
        self._over = True
        self._plane.watch.discard(self)
        if self._held_for is not None:
            self._plane.outage.leave(self)
        for attempt in self._attempts:
            attempt.close()
