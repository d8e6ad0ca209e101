"""The life of one request, sans-io: events and times go in, actions come out.

A driver reports each event with an `on_*` method, carries out the returned actions in order, and calls
`on_time` once `wake_at` has passed. `Pick` and `Charge` are questions: each is the last action of its tuple,
and the driver answers with `on_pick` or `on_charge`. The machine reads no clock and holds no connection.

Rules
- Retries, hedges and redundant sends share one budget of attempts and one deadline. An attempt that was not
  sent costs nothing. A target that was tried is excluded. Each attempt after the first is charged before it
  is sent (`router.core.request.budget`).
- A request that certainly did not execute may always be sent to another target: not sent, connection refused,
  429, 503, rejected by the platform front end. The reply of a front end is never forwarded.
- A request that may have executed is resent only if a repeat is harmless: an idempotent method, an
  Idempotency-Key, or agents that declare themselves repeatable. All attempts concerned must agree. Otherwise
  the client gets 502 or 504 with the code `may-have-run`.
- Hedge: when a lone attempt has no first event after a learned delay, the request also goes to another
  target. The first good reply wins. When one of two fails, nothing is sent for it. An Idempotency-Key alone
  does not allow a hedge, since it prevents a second execution within its own cloud only.
- A hedge or a redundant send never goes to a target of last resort (out, or in backoff) beside a serving one.
- Redundant sends: as many attempts run at once as the client asked for; a failed one is replaced.
- A small reply is forwarded when it is complete; one that still arrives is waited for. If the request may be
  repeated, an event stream is forwarded from its first event. A reply that is truncated before that is
  retried if that is harmless. Otherwise the client gets `may-have-run`: a broken connection would make its
  SDK repeat the request.
- A reply that is not valid HTTP/1.1 is the agent's bug: nothing is sent for it, whether a repeat is harmless
  or not, and the client gets 502 with the code `invalid-response`.
- An attempt without a reply for `probe_after_s` leads to a probe of the target's /health. If the probe
  succeeds the attempt goes on, and the next probe follows after a growing pause. If it fails, the attempt has
  failed and may have executed. A target that may be starting cold gets the cold timeout if the request cannot
  be repeated.
- If all attempts failed and one has a reply, that reply is forwarded: 429 or 503 before others, then the
  latest. It is never a truncated one, and never after an attempt that may have executed and must not be
  repeated.
- If nothing could be sent, the request is queued until a target is back, `queue_timeout_s` has passed or the
  deadline comes. It is then resent only where it cannot have executed, unless the connection was reset, a
  repeat is harmless and the target has failed a probe since.
- The client of a forwarded event stream gets a comment when it has got nothing for `heartbeat_s`: between
  whole events, not while it reads slowly, and also while the stream is resumed. A comment is no sign of the
  agent, so all times of silence go on. A held stream whose head is here for `heartbeat_s` is forwarded when a
  probe succeeds, so that its client gets comments too; of several, when all are so silent.
- An event stream that is truncated after a part was forwarded is resumed from another target, if that sends
  the same bytes (`router.core.request.stream`). Any other forwarded reply that is truncated is aborted.
"""

from __future__ import annotations

import math
from typing import Final

from router.core.request.actions import Abandon, Abandoned, Action, Actions, Cancel, Charge, Pick, Ping, Probe
from router.core.request.budget import AttemptReason
from router.core.request.classify import Classification, ResponseKind, is_not_charged
from router.core.request.decisions import NOT_RUNNING, ActiveAttempt, RequestState
from router.core.request.failures import ERROR_RULES, AttemptError, expired, may_have_run
from router.core.targets import Choice

# What is forwarded at once if the request must not be repeated.
_FINAL: Final = frozenset({ResponseKind.STREAM, ResponseKind.SERVER_ERROR})
_EXECUTED: Final = frozenset({ResponseKind.SERVER_ERROR, ResponseKind.UNKNOWN})
_NOT_THE_AGENTS: Final = frozenset({ResponseKind.FRONTEND, ResponseKind.UNKNOWN})
_FIRST_PICK: Final = (Pick(()),)
# Pauses between probes of one attempt double from `probe_after_s` up to this.
_PROBE_PAUSE_CAP_S: Final = 30.0
_UNRESPONSIVE: Final = "gave neither a reply nor an answer to /health"
_PING: Final = (Ping(),)
_STOPPED: Final = "stopped in the middle of a small reply"


class RequestMachine(RequestState):
    """One request from its start to its end."""

    __slots__ = ()

    # Events at the start, and answers to Pick and Charge.

    def on_start(self, now: float) -> Actions:
        """The request has arrived."""
        return _FIRST_PICK if now < self._limits.deadline else self._failed(self._too_late(), now)

    def on_pick(self, choice: Choice | None, now: float) -> Actions:
        """The answer to `Pick`; None: every target is excluded."""
        if choice is None:
            return self._none_left(now)
        if not self.attempts:
            return self._send_first(choice, now)
        if not choice.repeatable and self._needs_repeatable():
            self._excluded = (*self._excluded, choice.key)
            return (Pick(self._excluded),)
        if choice.last_resort and not all(one.choice.last_resort for one in self.active):
            return self._none_left(now)
        if self.charged:
            self._pending = choice
            return (Charge(choice, self._reason),)
        return self._send(choice, now)

    def on_charge(self, now: float, *, affordable: bool) -> Actions:
        """The answer to `Charge`."""
        choice, self._pending = self._pending, None
        return self._send(choice, now) if affordable and choice is not None else self._none_left(now)

    # Events of an attempt.

    def on_head(self, number: int, status: int, reply: Classification, now: float) -> Actions:
        """The head of its reply is here. No action: the reply is held until `on_ready`."""
        one, kind = self.attempts[number], reply.kind
        if one not in self.active:
            raise ValueError(NOT_RUNNING.format(number))
        one.status, one.reply = status, reply
        if kind is ResponseKind.PASS or (not one.repeatable and kind in _FINAL):
            return self._forward(one, now)
        if kind is ResponseKind.BUFFER or kind is ResponseKind.STREAM:
            one.headed_at, one.probing = now, False
            if kind is ResponseKind.BUFFER and len(self.active) == 1:
                self._hedge_at = math.inf
            return self._armed()
        executed, key = kind in _EXECUTED, one.choice.key
        if kind in _NOT_THE_AGENTS:
            if is_not_charged(kind, status):
                self.charged -= 1
                one.excluded = False
            self._remove(one, f"{key}: status {status}, not from its agent", now, executed=executed)
            if executed and not one.repeatable:
                return self._failed(may_have_run(key, f"status {status}, not from its agent"), now)
        else:
            self._remove(one, f"{key}: status {status}", now, executed=executed)
            self._kept.append(one)
        return self._retry(now)

    def on_whole(self, number: int, status: int, reply: Classification, now: float) -> Actions:
        """A small reply is here as a whole: `on_head` and `on_ready` in one."""
        one = self.attempts[number]
        if one not in self.active:
            raise ValueError(NOT_RUNNING.format(number))
        one.status, one.reply = status, reply
        return self._forward(one, now)

    def on_ready(self, number: int, now: float) -> Actions:
        """The held reply is complete, or its first event is here."""
        return self._forward(self._running(number), now)

    def on_error(self, number: int, error: AttemptError, now: float, why: str = "") -> Actions:
        """It ended without a reply that can be forwarded. why: what is wrong with an invalid one."""
        one = self._running(number)
        if not ERROR_RULES[error].elsewhere:
            return self._invalid(one, why, now)
        fail = self._ended(one, error, now)
        return self._retry(now) if fail is None else self._failed(fail, now)

    def on_truncated(self, number: int, why: str, now: float) -> Actions:
        """Its reply, of which at least the head is here, broke off."""
        one = self.attempts[number]
        if one is self.forwarded:
            return self._truncated(one, why, now)
        if one in self.active:
            return self.on_error(number, AttemptError.TRUNCATED, now)
        if one in self._kept:
            self._kept.remove(one)
        return ()

    # Events of the forwarded body: they return what the client gets now, or how the reply ends otherwise.

    def on_data(self, number: int, data: bytes, now: float) -> bytes | Actions:
        """A part of it has arrived."""
        self.data_at = now
        if self.stream is None:
            return data
        ready = self.stream.feed(data)
        if ready:
            self._sent_at = now
        return self._mismatch(number, "another") if ready is None else ready

    def on_end(self, number: int) -> bytes | Actions:
        """It is complete."""
        rest = b"" if self.stream is None else self.stream.finish()
        if rest is None:
            return self._mismatch(number, "a shorter")
        self.over = True
        return rest

    @property
    def may_resume(self) -> bool:
        """Whether another target may have to continue the forwarded reply."""
        return self.stream is not None and self.stream.may_resume

    # Events of probes.

    def on_probe_joined(self, number: int, seconds: float, now: float) -> None:
        """The probe of its target has been running for so long already."""
        one = self._running(number)
        one.wake_at = max(now, one.wake_at - seconds)
        self._armed()

    def on_probe_ok(
        self, number: int, now: float, *, heartbeat: bool = False, heard_at: float = 0.0
    ) -> Actions:
        """Its target answered /health. heartbeat: its stream has sent comments, but no event yet. heard_at:
        when the last part of its reply came."""
        one = self._running(number)
        policy, reply = self._limits.policy, one.reply
        sized = reply is not None and reply.kind is ResponseKind.BUFFER and reply.sized
        if sized and one.repeatable and now - max(one.headed_at, heard_at) >= policy.probe_after_s:
            return self._given_up(one, AttemptError.TRUNCATED, _STOPPED, now)
        if (heartbeat and len(self.active) == 1) or all(self._is_silent(each, now) for each in self.active):
            return self._forward(one, now)
        one.probing = False
        one.wake_at = now + min(policy.probe_after_s * 2**one.probes, _PROBE_PAUSE_CAP_S)
        return self._armed()

    def _is_silent(self, one: ActiveAttempt, now: float) -> bool:
        """Whether the head of its stream is here for so long that its client should get comments."""
        if one.reply is None or one.reply.kind is not ResponseKind.STREAM:
            return False
        return now - one.headed_at >= self._limits.heartbeat_s

    def on_probe_failed(self, number: int, now: float) -> Actions:
        """Its target gave neither a reply nor an answer to /health."""
        return self._given_up(self._running(number), AttemptError.UNRESPONSIVE, _UNRESPONSIVE, now)

    # Events of the client and of time.

    def on_time(self, now: float) -> Actions:
        """`wake_at` has passed: a deadline, a probe that failed, a stall, a hedge, or a silent body."""
        if self._queued is not None:
            return self._finally(self._queued)
        actions: list[Action] = []
        if now >= self._ping_at:
            actions += self._pings(now)
        if self.forwarded is not None:
            return (*actions, *self._body_time(self.forwarded, now))
        if now >= self._limits.deadline:
            return self._failed(self._too_late(), now)
        lost = False
        for one in list(self.active):
            if one.wake_at > now:
                continue
            if not one.probing:
                self._probe(one, now)
                actions.append(Probe(one.number))
                continue
            lost = True
            actions.append(Cancel(one.number, AttemptError.UNRESPONSIVE, _UNRESPONSIVE))
            fail = self._ended(one, AttemptError.UNRESPONSIVE, now)
            if fail is not None:
                return (*actions, *self._failed(fail, now))
        if lost and len(self.active) < self._limits.parallel:
            return (*actions, *self._retry(now))
        if self.active and now >= self._hedge_at:
            self._reason = AttemptReason.HEDGE
            actions += self._pick(now)
        self._armed()
        return tuple(actions)

    def _pings(self, now: float) -> Actions:
        """`_ping_at` has passed: a comment, unless the client got an event meanwhile or a part of one."""
        self._silent_since(self._sent_at)
        if now < self._ping_at or self.stream is None:
            return ()
        self._silent_since(now)
        return _PING if self.stream.ping() else ()

    def on_pause(self) -> None:
        """The client reads slowly: only its own deadline counts meanwhile."""
        self._paused, self._ping_at = True, math.inf
        if self.forwarded is not None:
            self.wake_at = self._limits.client_deadline

    def on_resume(self, now: float) -> None:
        """The client reads on."""
        self._paused = False
        if self.stream is not None:
            self._silent_since(now)
        if self.forwarded is not None:
            self.data_at = now
            self._await_body()
        elif self.stream is not None:
            self._armed()

    def on_expire(self) -> Actions:
        """This instance of the router ends before the request does."""
        if self.over:
            return ()
        if self.stream is not None or self.forwarded is not None:
            return self._abort("draining", "This instance of the router ended before the reply did.")
        keys = [one.choice.key for one in self.active]
        return self._finally(expired(keys, safe=all(one.repeatable for one in self.active)))

    def on_client_gone(self) -> Actions:
        """The client left before the end."""
        self.over = True
        return () if self.forwarded is not None else self._abandoned()

    # Events of the request queue.

    def can_retry_on(self, key: str) -> bool:
        """Whether this queued request may be sent to a target that is back."""
        may = not self.charged
        for one in self.attempts:
            if one.choice.key == key and not one.past:
                may = not one.excluded
        return may

    def on_target_failed(self, key: str) -> None:
        """While the request is queued, this target does not answer /health."""
        for one in self.attempts:
            if one.reset and one.choice.key == key:
                one.excluded = False

    def on_target_ok(self, key: str, now: float) -> Actions:
        """This target answers as it has done all the while, so a reset there had another cause."""
        for one in self.attempts:
            if one.choice.key == key:
                one.reset = False
        if self._queued is not None and not self._may_wait():
            return self._finally(self._queued)
        return ()

    def on_retry_round(self, now: float) -> Actions:
        """A target is back for this queued request. Attempts that may have executed stay excluded."""
        self._queued = None
        closed = tuple(Abandon(one.number, Abandoned.UNUSED) for one in self.attempts if not one.past)
        for one in self.attempts:
            one.past = one.past or not one.excluded
        return (*closed, *self._round(now))
