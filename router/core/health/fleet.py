"""All targets together: who may serve the next attempt, and what one attempt's outcome changes.

Rules, written for few targets (1 to 5), where percentages mislead
- In four tiers: serving targets with a weight; serving standbys (weight 0); serving ones that rest because
  they throttle, of which the one that rests shortest is offered; panic.
- Panic is a named case, never an empty list: among the rest the least bad comes first (draining, then the
  ejection that ends first, then down), and the reply says so. Only a target that was tried in this request
  is not offered again.
- Our own traffic never ejects the last serving target, nor eases off the last one at its full share: at
  least one is always kept.
- Probes may call every target down; that is what panic is for. But one checker alone never puts a target out
  while our own traffic succeeds there: that is, when our last attempt that says anything got a good reply,
  within `proof_s`. Then its word changes nothing but the counts in the status. An answer of its /health to
  this router itself is as good (`router.proxy.hearsay`).
- Only an observation newer than all that its checker told of a target makes a new verdict, so a replayed or
  late document changes no status.
- An outcome that changes nothing returns the very same fleet, which is what a good reply mostly does.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final

from router.core.balance.metrics import Traffic
from router.core.balance.strategies import Candidate
from router.core.health import machine as h
from router.core.health import outlier, snapshots
from router.core.health.machine import Health, Status
from router.core.health.outlier import Conclusion, SequentialTest
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.policy import Policy
from router.core.targets import Target
from skyfleet.values import frozen


class Outcome(StrEnum):
    """How an attempt ended, as far as health is concerned.

    NEUTRAL: says nothing of the target: the caller left, the request itself was bad.
    THROTTLED: a 429, or a 503 that says when to come back. SILENT: not even /health answered. LATE: its
    caller gave up long after it should have answered; only the comparison with others tells what that means.
    """

    SUCCESS = "success"
    COLD = "cold"
    FAILURE = "failure"
    SILENT = "silent"
    NEUTRAL = "neutral"
    RATE_LIMITED = "throttled"
    LATE = "late"


@frozen
class Fleet:
    """health: one entry for each target. documents: the last good view of each checker.

    doubts: the open tests of `gray`. proven: where own traffic succeeds, as noted last then (unix s).
    """

    targets: tuple[Target, ...]
    health: Mapping[str, Health]
    documents: Mapping[str, Snapshot]
    tests: Mapping[str, SequentialTest] = field(default_factory=dict[str, SequentialTest])
    proven: Mapping[str, float] = field(default_factory=dict[str, float])


@frozen
class Tier:
    """Who may take the next attempt."""

    candidates: tuple[Candidate, ...]
    panic: bool
    in_backoff: bool = False


def start(targets: tuple[Target, ...], now: float) -> Fleet:
    """Nothing is known yet, so everybody serves at full weight."""
    return Fleet(targets, {target.key: Health(since=now) for target in targets}, {})


def settle(fleet: Fleet, now: float, policy: Policy) -> Fleet:
    """Apply what time alone has done."""
    changed = {
        key: after
        for key, before in fleet.health.items()
        if (before.backoff_until or before.status not in _TIMELESS)
        and (after := h.settle(before, now, policy)) is not before
    }
    return replace(fleet, health={**fleet.health, **changed}) if changed else fleet


_TIMELESS = frozenset({Status.HEALTHY, Status.UNKNOWN, Status.COLD, Status.DEGRADED, Status.DRAINING})


def changes_at(fleet: Fleet, now: float, policy: Policy) -> float:
    """When time alone next changes a settled fleet's menu (unix s); inf if never. Steps of a target that is
    eased off need evidence, so they come from `review`."""
    moments = (
        h.changes_at(one, now, policy)
        for one in fleet.health.values()
        if one.backoff_until or one.status not in _TIMELESS
    )
    return min(moments, default=math.inf)


def record(
    fleet: Fleet,
    key: str,
    outcome: Outcome,
    now: float,
    policy: Policy,
    why: str = "failed attempts",
    retry_after_s: float | None = None,
) -> Fleet:
    """One attempt's outcome, told directly on every attempt. retry_after_s: what a throttled one asked."""
    before = fleet.health[key]
    match outcome:
        case Outcome.SUCCESS | Outcome.COLD:
            # Noted now and then only: a new fleet for each good reply would cost more than it tells.
            if 0 <= now - fleet.proven.get(key, -math.inf) < policy.proof_s / 3:
                if before.status is Status.HEALTHY and not before.failures and outcome is Outcome.SUCCESS:
                    return fleet
            else:
                fleet = replace(fleet, proven={**fleet.proven, key: now})
            after = h.succeeded(before, now, cold=outcome is Outcome.COLD)
        case Outcome.NEUTRAL | Outcome.LATE:
            return fleet
        case Outcome.RATE_LIMITED:
            after = h.rate_limited(before, now, policy, retry_after_s)
        case Outcome.FAILURE | Outcome.SILENT:
            if key in fleet.proven:
                left = {one: at for one, at in fleet.proven.items() if one != key}
                fleet = replace(fleet, proven=left)
            silent, spare = outcome is Outcome.SILENT, _another_serves(fleet, key)
            after = h.failed(before, now, policy, why=why, decisive=silent, may_eject=spare)
    return fleet if after is before else replace(fleet, health={**fleet.health, key: after})


def review(fleet: Fleet, traffic: Mapping[str, Traffic], now: float, policy: Policy) -> Fleet:
    """What own traffic shows beyond single failures; to be called about once a second, while there is any.

    A fleet that nobody doubts is returned as it is."""
    keys = [key for key, one in fleet.health.items() if one.status in h.SERVING]
    derated = {
        key: fleet.health[key].derating.steps for key in keys if fleet.health[key].status is Status.DEGRADED
    }
    tests, verdicts = outlier.look(keys, traffic, fleet.tests, now, policy, derated)
    full = {one.key for one in fleet.targets if one.weight} & set(keys) - derated.keys()
    moved: dict[str, Health] = {}
    for key, verdict in verdicts.items():
        before = fleet.health[key]
        if key not in derated and (verdict.verdict is not Conclusion.BAD or not full - {key}):
            continue
        after = h.derated(before, verdict.verdict, now, policy, verdict.why)
        if after is before:
            continue
        moved[key] = after
        full.discard(key)
        tests = {one: test for one, test in tests.items() if one != key}
        if after.status is Status.DEGRADED:
            tests[key] = outlier.new_test(traffic[key])
    if not moved and tests is fleet.tests:
        return fleet
    return replace(fleet, health={**fleet.health, **moved} if moved else fleet.health, tests=tests)


def back(fleet: Fleet, key: str, now: float) -> Fleet:
    """A target that is out has answered a question in a total outage; others are not changed by it."""
    before = fleet.health[key]
    after = h.back(before, now)
    return fleet if after is before else replace(fleet, health={**fleet.health, key: after})


def order(fleet: Fleet, key: str, event: h.Event, now: float) -> Fleet:
    """An operator's order: drain or resume."""
    after = h.step(fleet.health[key], event, now, f"ordered to {event}")
    return replace(fleet, health={**fleet.health, key: after})


def fold(fleet: Fleet, news: Iterable[Snapshot], now: float, policy: Policy) -> Fleet:
    """Take in what checkers say. First all documents, then one verdict for each target with news: so a new
    instance that reads three stored documents judges by three, not by the first of them."""
    known, documents = _together(fleet, news, now)
    changed = [one for checker, one in documents.items() if one is not known.get(checker)]
    if not changed:
        return fleet
    health = dict(fleet.health)
    for key, before in fleet.health.items():
        seen = [_news(known.get(one.checker), one, key) for one in changed]
        latest = max((one for one in seen if one is not None), default=None)
        if latest is None:
            continue
        together = snapshots.merged(documents.values(), key, now, policy)
        if together.alone and before.status in h.SERVING and _is_proven(fleet, key, now, policy):
            continue
        one = h.probed(before, together.up, together.at, now, policy, together.reason)
        if latest.cold and one.status in h.SERVING:
            one = h.step(one, h.Event.COLD, now, "its last probe met a cold start")
        health[key] = one
    return replace(fleet, health=health, documents=documents)


def unconfirmed_down(fleet: Fleet, news: Iterable[Snapshot], now: float, policy: Policy) -> tuple[str, ...]:
    """Targets that this news would put or keep out by one lone checker's word, and nothing else."""
    news = tuple(news)
    suspects = {key for one in news for key, seen in one.results.items() if seen and not seen[-1].alive}
    if not suspects:
        return ()
    _, documents = _together(fleet, news, now)
    return tuple(
        key
        for key, health in fleet.health.items()
        if key in suspects
        and (health.status in h.SERVING or (health.status is Status.DOWN and health.ejected_until <= now))
        and not _is_proven(fleet, key, now, policy)
        and snapshots.merged(documents.values(), key, now, policy).alone
    )


def confirmed_up(fleet: Fleet, key: str, now: float) -> Fleet:
    """An accused target has answered this router itself."""
    return back(replace(fleet, proven={**fleet.proven, key: now}), key, now)


def _together(
    fleet: Fleet, news: Iterable[Snapshot], now: float
) -> tuple[dict[str, Snapshot], dict[str, Snapshot]]:
    """What was known of each checker and is still to be believed; and that with the news."""
    known = {one: left for one, old in fleet.documents.items() if (left := snapshots.believable(old, now))}
    documents = dict(known)
    for document in news:
        documents[document.checker] = snapshots.fold(documents.get(document.checker), document)
    return known, documents


def _news(known: Snapshot | None, document: Snapshot, key: str) -> ProbeResult | None:
    """The newest observation of a target, if this document has a newer one than was known."""
    seen = document.results.get(key, ())
    if not seen:
        return None
    before = known.results.get(key, ()) if known is not None else ()
    return seen[-1] if not before or seen[-1].at > before[-1].at else None


def _is_proven(fleet: Fleet, key: str, now: float, policy: Policy) -> bool:
    return 0 <= now - fleet.proven.get(key, -math.inf) <= policy.proof_s


def tier(fleet: Fleet, excluded: Collection[str], now: float, policy: Policy) -> Tier:
    """The best tier that still has an untried target; empty only when all were tried."""
    serving: list[Candidate] = []
    standby: list[Candidate] = []
    in_backoff: list[Target] = []
    rest: list[Target] = []
    for target in fleet.targets:
        key = target.key
        if key in excluded:
            continue
        health = fleet.health[key]
        if health.status not in h.SERVING:
            rest.append(target)
        elif health.backoff_until and h.in_backoff(health, now, policy):
            in_backoff.append(target)
        else:
            derated = health.status is Status.DEGRADED
            candidate = _candidate(key, target.weight, h.share(health, now, policy), derated)
            (serving if target.weight else standby).append(candidate)
    if serving or standby:
        return Tier(tuple(serving or standby), panic=False)
    if in_backoff:
        soonest = min(in_backoff, key=lambda target: fleet.health[target.key].backoff_until)
        return Tier((Candidate(soonest.key, soonest.weight),), panic=False, in_backoff=True)
    if not rest:
        return Tier((), panic=True)
    best = min(rest, key=lambda target: _badness(fleet.health[target.key]))
    return Tier((Candidate(best.key, best.weight),), panic=True)


# Alike in the menu: serving at full share.
_PLAIN: Final = frozenset({Status.UNKNOWN, Status.HEALTHY, Status.COLD})


def same_tier(before: Health, after: Health) -> bool:
    """Whether an outcome left its target's place in the menu as it was, as nearly all do: a failure that is
    counted need not have 300 targets looked at."""
    if before is after:
        return True
    if before.status in _PLAIN and after.status in _PLAIN:
        return before.backoff_until == after.backoff_until
    return before == replace(after, failures=before.failures)


def serves(fleet: Fleet, key: str, now: float, policy: Policy) -> bool:
    """Whether this target is neither out nor resting."""
    health = fleet.health[key]
    return health.status in h.SERVING and not h.in_backoff(health, now, policy)


# Most menus are like the one before: making 300 values anew would cost ten times as much.
@lru_cache(maxsize=1024)
def _candidate(key: str, weight: float, share: float, derated: bool) -> Candidate:
    return Candidate(key, weight, share, derated)


def retry_after_s(fleet: Fleet, now: float, policy: Policy) -> int:
    """When asking again may help: the first end of an ejection or a rest, from 1 s up to the shortest
    ejection."""
    ends = [one.ejected_until - now for one in fleet.health.values() if one.status is Status.EJECTED]
    ends += [one.backoff_until - now for one in fleet.health.values() if h.in_backoff(one, now, policy)]
    soonest = min([end for end in ends if end > 0], default=policy.ejection_s)
    return max(1, min(round(soonest), round(policy.ejection_s)))


def effective_weight(fleet: Fleet, target: Target, now: float, policy: Policy) -> float:
    """What `weighted` counts it with right now."""
    health = fleet.health[target.key]
    if health.status not in h.SERVING or h.in_backoff(health, now, policy):
        return 0.0
    return target.weight * h.share(health, now, policy)


def _another_serves(fleet: Fleet, key: str) -> bool:
    return any(other != key and one.status in h.SERVING for other, one in fleet.health.items())


def _badness(health: Health) -> tuple[int, float]:
    if health.status is Status.DRAINING:
        return 0, 0.0
    if health.status is Status.EJECTED:
        return 1, health.ejected_until
    return 2, health.since
