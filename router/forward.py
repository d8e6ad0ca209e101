"""The way of one request through the router, as plain callbacks: ask the plan, obey it, tell the board.

Rules
- `Exchange` is all this file knows of the server in front; a server of our own may drive it directly.
- The plan decides; nothing here chooses, repeats or gives up by itself.
- The first attempt whose reply the plan passes on owns the exchange. Replies that were not passed on are
  held, paused and bounded, until it is clear whether one of them is the best that the caller can get.
- Each attempt's outcome is recorded once. A reply is a success only after its last byte.
- The caller gone: everything upstream is closed, and nobody is blamed.
- A reply cut by the target never ends cleanly: an event stream gets an explicit error event, others are
  aborted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from router import plan as p
from router.asks import Asker
from router.attempt import Attempt
from router.board import Board
from router.door import is_ordinary, too_large, turned_away
from router.fleet import Outcome
from router.headers import Header, check_request, downstream, first, request_head, upstream
from router.plan import Failure
from router.pool import Pool
from router.sse import EventStream, error_event, is_event_stream
from router.targets import Target
from router.timing import Watch


@dataclass(frozen=True, slots=True)
class Request:
    """A caller's request, whole. target: the request target as sent (path and query). path: percent-decoded.

    drop: header fields that carried the caller's API key. id: from the caller or made for it.
    """

    method: str
    target: bytes
    path: str
    query: bytes
    headers: list[Header]
    body: bytes
    id: bytes
    drop: frozenset[bytes] = frozenset()


class Exchange(Protocol):
    """The caller's side. It pauses, resumes and ends a relay by the relay's methods of those names."""

    def head(self, status: int, headers: list[Header], /) -> None: ...

    def body(self, data: bytes, /) -> None: ...

    def end(self) -> None: ...

    def abort(self, why: str, /) -> None: ...


Sign = Callable[[str, str, bytes, bytes], Iterable[Header]]


@dataclass(frozen=True, slots=True)
class Plane:
    """What all requests of one instance share. sign: headers for (method, path, query, body)."""

    board: Board
    pool: Pool
    asker: Asker
    watch: Watch
    sign: Sign
    ticks: Callable[[], float]


class Relay:
    """One request on its way."""

    __slots__ = (
        "_asking",
        "_attempts",
        "_events",
        "_exchange",
        "_over",
        "_passed",
        "_plan",
        "_plane",
        "_request",
        "_started",
        "due",
    )

    def __init__(self, plane: Plane, request: Request, exchange: Exchange) -> None:
        check_request(request.method, request.target, request.headers)
        board = plane.board
        self._plane, self._request, self._exchange = plane, request, exchange
        self._started = plane.ticks()
        self._plan = p.begin(
            request.method,
            has_key=first(request.headers, b"idempotency-key") is not None,
            targets=len(board.targets),
            retry_after_s=board.retry_after_s(),
            now=self._started,
            policy=board.policy,
        )
        self._attempts: list[Attempt] = []
        self._passed: Attempt | None = None
        self._events: EventStream | None = None
        self._asking: Callable[[], None] | None = None
        self._over = False
        self.due = self._plan.deadline

    # What the server in front calls.

    def start(self) -> None:
        self._plane.board.requests += 1
        self._plane.watch.add(self)
        self._do(*p.attempt(self._plan, self._plane.board.choose, self._started))

    def pause(self) -> None:
        """The caller reads slowly. That is not the target's silence, so no deadline runs meanwhile."""
        if self._passed is not None:
            self.due = math.inf
            self._passed.call.pause()

    def resume(self) -> None:
        if self._passed is not None:
            self.due = self._plane.ticks() + self._plane.board.policy.deadline_s
            self._passed.call.resume()

    def gone(self) -> None:
        """The caller left, or has everything."""
        if not self._over:
            self._finish()

    # What time calls.

    def overdue(self, now: float) -> None:
        """`due` has come: a silent body, the deadline, an unanswered question, or a stall."""
        if self._passed is not None:
            limit = self._plane.board.policy.deadline_s
            self._passed.drop(Failure.TIMEOUT, f"nothing came for {limit:g} s in the middle of its reply")
        elif now >= self._plan.deadline:
            self._fail_running(Failure.TIMEOUT, "the deadline passed without a reply")
        elif self._asking is not None:
            self._fail_running(Failure.NO_ANSWER, "gave neither a reply nor an answer to /health")
        else:
            self._do(*p.stalled(self._plan, now))

    # What an attempt calls.

    def on_head(self, attempt: Attempt) -> None:
        board = self._plane.board
        if turned_away(attempt.status, attempt.headers):
            self._on_turned_away(attempt)
            return
        if attempt.status < 500:
            board.saw_latency(attempt.key, attempt.upstream_ms)
        else:
            attempt.record(Outcome.FAILURE, f"status {attempt.status}")
        self._stop_asking()
        undone = too_large(attempt.status, attempt.headers)
        now = self._plane.ticks()
        self._do(*p.replied(self._plan, attempt.status, board.choose, now, undone=undone))

    def _on_turned_away(self, attempt: Attempt) -> None:
        at_fault = is_ordinary(self._request.method, self._request.target)
        why = f"status {attempt.status}, not from its agent"
        attempt.record(Outcome.FAILURE if at_fault else Outcome.NEUTRAL, why)
        self._stop_asking()
        board, now = self._plane.board, self._plane.ticks()
        self._do(*p.turned_away(self._plan, attempt.status, board.choose, now))

    def on_data(self, attempt: Attempt, data: bytes) -> None:
        self.due = self._plane.ticks() + self._plane.board.policy.deadline_s
        if self._events is not None:
            data = self._events.feed(data)
        if data:
            self._exchange.body(data)

    def on_end(self, attempt: Attempt) -> None:
        if self._events is not None and (rest := self._events.finish()):
            self._exchange.body(rest)
        self._finish()
        self._exchange.end()

    def on_cut(self, attempt: Attempt, why: str) -> None:
        """The passed reply broke off."""
        text = f"The reply of {attempt.key} broke off: {why}. What came before this is incomplete."
        self._plane.board.failed += 1
        repairable = self._events is not None and self._events.repairable
        self._finish()
        if repairable:
            self._exchange.body(error_event("stream-cut", text))
            self._exchange.end()
        else:
            self._exchange.abort(text)

    def on_failure(self, attempt: Attempt, failure: Failure, why: str) -> None:
        self._stop_asking()
        self._do(*p.failed(self._plan, failure, self._plane.board.choose, self._plane.ticks()))

    def elapsed_ms(self, since: float) -> float:
        return (self._plane.ticks() - since) * 1000

    def is_running(self, attempt: Attempt) -> bool:
        """Whether the plan still waits for this attempt's head."""
        return not self._over and self._passed is None and self._attempts[-1] is attempt

    # Obeying the plan.

    def _do(self, plan: p.Plan, action: p.Action) -> None:
        self._plan = plan
        match action:
            case p.Try(choice):
                self._try(choice)
            case p.Ask(key, until):
                since, stop = self._plane.asker.ask(self._plane.board.targets[key], self._on_answer)
                self._asking = stop
                # Somebody may have asked before us: their unanswered time counts.
                now = self._plane.ticks()
                self.due = max(now, until - max(0.0, self._plane.board.clock() - since))
            case p.Wait(until):
                self.due = until
            case p.PassOn(number):
                self._pass_on(self._attempts[number])
            case p.GiveUp():
                self._give_up(action)

    def _try(self, choice: p.Choice) -> None:
        plane, request = self._plane, self._request
        target = plane.board.targets[choice.key]
        if self._attempts:
            plane.board.retried += 1
        now = plane.ticks()
        self.due = p.first_stall(self._plan, now)
        attempt = Attempt(self, plane.board, choice, now)
        self._attempts.append(attempt)
        data = self._request_bytes(target)
        attempt.call = plane.pool.send(target.origin, data, attempt, head_only=request.method == "HEAD")

    def _request_bytes(self, target: Target) -> bytes:
        request = self._request
        headers = upstream(request.headers, request.drop)
        headers.append((b"x-request-id", request.id))
        headers += self._plane.sign(request.method, request.path, request.query, request.body)
        head = request_head(
            request.method, request.target, target.origin.authority, headers, len(request.body)
        )
        return head + request.body

    def _on_answer(self, alive: bool) -> None:
        self._stop_asking()
        if alive:
            self._do(*p.answered(self._plan, self._plane.ticks()))
        else:
            self._fail_running(Failure.NO_ANSWER, "gave neither a reply nor an answer to /health")

    def _fail_running(self, failure: Failure, why: str) -> None:
        self._attempts[-1].drop(failure, why)

    def _pass_on(self, attempt: Attempt) -> None:
        self._passed = attempt
        for other in self._attempts:
            if other is not attempt:
                other.close()
        headers = downstream(attempt.headers)
        plain = first(headers, b"content-encoding") is None and self._request.method != "HEAD"
        if plain and is_event_stream(first(headers, b"content-type")):
            # An announced length would leave no room for the error event of a cut stream.
            headers = [header for header in headers if header[0] != b"content-length"]
            self._events = EventStream()
        if attempt.status >= 500:
            self._plane.board.failed += 1
        self._exchange.head(attempt.status, headers + self._own_headers(attempt))
        self.due = self._plane.ticks() + self._plane.board.policy.deadline_s
        attempt.flow()

    def _give_up(self, action: p.GiveUp) -> None:
        self._plane.board.failed += 1
        body = json.dumps({"error": {"code": action.code, "message": action.reason}}).encode()
        headers: list[Header] = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *self._own_headers(self._attempts[-1] if self._attempts else None),
        ]
        if action.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % action.retry_after_s))
        self._finish()
        self._exchange.head(action.status, headers)
        self._exchange.body(body)
        self._exchange.end()

    def _own_headers(self, attempt: Attempt | None) -> list[Header]:
        total = (self._plane.ticks() - self._started) * 1000
        headers: list[Header] = [
            (b"x-request-id", self._request.id),
            (b"x-skyfleet-attempts", b"%d" % len(self._attempts)),
        ]
        spent = 0.0
        if attempt is not None:
            headers.append((b"x-skyfleet-target", attempt.key.encode()))
            spent = attempt.upstream_ms
            if attempt.choice.panic:
                headers.append((b"x-skyfleet-panic", b"true"))
        timing = f"upstream;dur={spent:.1f}, router;dur={max(0.0, total - spent):.1f}"
        headers.append((b"server-timing", timing.encode()))
        return headers

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking()
            self._asking = None

    def _finish(self) -> None:
        self._over = True
        self._stop_asking()
        self._plane.watch.discard(self)
        for attempt in self._attempts:
            attempt.close()
