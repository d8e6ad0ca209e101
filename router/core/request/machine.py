"""What one request does next: try, hedge, ask, drop, pass a reply on, or give up.

Rules
- One budget of attempts and one deadline for retries, hedges and redundant sends together; what surely was
  not sent does not count. A target that was tried is not tried again. Whatever is sent once more is paid for
  first (router.core.request.budget). What has begun to pass, only the same may go on with
  (router.core.request.stream).
- What surely did not run may always go elsewhere: not sent, connection refused, 429, 503, turned away
  before the agent (router.core.request.front_end). The reply of a front door is never passed on as the
  agent's.
- What may have run, or may be running, is sent again only if a repeat is harmless: an idempotent method, an
  Idempotency-Key, or agents that declare themselves repeatable, every one of those concerned. Otherwise the
  caller is told, with 502 or 504, that it may have run.
- A hedge: when a lone attempt has no first event (in an event stream: the first whole one; otherwise the
  head) after a learned delay, the request also goes to the next target. The first good reply wins. When one
  of two fails, nothing is sent for it: the other is still on its way, and is alone again. Nobody needs a
  hedge, so a key alone does not allow one: it stops a second run in its own cloud only.
- A hedge or a copy beside a serving target is not worth a call to one that is out or has asked for a rest.
- Redundant: as many as the caller asked for run at once; who fails is replaced while the budget lasts.
- A small reply is passed on when it is whole and an event stream from its first event, if the request may be
  repeated: what breaks off before that goes elsewhere.
- After `probe_after_s` without an answer an attempt leads to a question to the target's free /health. Alive:
  keep waiting and ask again after a growing pause, because a slow model is not dead and must not be billed
  twice.
  Silent: the attempt has failed, and nobody knows whether it ran. A target that may still be starting cold
  gets the cold patience when the request cannot be repeated.
- When all attempts failed and one of them replied, the caller gets that reply: 429 or 503 before others, the
  later before the earlier, never one that was cut. But never after an attempt that may have run and must not
  be repeated: a passed 503 would invite a repeat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from router.core.policy import Policy
from router.core.request.actions import Action, Actions, Ask, Choice, Drop, Failure, Means, PassOn, Try, Worth
from router.core.request.budget import Extra
from router.core.request.failures import GiveUp, may_have_run, nobody_answered, too_late
from skyfleet.values import frozen

# RFC 9110, section 9.2.2.
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
IDEMPOTENT: Final = SAFE | {"PUT", "DELETE"}
# Replies that say: not now, and nothing was done.
UNDONE: Final = frozenset({429, 503})
# Replies that say: it went wrong, perhaps half-way.
BROKEN: Final = frozenset({500, 502, 504})


UNSENT: Final = frozenset({Failure.NOT_SENT, Failure.FULL})
# Refused connections are free, but each costs the caller a round trip.
_MOST_FREE: Final = 5
# While targets come and go, each round of a held request may be refused anew.
_MOST_ATTEMPTS: Final = 20
_BROKE: Final = frozenset({Failure.RESET, Failure.CUT})
_SLOW: Final = frozenset({Failure.NO_ANSWER, Failure.TIMEOUT})


@frozen
class Terms:
    """What is settled when a request begins. Times in seconds of one clock that never goes back.

    budget: attempts at most that may have run. deadline: absolute. repeatable: running it twice is harmless,
    by the request. copies: how many at once. hedge_after_s: when a lone attempt is hedged; infinite: never.
    retries_only: it is repeatable for need, not for speed (an Idempotency-Key holds within one cloud).
    """

    policy: Policy
    budget: int
    deadline: float
    repeatable: bool
    copies: int = 1
    hedge_after_s: float = math.inf
    retries_only: bool = False


@frozen
class Run:
    """An attempt on its way.

    due: when to ask /health, or when a question counts as unanswered. asked: how often. whole: its head has
    come and its end is near.
    """

    number: int
    choice: Choice
    began: float
    due: float
    asked: int = 0
    asking: bool = False
    whole: bool = False


@frozen
class Plan:
    """One request so far.

    tried: keys by attempt. paid: attempts that may cost something. hedge_at: absolute. exposed: an attempt
    that failed may have run. replies: (attempt, status) of bad ones that are kept. causes: how attempts
    failed, in words.
    """

    terms: Terms
    runs: tuple[Run, ...] = ()
    tried: tuple[str, ...] = ()
    paid: int = 0
    hedge_at: float = math.inf
    exposed: bool = False
    slow: bool = False
    replies: tuple[tuple[int, int], ...] = ()
    causes: tuple[str, ...] = ()


def begin(terms: Terms, means: Means, now: float) -> tuple[Plan, Actions]:
    """The plan of a new request, and its first attempts."""
    plan = Plan(terms)
    if now >= terms.deadline:
        return plan, (_late(plan),)
    return _fill(plan, means, now, Extra.COPY)


def again(plan: Plan, over: Sequence[str], means: Means, now: float) -> tuple[Plan, Actions]:
    """Nothing runs any more, and somebody may have come back.

    over: the targets that are not to be tried again, which are the attempts from 0; the others may be tried
    anew, as long as the policy's budget of attempts lasts."""
    causes = tuple(dict.fromkeys(plan.causes))
    terms = replace(plan.terms, budget=plan.terms.policy.attempts)
    plan = Plan(terms, (), tuple(over), plan.paid, math.inf, plan.exposed, plan.slow, (), causes)
    return _fill(plan, means, now, Extra.RETRY)


def due(plan: Plan) -> float:
    """When `passed` is to be called (absolute), unless something happens before."""
    at = min(plan.terms.deadline, plan.hedge_at)
    for run in plan.runs:
        at = run.due if run.due < at else at
    return at


def passed(plan: Plan, means: Means, now: float) -> tuple[Plan, Actions]:
    """Time has passed: the deadline, unanswered questions, stalls, a hedge."""
    if now >= plan.terms.deadline:
        return plan, (_late(plan),)
    actions: Actions = ()
    for run in plan.runs:
        if run.due > now:
            continue
        if not run.asking:
            plan, more = _ask(plan, run, now), (Ask(run.number),)
        else:
            plan, more = silent(plan, run.number, means, now)
        actions += more
    if plan.runs and now >= plan.hedge_at:
        sent = _send(plan, means, now, Extra.HEDGE)
        if sent is None:
            never = replace(plan.terms, hedge_after_s=math.inf)
            plan = replace(plan, terms=never, hedge_at=math.inf)
        else:
            plan, actions = sent[0], (*actions, sent[1])
    return plan, actions


def waited(plan: Plan, number: int, seconds: float, now: float) -> Plan:
    """The question to this attempt's target runs that long already: somebody else has asked it before."""
    run = _run(plan, number)
    return _changed(plan, replace(run, due=max(now, run.due - seconds)))


def lives(plan: Plan, number: int, now: float, *, beating: bool = False) -> tuple[Plan, Actions]:
    """/health answered: the target lives, so the request is worth waiting for. beating: a stream that sends
    comments before its first event; they keep connections open, so a lone one is passed on for them."""
    if beating and len(plan.runs) == 1:
        return plan, (PassOn(number),)
    run, policy = _run(plan, number), plan.terms.policy
    pause = min(policy.probe_after_s * 2**run.asked, policy.ask_pause_cap_s)
    return _changed(plan, replace(run, asking=False, due=now + pause)), ()


def silent(
    plan: Plan, number: int, means: Means, now: float, failure: Failure = Failure.NO_ANSWER
) -> tuple[Plan, Actions]:
    """Neither a reply nor an answer to /health; or only a part of a small reply (`CUT`)."""
    plan, actions = failed(plan, number, failure, means, now)
    return plan, (Drop(number, failure), *actions)


def failed(plan: Plan, number: int, failure: Failure, means: Means, now: float) -> tuple[Plan, Actions]:
    """This attempt ended without a reply that can be passed on."""
    key, free = plan.tried[number], may_repeat(plan, number)
    ran = failure not in UNSENT
    plan = _without(plan, number, f"{key}: {failure}", now, ran=ran)
    if not ran:
        plan = replace(plan, paid=plan.paid - 1)
    elif failure in _SLOW:
        plan = replace(plan, slow=True)
    if ran and not free:
        return plan, (may_have_run(key, failure, slow=failure in _SLOW),)
    return _fill(plan, means, now, Extra.RETRY)


def replied(
    plan: Plan, number: int, status: int, worth: Worth, means: Means, now: float
) -> tuple[Plan, Actions]:
    """This attempt has the head of a reply. Nothing to do: it is held until `ready`."""
    free = may_repeat(plan, number)
    if worth is Worth.ANSWER or (not free and worth in _ANSWERS):
        return plan, (PassOn(number),)
    if worth is Worth.WHOLE or worth is Worth.EVENTS:
        return _held(plan, number, worth), ()
    key, ran = plan.tried[number], worth in (Worth.BROKEN, Worth.STRANGE)
    if worth is Worth.AWAY or worth is Worth.STRANGE:
        if is_free(worth, status):
            plan = replace(plan, paid=plan.paid - 1)
        plan = _without(plan, number, f"{key}: status {status}, not from its agent", now, ran=ran)
        if ran and not free:
            return plan, (may_have_run(key, f"status {status}, not from its agent"),)
    else:
        plan = _without(plan, number, f"{key}: status {status}", now, ran=ran)
        plan = replace(plan, replies=(*plan.replies, (number, status)))
    return _fill(plan, means, now, Extra.RETRY)


_ANSWERS: Final = frozenset({Worth.WHOLE, Worth.EVENTS, Worth.BROKEN})


def is_free(worth: Worth, status: int) -> bool:
    """Whether this reply says that there is nobody to run anything: like a refused connection."""
    return worth is Worth.AWAY and status >= 500


def ready(plan: Plan, number: int) -> tuple[Plan, Actions]:
    """The held reply of this attempt is whole, or its first event is here."""
    return plan, (PassOn(number),)


def cut(plan: Plan, number: int) -> Plan:
    """A bad reply that was kept broke off."""
    return replace(plan, replies=tuple(reply for reply in plan.replies if reply[0] != number))


def may_return(plan: Plan, number: int, failure: Failure) -> bool:
    """Whether the target of this running attempt, which ends so, may be tried again once it was away and has
    come back: its connection broke, and a repeat does no harm."""
    return failure in _BROKE and may_repeat(plan, number)


def may_wait(plan: Plan, attempts: int, *, back: bool) -> bool:
    """Whether a request that nobody could serve, and that no target may have run which must not, may wait for
    one: nothing of it was sent, or the budget allows a repeat. attempts: of all rounds, also those of which
    nothing was sent. back: there is a target that can be tried once it answers again."""
    left = back and plan.paid < plan.terms.policy.attempts
    return attempts < _MOST_ATTEMPTS and (not plan.paid or left)


def may_repeat(plan: Plan, number: int) -> bool:
    """Whether it does no harm to run this request again after this running attempt."""
    return plan.terms.repeatable or _run(plan, number).choice.repeatable


def _fill(plan: Plan, means: Means, now: float, extra: Extra) -> tuple[Plan, Actions]:
    """Send until as many run as are wanted; the best way to end when nothing runs at all."""
    actions: Actions = ()
    while len(plan.runs) < plan.terms.copies and now < plan.terms.deadline:
        sent = _send(plan, means, now, extra)
        if sent is None:
            break
        plan, actions = sent[0], (*actions, sent[1])
    return plan, actions if plan.runs else (_exhausted(plan),)


def _send(plan: Plan, means: Means, now: float, extra: Extra) -> tuple[Plan, Try] | None:
    """One more attempt, if the budgets and the targets allow it."""
    terms, number = plan.terms, len(plan.tried)
    if plan.paid >= terms.budget or number >= terms.budget + _MOST_FREE:
        return None
    anywhere = terms.repeatable or not (plan.exposed or plan.runs)
    # What may have run and failed was at repeatable targets, or the plan would have ended.
    if not anywhere and not all(run.choice.repeatable for run in plan.runs):
        return None
    passed: tuple[str, ...] = plan.tried
    while (choice := means.choose(passed)) is not None and not (anywhere or choice.repeatable):
        passed = (*passed, choice.key)
    if choice is None:
        return None
    if choice.needed_only and not all(run.choice.needed_only for run in plan.runs):
        return None
    if plan.paid and not means.afford(choice, extra):
        return None
    run = Run(number, choice, now, min(now + terms.policy.probe_after_s, terms.deadline))
    runs, tried = (*plan.runs, run), (*plan.tried, choice.key)
    at = _hedge_at(terms, runs, plan.paid + 1, now)
    # Written out, because this is on the way of every request and `replace` takes three times as long.
    plan = Plan(terms, runs, tried, plan.paid + 1, at, plan.exposed, plan.slow, plan.replies, plan.causes)
    return plan, Try(number, choice, extra if number else None)


def _hedge_at(terms: Terms, runs: tuple[Run, ...], sent: int, now: float) -> float:
    if terms.hedge_after_s == math.inf or len(runs) != 1 or sent >= terms.budget:
        return math.inf
    (run,) = runs
    by_request = terms.repeatable and not terms.retries_only
    if run.whole or not (by_request or run.choice.repeatable):
        return math.inf
    return max(now, run.began + terms.hedge_after_s)


def _ask(plan: Plan, run: Run, now: float) -> Plan:
    policy = plan.terms.policy
    patient = not run.choice.warm and not may_repeat(plan, run.number)
    until = now + (policy.cold_timeout_s if patient else policy.ask_timeout_s)
    return _changed(plan, replace(run, asked=run.asked + 1, asking=True, due=until))


def _held(plan: Plan, number: int, worth: Worth) -> Plan:
    run, whole = _run(plan, number), worth is Worth.WHOLE
    lone = len(plan.runs) == 1
    if lone and not run.asking:
        return _unhedged(plan) if whole and plan.hedge_at != math.inf else plan
    plan = _changed(plan, replace(run, asking=False, whole=whole))
    return _unhedged(plan) if lone and whole else plan


def _unhedged(plan: Plan) -> Plan:
    # Written out for the same reason as in `_send`.
    terms, runs, paid = plan.terms, plan.runs, plan.paid
    return Plan(terms, runs, plan.tried, paid, math.inf, plan.exposed, plan.slow, plan.replies, plan.causes)


def _without(plan: Plan, number: int, cause: str, now: float, *, ran: bool) -> Plan:
    runs = tuple(run for run in plan.runs if run.number != number)
    hedge_at = _hedge_at(plan.terms, runs, plan.paid, now)
    causes = (*plan.causes, cause)
    return replace(plan, runs=runs, causes=causes, hedge_at=hedge_at, exposed=plan.exposed or ran)


def _changed(plan: Plan, run: Run) -> Plan:
    return replace(plan, runs=tuple(run if one.number == run.number else one for one in plan.runs))


def _run(plan: Plan, number: int) -> Run:
    for run in plan.runs:
        if run.number == number:
            return run
    raise ValueError(f"Attempt {number} is not running; report what happens to running attempts only.")


def _exhausted(plan: Plan) -> Action:
    if plan.replies:
        number, _ = max(plan.replies, key=lambda reply: (reply[1] in UNDONE, reply[0]))
        return PassOn(number)
    return nobody_answered(plan.causes, slow=plan.slow, sent=plan.paid > 0)


def _late(plan: Plan) -> GiveUp:
    safe = all(may_repeat(plan, run.number) for run in plan.runs)
    return too_late(plan.causes, [run.choice.key for run in plan.runs], safe=safe)
