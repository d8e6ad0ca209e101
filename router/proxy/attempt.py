"""One upstream attempt: its connection, its place among the active requests, its outcome.

Rules
- Outcome and active request are settled once, by the first event that does so.
- Until its reply is forwarded, data is held; beyond `MOST_HELD` bytes the connection is paused.
- Its latency is reported once: at the first event, at the end of a small reply, at the head of others. An
  abandoned attempt reports its elapsed time instead, if that exceeds what was expected of the target.
- A request without a key is no evidence, good or bad: clients without a key could eject a target by it, or
  make it look quick.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from router.core.outcomes import Outcome
from router.core.request.actions import Send
from router.core.request.budget import AttemptReason
from router.core.request.classify import (
    MOST_BUFFERED,
    NOT_NOW,
    Classification,
    ResponseKind,
    classify,
    is_ordinary,
    stream_blame,
    unless_refused,
)
from router.core.request.failures import ERROR_RULES, AttemptError
from router.core.request.options import TIMEOUT
from router.net.errors import TransportError
from router.net.fields import request_head, upstream
from router.net.lambda_errors import BROKE_OFF, LambdaErrorFilter
from router.net.lambda_targets import carried
from router.net.pool import Exchange
from router.proxy.context import Context, Request
from router.proxy.held import UNCOUNTED
from router.proxy.owner import AttemptOwner
from router.proxy.reply import is_plain
from skyfleet.asgi import Header
from skyfleet.http1.head import ResponseHead
from skyfleet.sse import FirstEvent, LastEvent

# A small reply fits; more of an error reply is read only when it is forwarded.
MOST_HELD: Final = MOST_BUFFERED
_ERRORS: Final = {
    TransportError.CONNECT: AttemptError.CONNECT,
    TransportError.OVERFLOW: AttemptError.OVERFLOW,
    TransportError.RESET: AttemptError.RESET,
    TransportError.INVALID: AttemptError.INVALID,
}
# Read for each reply. CPython 3.13 specializes the lookup of a constant, not that of a member of an Enum.
_BUFFER, _STREAM = ResponseKind.BUFFER, ResponseKind.STREAM
_FRONTEND, _UNKNOWN = ResponseKind.FRONTEND, ResponseKind.UNKNOWN
_NEUTRAL, _COLD = Outcome.NEUTRAL, Outcome.COLD
_BAD: Final = frozenset({Outcome.FAILURE, Outcome.SILENCE, Outcome.UNRESPONSIVE, Outcome.AGENT_ERROR})
_GOOD: Final = frozenset({Outcome.SUCCESS, Outcome.COLD})


class Attempt:
    """The response handler of one target's reply."""

    __slots__ = (
        "_closed",
        "_context",
        "_filter",
        "_first",
        "_held",
        "_last",
        "_owner",
        "_recorded",
        "_reported",
        "_size",
        "_truncated",
        "awaited",
        "by_name",
        "call",
        "choice",
        "ended",
        "flowing",
        "headed_at",
        "headers",
        "heard_at",
        "key",
        "number",
        "phrase",
        "plain",
        "reason",
        "reply",
        "request",
        "started",
        "status",
        "stop_probe",
        "trailers",
    )

    call: Exchange

    def __init__(
        self, owner: AttemptOwner, context: Context, request: Request, sent: Send, now: float
    ) -> None:
        """now: in ticks. It is not sent yet; see `send`."""
        self._owner, self._context, self.request = owner, context, request
        self.number, self.choice, self.reason = sent.number, sent.choice, sent.reason
        self.key = key = sent.choice.key
        # In ticks, as `headed_at`, when its head came, and `heard_at`, when the last part that is held did.
        self.started = self.headed_at = self.heard_at = now
        context.balancer.start(key, self, retry=sent.reason is AttemptReason.RETRY)
        self.status = 0
        self.phrase = b""  # of its status line
        self.headers: list[Header] = []
        self.by_name: Mapping[bytes, bytes] = {}
        # A small reply that is here as a whole (`router.proxy.reply.is_plain`).
        self.plain = False
        self.trailers: Sequence[Header] = ()
        self.reply: Classification | None = None
        # A good head is here, and the reply is held until its first event or its end.
        self.awaited = False
        self.stop_probe: Callable[[], None] | None = None
        self._size = 0
        self._filter: LambdaErrorFilter | None = None
        self._first: FirstEvent | None = None
        self._last: LastEvent | None = None
        self._held: list[bytes] = []
        self.flowing = self.ended = self._recorded = self._closed = False
        self._reported = request.keyless
        self._truncated: str | None = None

    def send(self, arrived: float, deadline: float) -> None:
        """Send the request. arrived: of the request, in unix seconds. deadline: the client's, in ticks."""
        context, request = self._context, self.request
        target, method, body = context.balancer.targets[self.key], request.method, request.body
        fields = b"%bx-request-id: %b\r\nx-request-start: t=%.3f\r\n%b" % (
            upstream(request.headers, request.drop, request.by_name),
            request.id,
            arrived,
            context.sign(self.key, request, "" if self.number else request.nonce),
        )
        if deadline < math.inf:
            fields += b"%b: %d\r\n" % (TIMEOUT, max(1, round((deadline - self.started) * 1000)))
        size, origin = len(body), target.origin
        asked = request.target
        sent = carried(asked) if b"?" in asked and target.cloud == "aws" else asked
        head = request_head(method, sent, origin, fields, size)
        if size <= UNCOUNTED:
            head, body = head + body, b""
        self.call = context.pool.send(origin, head, self, head_only=method == "HEAD", body=body)

    # The pool calls these.

    def on_informational(self, status: int, headers: list[Header]) -> None:
        self._owner.on_informational(self, status, headers)

    def on_whole(self, head: ResponseHead, data: bytes) -> None:
        """All of it is here. A small reply is one event for the owner."""
        reply = self._classify(head)
        if reply.kind is not _BUFFER or self._filter is not None:
            self._owner.on_head(self)
            if data and not self._closed:
                self.on_data(data)
            if not self._closed:
                self.on_end(())
            return
        self._held = [data]
        self.ended = True
        self.by_name = head.by_name
        self.plain = is_plain(head, self.request.method)
        self._settle(reply, self.headed_at)
        self._owner.on_whole(self, self.headed_at)

    def on_head(self, head: ResponseHead) -> None:
        """Its head is here."""
        self._classify(head)
        self._owner.on_head(self)

    def _classify(self, head: ResponseHead) -> Classification:
        """Classify it, and report what it says of the target."""
        context, request = self._context, self.request
        agents = context.agents
        status = self.status = head.status
        self.headers, self.phrase = head.fields, head.reason
        self.headed_at = context.ticks()
        if self.stop_probe is not None:
            self.stop_probing()
        reply = classify(
            status,
            head.by_name,
            bodiless=request.method == "HEAD",
            identified=agents.identified,
            now=context.balancer.clock() if status in NOT_NOW else 0.0,  # for Retry-After only
        )
        if reply.kind is _UNKNOWN:
            reply = unless_refused(reply, status, context.balancer.targets[self.key].cloud, request.headers)
        self.reply, kind = reply, reply.kind
        if not reply.sized and context.balancer.targets[self.key].cloud == "aws":
            self._filter = LambdaErrorFilter()
        if kind is _FRONTEND or kind is _UNKNOWN:
            if not is_ordinary(request.method, request.target, request.headers):
                self.record(_NEUTRAL)
        elif context.balancer.probing:
            context.balancer.responded(self.key)
        if reply.outcome is not None:
            self.record(reply.outcome, reply.why, reply.backoff_s)
        elif reply.events:
            self._first, self._last = FirstEvent(), LastEvent()
        elif kind is not _BUFFER and reply.at_end is not _NEUTRAL:
            self._report(self.headed_at)
        self.awaited = kind is _BUFFER or kind is _STREAM
        return reply

    def on_data(self, data: bytes) -> None:
        if self._filter is not None:
            data = self._filter.feed(data)
            if not data:
                return
        began = self._first is not None and self._first.feed(data)
        now = 0.0
        if began:
            self._first, now = None, self._context.ticks()
            self._report(now)
        if self._last is not None:
            self._last.feed(data)
        if self.flowing:
            self._owner.on_data(self, data)
            return
        self.heard_at = self._context.ticks()
        if self._held:
            self._held.append(data)
        else:
            self._held = [data]
        self._size += len(data)
        if began and self.awaited:
            self._owner.on_ready(self, now)
        elif self._size > MOST_HELD:
            # Longer than expected: it is forwarded as it comes.
            if self.awaited:
                self._owner.on_ready(self, self._context.ticks())
            else:
                self.call.pause()

    def on_end(self, trailers: Sequence[Header]) -> None:
        self.trailers = trailers
        if self._filter is not None:
            last, self._filter = self._filter.finish(), None
            if last is None:
                self.on_failure(TransportError.RESET, BROKE_OFF)
                return
            if last:
                self.on_data(last)
        self.ended = True
        now = self._context.ticks()
        self._settle(self.reply, now)
        if self.flowing:
            self._owner.on_end(self)
        elif self.awaited:
            self._owner.on_ready(self, now)

    def _settle(self, reply: Classification | None, now: float) -> None:
        """It has ended in order: report what that says of the target."""
        balancer = self._context.balancer
        balancer.end(self.key, self)
        if reply is None:
            self.record(_NEUTRAL)
            return
        outcome = reply.at_end
        if outcome is not _NEUTRAL:
            if self._last is not None and (
                why := self._context.agents.stream_fault(self._last, self.request.path)
            ):
                self.record(stream_blame(self._last), why)
            if reply.kind is _BUFFER and not (self._reported or self._recorded):
                self._reported = self._recorded = True
                milliseconds = (now - self.started) * 1000.0
                cold = outcome is _COLD
                balancer.report(self.key, outcome, first_event_ms=milliseconds, load=reply.load, cold=cold)
                if balancer.evidence:
                    self._succeeded()
        if not self._recorded:
            self.record(outcome)

    def on_failure(self, error: TransportError, why: str) -> None:
        failure = _ERRORS[error]
        self._context.balancer.end(self.key, self)
        self.stop_probing()
        if not self.status:
            unsent = failure is AttemptError.CONNECT
            self.record(ERROR_RULES[failure].outcome, why, unsent=unsent)
            self._owner.on_error(self, failure, why)
            return
        self._truncated = why
        invalid = failure is AttemptError.INVALID
        self.record(Outcome.AGENT_ERROR if invalid else Outcome.FAILURE, why)
        if invalid and self.awaited and not self.flowing:
            self._owner.on_error(self, failure, why)
        else:
            self._owner.on_truncated(self, why)

    # The owner calls these.

    def take(self) -> bytes:
        """What is held of its reply."""
        held, self._held = self._held, []
        return held[0] if len(held) == 1 else b"".join(held)

    @property
    def heartbeat(self) -> bool:
        """Whether it is a stream that has sent something, but no event yet."""
        return self.awaited and self._first is not None and bool(self._held)

    def flow(self) -> None:
        """Give everything to the owner from now on, beginning with what was held."""
        self.flowing = True
        held, self._held = self._held, []
        for data in held:
            # The owner may have closed this attempt meanwhile.
            if self.flowing:
                self._owner.on_data(self, data)
        if not self.flowing:
            return
        if self.ended:
            self._owner.on_end(self)
        elif self._truncated is not None:
            self._owner.on_truncated(self, self._truncated)
        elif self._size > MOST_HELD:
            self.call.resume()

    def cancel(self, error: AttemptError, why: str) -> None:
        """Close it as failed."""
        self.record(ERROR_RULES[error].outcome, why)
        self.close()

    def censored(self) -> bool:
        """It is abandoned: report that it takes longer than it has taken. Whether it has shown nothing
        useful."""
        if self._reported or self._recorded:
            return False
        elapsed = (self._context.ticks() - self.started) * 1000
        self._reported = self._context.balancer.lost_to_hedge(self.key, elapsed, not self.choice.warm)
        return self.awaited or not self.status

    def record(
        self, outcome: Outcome, why: str = "", backoff_s: float | None = None, *, unsent: bool = False
    ) -> None:
        """Report how it ended, once. unsent: the request cannot be the cause of the failure."""
        if not self._recorded:
            self._recorded = True
            if self.request.keyless or (self.choice.panic and outcome in _BAD):
                # In panic the target was out already: this is no news, and must not delay its return.
                outcome = _NEUTRAL
            balancer = self._context.balancer
            if outcome in _BAD:
                self._failed(outcome, why, unsent=unsent)
                return
            balancer.report(self.key, outcome, why, backoff_s)
            if balancer.evidence and outcome in _GOOD:
                self._succeeded()

    def _failed(self, outcome: Outcome, why: str, *, unsent: bool) -> None:
        context, key, request_class = self._context, self.key, self.request.request_class
        balancer, age_s = context.balancer, context.ticks() - self.started
        if outcome is Outcome.AGENT_ERROR:
            balancer.agent_failed(key, request_class, why, age_s)
        elif outcome is Outcome.UNRESPONSIVE or unsent or not balancer.breaks_everywhere(key, request_class):
            balancer.attempt_failed(key, outcome, why, age_s)
        else:
            context.prober.verify(key, restarts=True)
        context.prober.watch()

    def _succeeded(self) -> None:
        self._context.balancer.agent_succeeded(self.key, self.request.request_class)

    def stop_probing(self) -> None:
        """Its target's probe is no longer awaited."""
        if self.stop_probe is not None:
            self.stop_probe()
            self.stop_probe = None

    def close(self) -> None:
        """The rest of its reply is not needed."""
        self.flowing = self.awaited = False
        self._recorded = self._closed = True
        self._context.balancer.end(self.key, self)
        if not self.call.over:
            self.call.cancel()
        if self.stop_probe is not None:
            self.stop_probing()

    def _report(self, now: float) -> None:
        """Its latency until now."""
        if not self._reported and self.reply is not None:
            self._reported = True
            milliseconds = (now - self.started) * 1000.0
            cold = self.reply.at_end is _COLD
            self._context.balancer.report(
                self.key, _NEUTRAL, first_event_ms=milliseconds, load=self.reply.load, cold=cold
            )
