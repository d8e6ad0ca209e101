"""What one request does next: try, ask, wait, pass a reply on, or give up.

Rules
- One budget of attempts (never above the number of targets, at most three) and one deadline for all of them.
  A target that was tried is not tried again. Nothing is repeated after the first byte of a passed reply.
- What surely did not run may always go elsewhere: not sent, connection refused, 429, 503, turned away
  before the agent (router.door). The reply of a front door is never passed on as the agent's.
- What may have run goes elsewhere only if a repeat is harmless: an idempotent method, an Idempotency-Key, or
  an agent that declares itself repeatable. Otherwise the caller is told, with 502 or 504, that it may have
  run.
- An attempt without an answer for `stall_s` leads to a question to the target's free /health. Alive: keep
  waiting and ask again after a growing pause, because a slow model is not dead and must not be billed twice.
  Silent: the attempt has failed, and nobody knows whether it ran. A target that may still be starting cold
  gets the cold patience when the request cannot be repeated.
- When all attempts failed and one of them replied, the caller gets that reply: 429 or 503 before others, the
  later before the earlier. But never after an attempt that may have run and must not be repeated: a passed
  503 would invite a repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from router.policy import Policy

# RFC 9110, section 9.2.2.
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# Replies that say: not now, and nothing was done.
UNDONE: Final = frozenset({429, 503})
# Replies that say: it went wrong, perhaps half-way.
BROKEN: Final = frozenset({500, 502, 504})


class Failure(StrEnum):
    """How an attempt ended without a reply."""

    NOT_SENT = "not-sent"
    FULL = "too-many-connections"  # our own limit; not sent either, and no fault of the target
    RESET = "reset"
    NO_ANSWER = "no-answer"
    TIMEOUT = "timeout"


UNSENT: Final = frozenset({Failure.NOT_SENT, Failure.FULL})


@dataclass(frozen=True, slots=True)
class Choice:
    """A target for one attempt. panic: it was not serving, but nobody else is left. warm: alive lately."""

    key: str
    repeatable: bool = False
    panic: bool = False
    warm: bool = True


@dataclass(frozen=True, slots=True)
class Try:
    """Send the request to this target."""

    choice: Choice


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the target's /health whether it lives; `until` (absolute) no answer means no."""

    key: str
    until: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Keep waiting for the head; report a stall again at `until` (absolute)."""

    until: float


@dataclass(frozen=True, slots=True)
class PassOn:
    """Give the caller the reply of this attempt (0 is the first)."""

    attempt: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Give the caller an error of our own."""

    status: int
    code: str
    reason: str
    retry_after_s: int | None = None


Action = Try | Ask | Wait | PassOn | GiveUp
Choose = Callable[[Collection[str]], Choice | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """One request so far.

    deadline: absolute. tried: keys in order; the last one is the running attempt. replies: (attempt, status)
    of replies not passed on. asked: questions in this attempt. causes: how the failed attempts ended, in
    words.
    """

    policy: Policy
    budget: int
    deadline: float
    repeatable: bool
    retry_after_s: int
    choice: Choice | None = None
    tried: tuple[str, ...] = ()
    replies: tuple[tuple[int, int], ...] = ()
    causes: tuple[str, ...] = ()
    slow: bool = False
    asked: int = 0


def begin(
    method: str, *, has_key: bool, targets: int, retry_after_s: int, now: float, policy: Policy
) -> Plan:
    """The plan of a new request.

    has_key: it carries an Idempotency-Key. targets: how many there are. retry_after_s: what to tell a caller
    whom nobody could serve.
    """
    return Plan(
        policy=policy,
        budget=min(policy.attempts, targets),
        deadline=now + policy.deadline_s,
        repeatable=has_key or method in IDEMPOTENT,
        retry_after_s=retry_after_s,
    )


def attempt(plan: Plan, choose: Choose, now: float) -> tuple[Plan, Action]:
    """The first or the next attempt, if budget, deadline and targets allow one; else the best way to end."""
    if len(plan.tried) >= plan.budget or now >= plan.deadline:
        return plan, _exhausted(plan)
    choice = choose(plan.tried)
    if choice is None:
        return plan, _exhausted(plan)
    return replace(plan, choice=choice, tried=(*plan.tried, choice.key), asked=0), Try(choice)


def first_stall(plan: Plan, now: float) -> float:
    """When an attempt that begins now has waited long enough to ask (absolute)."""
    return min(now + plan.policy.stall_s, plan.deadline)


def stalled(plan: Plan, now: float) -> tuple[Plan, Action]:
    """No head yet, and the time of `Wait` or `first_stall` has come: ask."""
    choice = _running(plan)
    patient = not choice.warm and not may_repeat(plan)
    patience = plan.policy.cold_timeout_s if patient else plan.policy.ask_timeout_s
    return replace(plan, asked=plan.asked + 1), Ask(choice.key, min(now + patience, plan.deadline))


def answered(plan: Plan, now: float) -> tuple[Plan, Action]:
    """/health answered: the target lives, so the request is worth waiting for."""
    pause = min(plan.policy.stall_s * 2**plan.asked, plan.policy.ask_pause_cap_s)
    return plan, Wait(min(now + pause, plan.deadline))


def failed(plan: Plan, failure: Failure, choose: Choose, now: float) -> tuple[Plan, Action]:
    """The running attempt ended without a reply."""
    choice = _running(plan)
    slow = failure in (Failure.NO_ANSWER, Failure.TIMEOUT)
    plan = replace(plan, causes=(*plan.causes, f"{choice.key}: {failure}"), slow=plan.slow or slow)
    if failure not in UNSENT and not may_repeat(plan):
        return plan, _may_have_run(choice.key, failure)
    return attempt(plan, choose, now)


def replied(
    plan: Plan, status: int, choose: Choose, now: float, *, undone: bool = False
) -> tuple[Plan, Action]:
    """The running attempt has a reply's head. undone: it is known otherwise that nothing was done."""
    number = len(plan.tried) - 1
    again = undone or status in UNDONE or (status in BROKEN and may_repeat(plan))
    if not again:
        return plan, PassOn(number)
    cause = f"{_running(plan).key}: status {status}"
    plan = replace(plan, replies=(*plan.replies, (number, status)), causes=(*plan.causes, cause))
    return attempt(plan, choose, now)


def turned_away(plan: Plan, status: int, choose: Choose, now: float) -> tuple[Plan, Action]:
    """The running attempt was refused before the agent; its reply is nobody's answer."""
    cause = f"{_running(plan).key}: status {status}, not from its agent"
    return attempt(replace(plan, causes=(*plan.causes, cause)), choose, now)


def may_repeat(plan: Plan) -> bool:
    """Whether running this request twice does no harm."""
    return plan.repeatable or _running(plan).repeatable


def _running(plan: Plan) -> Choice:
    if plan.choice is None:
        raise ValueError("No attempt is running; call attempt() first.")
    return plan.choice


def _exhausted(plan: Plan) -> Action:
    if plan.replies:
        number, _ = max(plan.replies, key=lambda reply: (reply[1] in UNDONE, reply[0]))
        return PassOn(number)
    causes = "; ".join(plan.causes) or "no target may be tried"
    reason = f"No target answered ({causes}). No agent began a reply; try again later."
    if plan.slow:
        return GiveUp(504, "no-answer", reason, plan.retry_after_s)
    return GiveUp(503, "no-target", reason, plan.retry_after_s)


def _may_have_run(key: str, failure: Failure) -> GiveUp:
    reason = (
        f"The request was sent to {key}, which gave no reply ({failure}): it may have run there, so it was "
        "not sent again. Check before you repeat it, or send an Idempotency-Key header with requests "
        "that may be repeated."
    )
    return GiveUp(502 if failure is Failure.RESET else 504, "may-have-run", reason)
