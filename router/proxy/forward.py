"""The driver of `RequestMachine`: reports events to it and carries out its actions. It decides nothing.

Rules
- `ClientResponse` is all that this file knows of the server in front.
- A small reply that is here as a whole, as most are, is one event.
- The attempt whose reply the machine forwards owns the downstream; all others are closed, so that their
  agents notice it. Replies that are not forwarded yet are held, paused and bounded (`router.proxy.attempt`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Final, cast

from router.core.request import actions as a
from router.core.request.budget import AttemptReason
from router.core.request.failures import AttemptError, Fail, error_reply, response_lines
from router.core.request.limits import is_repeatable, request_limits
from router.core.request.machine import RequestMachine
from router.core.request.options import parse_options
from router.core.request.rpc import is_rpc, may_repeat, rpc_error
from router.core.targets import Choice
from router.net.fields import downstream, takes_trailers, trailing, whole_reply
from router.proxy.abandoned import abandon
from router.proxy.attempt import Attempt
from router.proxy.context import Context, Request
from router.proxy.held import HeldBody
from router.proxy.reply import advice, reply_headers
from skyfleet.asgi import Header
from skyfleet.http1.direct import ClientResponse
from skyfleet.http1.lines import fields_of
from skyfleet.sse import PING, error_event, raw_frame

# From then on a leaving client is noticed: above most replies that no model makes, far below a wasted minute.
LISTEN_AFTER_S: Final = 0.05


class Forwarder:
    """One request on its way."""

    __slots__ = (
        "_arrived",
        "_attempts",
        "_context",
        "_downstream",
        "_forwarded",
        "_hedged",
        "_key",
        "_limit",
        "_listen_at",
        "_machine",
        "_paused",
        "_queued",
        "_ready_at",
        "_request",
        "_started",
        "_strategy",
        "due",
    )

    def __init__(self, context: Context, request: Request, downstream: ClientResponse) -> None:
        """CallerError for a request that asks for more than is allowed. request: its head can be sent on, by
        `skyfleet.http1.head` or by `router.net.fields.check_request`."""
        balancer = context.balancer
        policy = balancer.policy
        options = parse_options(request.headers, policy, request.by_name)
        if options.rpc and request.method == "POST":
            options = replace(options, harmless=may_repeat(request.headers, request.body))
        self._context, self._request, self._downstream = context, request, downstream
        self._ready_at = now = context.ticks()
        self._started = started = now if request.arrived is None else request.arrived
        self._arrived = balancer.clock() - (now - started)  # unix seconds, the same in all attempts
        self._strategy = options.strategy
        hedge_after_s = math.inf
        if context.any_repeatable or is_repeatable(request.method, options):
            hedge_after_s = balancer.hedge_after_s(options.strategy or balancer.strategy)
        limits = request_limits(
            request.method, options, policy, balancer.most_attempts, started, hedge_after_s
        )
        self._limit, self._key = limits.client_deadline, limits.affinity_key
        self._machine = RequestMachine(limits)
        self._attempts: list[Attempt] = []
        self._forwarded: Attempt | None = None
        self._paused = self._queued = self._hedged = False
        self._listen_at = started + LISTEN_AFTER_S
        self.due = math.inf

    # The server in front calls these.

    def start(self) -> None:
        """Send it."""
        balancer = self._context.balancer
        balancer.request_began()
        if balancer.slow:
            self._context.prober.watch()
        now = self._ready_at
        self._do(self._machine.on_start(now), now)

    def pause(self) -> None:
        """The client reads slowly."""
        self._paused = True
        self._machine.on_pause()
        if self._forwarded is not None:
            self._forwarded.call.pause()
            self._do((), self._context.ticks())

    def resume(self) -> None:
        """The client reads on."""
        self._paused = False
        now = self._context.ticks()
        self._machine.on_resume(now)
        if self._forwarded is not None:
            self._forwarded.call.resume()
            self._do((), now)

    def gone(self) -> None:
        """The client left, or has the whole reply."""
        if not self._machine.over:
            self._do(self._machine.on_client_gone(), self._context.ticks())
            self._finish()
        self._attempts, self._forwarded = [], None  # each holds this
        if self._request.held is not None:
            self._request.held.release()

    def expire(self) -> None:
        """This instance of the router ends."""
        self._do(self._machine.on_expire(), self._context.ticks())

    # Time and the request queue call these.

    def overdue(self, now: float) -> None:
        """`due` has passed."""
        if now >= self._listen_at:
            self._listen_at = math.inf
            self._downstream.listen()
        self._do(self._machine.on_time(now) if now >= self._machine.wake_at else (), now)

    def can_retry_on(self, key: str) -> bool:
        """Whether it may be sent to this target once that is back."""
        return self._machine.can_retry_on(key)

    def on_target_failed(self, key: str) -> None:
        """This target does not answer."""
        self._machine.on_target_failed(key)

    def on_target_ok(self, key: str) -> None:
        """This target has answered all the while."""
        now = self._context.ticks()
        self._do(self._machine.on_target_ok(key, now), now)

    def on_target_back(self) -> None:
        """A target is back, and the request is no longer queued."""
        self._queued = False
        now = self._context.ticks()
        self._do(self._machine.on_retry_round(now), now)

    # An attempt calls these.

    def on_informational(self, attempt: Attempt, status: int, headers: list[Header]) -> None:
        """An interim response: passed on while it can only belong to the reply that the client gets."""
        if attempt is self._attempts[0] and len(self._attempts) == 1 and self._forwarded is None:
            self._downstream.informational(status, downstream(headers))

    def on_whole(self, attempt: Attempt, now: float) -> None:
        """Its small reply is here as a whole."""
        if attempt.reply is not None:
            self._do(self._machine.on_whole(attempt.number, attempt.status, attempt.reply, now), now)

    def on_head(self, attempt: Attempt) -> None:
        """The head of its reply is here and classified."""
        if attempt.reply is not None:
            now = attempt.headed_at
            self._do(self._machine.on_head(attempt.number, attempt.status, attempt.reply, now), now)

    def on_ready(self, attempt: Attempt, now: float) -> None:
        """Its held reply is complete, or has its first event."""
        self._do(self._machine.on_ready(attempt.number, now), now)

    def on_data(self, attempt: Attempt, data: bytes) -> None:
        """A part of the forwarded body."""
        if attempt.ended and self._machine.stream is None:  # it is here as a whole, so nothing can follow
            self._downstream.body(data)
            return
        ready = self._machine.on_data(attempt.number, data, self._context.ticks())
        if type(ready) is not bytes:  # a stream that does not continue what the client has
            self._do(cast("a.Actions", ready), self._context.ticks())
        elif ready:
            self._downstream.body(ready)

    def on_end(self, attempt: Attempt) -> None:
        """The forwarded body is complete."""
        rest = self._machine.on_end(attempt.number)
        if type(rest) is not bytes:
            self._do(cast("a.Actions", rest), self._context.ticks())
            return
        if rest:
            self._downstream.body(rest)
        self._context.deadlines.discard(self)  # all other attempts are closed
        if attempt.trailers and takes_trailers(self._request.headers):
            self._downstream.end(trailing(attempt.trailers))
        else:
            self._downstream.end()

    def on_error(self, attempt: Attempt, error: AttemptError, why: str) -> None:
        """It ended without a reply that can be forwarded."""
        now = self._context.ticks()
        self._do(self._machine.on_error(attempt.number, error, now, why), now)

    def on_truncated(self, attempt: Attempt, why: str) -> None:
        """Its reply broke off."""
        now = self._context.ticks()
        self._do(self._machine.on_truncated(attempt.number, why, now), now)

    # Actions.

    def _do(self, actions: a.Actions, now: float) -> None:
        """Carry out these actions and all that follow from them, then set the timer."""
        context, machine = self._context, self._machine
        while actions:
            more: a.Actions = ()
            for action in actions:
                # By class, the usual ones first: `match` takes twice as long.
                if type(action) is a.Pick:
                    choice = context.balancer.choose(action.excluded, self._strategy, self._key)
                    if context.balancer.evidence and not (action.excluded or self._key):
                        choice = self._compared(choice)
                    more = machine.on_pick(choice, now)
                elif type(action) is a.Send:
                    self._send(action, now)
                elif type(action) is a.Forward:
                    self._forward(self._attempts[action.number], now, resumed=action.resumed)
                elif type(action) is a.Charge:
                    paid = context.balancer.afford(action.choice.key, action.reason)
                    more = machine.on_charge(now, affordable=paid)
                else:
                    self._other(action)
            actions = more
        due = machine.wake_at if machine.wake_at < self._listen_at else self._listen_at
        if due < self.due and not machine.over:
            self.due = due
            context.deadlines.add(self)
        else:
            self.due = due

    def _compared(self, choice: Choice | None) -> Choice | None:
        """Another target than this one where agent errors are to be compared."""
        if choice is None:
            return None
        return self._context.balancer.compared(choice, self._request.request_class, self._strategy)

    def _other(self, action: a.Action) -> None:
        """Carry out an action that a request without faults does not meet."""
        match action:
            case a.MarkSlow():
                self._context.balancer.attempt_is_slow(self._attempts[action.number].key)
            case a.Probe():
                self._probe(self._attempts[action.number])
            case a.Cancel():
                self._attempts[action.number].cancel(action.error, action.why)
            case a.Abandon():
                abandon(self._context, self._attempts[action.number], action.why)
            case a.Queue():
                self._queued = True
                if self._key and not self._machine.charged:
                    self._context.balancer.forget(self._key)
                self._context.request_queue.wait(self)
            case a.Ping():
                self._downstream.body(PING)
            case a.Abort():
                self._abort(action)
            case Fail():
                self._fail(action)
            case _:
                raise TypeError(f"{action} is not carried out here.")

    def _send(self, sent: a.Send, now: float) -> None:
        context = self._context
        balancer, key = context.balancer, sent.choice.key
        if sent.reason is AttemptReason.HEDGE:
            self._hedged = True
        if self._key and sent.reason in (None, AttemptReason.RETRY):
            balancer.remember(self._key, key)
        attempt = Attempt(self, context, self._request, sent, now)
        self._attempts.append(attempt)
        attempt.send(self._arrived, self._limit)

    def _probe(self, attempt: Attempt) -> None:
        context, now = self._context, self._context.ticks()
        since, attempt.stop_probe = context.prober.verify(attempt.key, partial(self._on_probe, attempt))
        if now > since:
            self._machine.on_probe_joined(attempt.number, now - since, now)

    def _on_probe(self, attempt: Attempt, alive: bool) -> None:
        attempt.stop_probing()
        machine, number, now = self._machine, attempt.number, self._context.ticks()
        if alive:
            heartbeat, heard_at = attempt.heartbeat, attempt.heard_at
            self._do(machine.on_probe_ok(number, now, heartbeat=heartbeat, heard_at=heard_at), now)
        else:
            self._do(machine.on_probe_failed(number, now), now)

    def _forward(self, attempt: Attempt, now: float, *, resumed: bool) -> None:
        self._forwarded = attempt
        balancer = self._context.balancer
        if self._key:
            balancer.remember(self._key, attempt.key)
        if attempt.stop_probe is not None:
            attempt.stop_probing()
        if attempt.plain and not self._request.cors:
            self._machine.on_end(attempt.number)
            self._context.deadlines.discard(self)  # all other attempts are closed
            lines, dated = whole_reply(attempt.by_name), b"date" in attempt.by_name
            lines += self._own_lines(attempt, now)
            self._downstream.whole(attempt.status, lines, attempt.take(), attempt.phrase, dated=dated)
            return
        if not resumed:
            status, own = attempt.status, balancer.targets[attempt.key].origin
            streamed = self._machine.stream is not None
            headers = reply_headers(status, attempt.headers, self._request, own, streamed=streamed)
            if status >= 400:
                one, every = self._machine.forwarded, [each.status for each in self._attempts]
                repeatable = one is not None and one.repeatable
                headers += advice(status, headers, every, repeatable=repeatable, keyed=bool(self._key))
            if status >= 500:
                balancer.request_failed()
            headers += fields_of(self._own_lines(attempt, now))
            self._downstream.head(status, headers, attempt.phrase)
            if self._request.held is not None and not self._machine.may_resume:
                self._let_go(self._request.held)
        attempt.flow()
        self._downstream.flush()  # a head without a body, so far
        if resumed and self._paused:
            self.pause()

    def _let_go(self, held: HeldBody) -> None:
        """No other attempt can follow: the body is not needed any more."""
        held.release()
        self._request = replace(self._request, body=b"", held=None)
        for attempt in self._attempts:
            attempt.request = self._request

    def _abort(self, action: a.Abort) -> None:
        self._context.balancer.request_failed()
        self._finish()
        if action.as_event:
            rpc = self._rpc_error(action.code, action.text)
            self._downstream.body(raw_frame(rpc, "message") if rpc else error_event(action.code, action.text))
            self._downstream.end()
        else:
            self._downstream.abort(f"{self._request.id.decode('latin-1')} {action.text}")

    def _rpc_error(self, code: str, text: str) -> bytes:
        """The error for a client of MCP or A2A; empty for any other."""
        one = self._request
        return rpc_error(one.body, code, text) if is_rpc(one.method, one.headers, one.body) else b""

    def _fail(self, fail: Fail) -> None:
        balancer = self._context.balancer
        balancer.request_failed()
        headers, body = error_reply(fail, balancer.retry_after_s(), self._rpc_error(fail.code, fail.reason))
        lines = self._own_lines(self._attempts[-1] if self._attempts else None, self._context.ticks())
        headers += fields_of(lines)
        self._finish()
        self._downstream.head(fail.status, headers)
        self._downstream.body(body)
        self._downstream.end()

    def _own_lines(self, attempt: Attempt | None, now: float) -> bytes:
        took_ms = (now - self._started) * 1000.0
        self._context.balancer.request_took(took_ms)
        times = took_ms, 0.0 if attempt is None else (now - attempt.started) * 1000.0
        choice = None if attempt is None else attempt.choice
        return response_lines(self._request.id, len(self._attempts), times, choice, hedged=self._hedged)

    def _finish(self) -> None:
        self._context.deadlines.discard(self)
        if self._queued:
            self._queued = False
            self._context.request_queue.leave(self)
        for attempt in self._attempts:
            attempt.close()
