"""All targets together: who may serve the next attempt, and what one attempt's outcome changes.

Rules, written for few targets (1 to 5), where percentages mislead
- In four tiers: serving targets with a weight; serving standbys (weight 0); serving ones that rest because
  they throttle, of which the one that rests shortest is offered; panic.
- Panic is a named case, never an empty list: among the rest the least bad comes first (draining, then the
  ejection that ends first, then down), and the reply says so. Only a target that was tried in this request
  is not offered again.
- Our own traffic never ejects the last serving target, nor eases off the last one at its full share: at
  least one is always kept.
- Probes may call every target down; that is what panic is for. But one vantage alone never puts a target out
  while our own traffic succeeds there: that is, when our last attempt that says anything got a good reply,
  within `proof_s`. Then its word changes nothing but the counts in the status. An answer of its /health to
  this router itself is as good (`router.proxy.hearsay`).
- Only an observation newer than all that its vantage told of a target makes a new verdict, so a replayed or
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
from router.core.health.outlier import Doubt, Verdict
from router.core.health.snapshots import Document, Observation
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
    THROTTLED = "throttled"
    LATE = "late"


@frozen
class Fleet:
    """health: one entry for each target. documents: the last good view of each vantage.

    doubts: the open tests of `gray`. proven: where own traffic succeeds, as noted last then (unix s).
    """

    targets: tuple[Target, ...]
    health: Mapping[str, Health]
    documents: Mapping[str, Document]
    doubts: Mapping[str, Doubt] = field(default_factory=dict[str, Doubt])
    proven: Mapping[str, float] = field(default_factory=dict[str, float])


@frozen
class Menu:
    """Who may take the next attempt."""

    candidates: tuple[Candidate, ...]
    panic: bool
    resting: bool = False


def start(targets: tuple[Target, ...], now: float) -> Fleet:
    """Nothing is known yet, so everybody serves at full weight."""
    return Fleet(targets, {target.key: Health(since=now) for target in targets}, {})


def settle(fleet: Fleet, now: float, policy: Policy) -> Fleet:
    """Apply what time alone has done."""
    changed = {
        key: after
        for key, before in fleet.health.items()
        if (before.rests_until or before.status not in _TIMELESS)
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
        if one.rests_until or one.status not in _TIMELESS
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
        case Outcome.THROTTLED:
            after = h.throttled(before, now, policy, retry_after_s)
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
    eased = {
        key: fleet.health[key].level.halvings for key in keys if fleet.health[key].status is Status.DEGRADED
    }
    doubts, opinions = outlier.look(keys, traffic, fleet.doubts, now, policy, eased)
    full = {one.key for one in fleet.targets if one.weight} & set(keys) - eased.keys()
    moved: dict[str, Health] = {}
    for key, opinion in opinions.items():
        before = fleet.health[key]
        if key not in eased and (opinion.verdict is not Verdict.BAD or not full - {key}):
            continue
        after = h.eased(before, opinion.verdict, now, policy, opinion.why)
        if after is before:
            continue
        moved[key] = after
        full.discard(key)
        doubts = {one: doubt for one, doubt in doubts.items() if one != key}
        if after.status is Status.DEGRADED:
            doubts[key] = outlier.begin_again(traffic[key])
    if not moved and doubts is fleet.doubts:
        return fleet
    return replace(fleet, health={**fleet.health, **moved} if moved else fleet.health, doubts=doubts)


def back(fleet: Fleet, key: str, now: float) -> Fleet:
    """A target that is out has answered a question in a total outage; others are not changed by it."""
    before = fleet.health[key]
    after = h.back(before, now)
    return fleet if after is before else replace(fleet, health={**fleet.health, key: after})


def order(fleet: Fleet, key: str, event: h.Event, now: float) -> Fleet:
    """An operator's order: drain or resume."""
    after = h.step(fleet.health[key], event, now, f"ordered to {event}")
    return replace(fleet, health={**fleet.health, key: after})


def fold(fleet: Fleet, news: Iterable[Document], now: float, policy: Policy) -> Fleet:
    """Take in what vantages say. First all documents, then one verdict for each target with news: so a new
    instance that reads three stored documents judges by three, not by the first of them."""
    known, documents = _together(fleet, news, now)
    changed = [one for vantage, one in documents.items() if one is not known.get(vantage)]
    if not changed:
        return fleet
    health = dict(fleet.health)
    for key, before in fleet.health.items():
        seen = [_news(known.get(one.vantage), one, key) for one in changed]
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


def accused(fleet: Fleet, news: Iterable[Document], now: float, policy: Policy) -> tuple[str, ...]:
    """Targets that this news would put or keep out by one lone vantage's word, and nothing else."""
    news = tuple(news)
    suspects = {key for one in news for key, seen in one.observations.items() if seen and not seen[-1].alive}
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


def vouched(fleet: Fleet, key: str, now: float) -> Fleet:
    """An accused target has answered this router itself."""
    return back(replace(fleet, proven={**fleet.proven, key: now}), key, now)


def _together(
    fleet: Fleet, news: Iterable[Document], now: float
) -> tuple[dict[str, Document], dict[str, Document]]:
    """What was known of each vantage and is still to be believed; and that with the news."""
    known = {one: left for one, old in fleet.documents.items() if (left := snapshots.believable(old, now))}
    documents = dict(known)
    for document in news:
        documents[document.vantage] = snapshots.fold(documents.get(document.vantage), document)
    return known, documents


def _news(known: Document | None, document: Document, key: str) -> Observation | None:
    """The newest observation of a target, if this document has a newer one than was known."""
    seen = document.observations.get(key, ())
    if not seen:
        return None
    before = known.observations.get(key, ()) if known is not None else ()
    return seen[-1] if not before or seen[-1].at > before[-1].at else None


def _is_proven(fleet: Fleet, key: str, now: float, policy: Policy) -> bool:
    return 0 <= now - fleet.proven.get(key, -math.inf) <= policy.proof_s


def menu(fleet: Fleet, tried: Collection[str], now: float, policy: Policy) -> Menu:
    """The best tier that still has an untried target; empty only when all were tried."""
    serving: list[Candidate] = []
    standby: list[Candidate] = []
    resting: list[Target] = []
    rest: list[Target] = []
    for target in fleet.targets:
        key = target.key
        if key in tried:
            continue
        health = fleet.health[key]
        if health.status not in h.SERVING:
            rest.append(target)
        elif health.rests_until and h.resting(health, now, policy):
            resting.append(target)
        else:
            doubted = health.status is Status.DEGRADED
            candidate = _candidate(key, target.weight, h.share(health, now, policy), doubted)
            (serving if target.weight else standby).append(candidate)
    if serving or standby:
        return Menu(tuple(serving or standby), panic=False)
    if resting:
        soonest = min(resting, key=lambda target: fleet.health[target.key].rests_until)
        return Menu((Candidate(soonest.key, soonest.weight),), panic=False, resting=True)
    if not rest:
        return Menu((), panic=True)
    best = min(rest, key=lambda target: _badness(fleet.health[target.key]))
    return Menu((Candidate(best.key, best.weight),), panic=True)


# Alike in the menu: serving at full share.
_PLAIN: Final = frozenset({Status.UNKNOWN, Status.HEALTHY, Status.COLD})


def same_menu(before: Health, after: Health) -> bool:
    """Whether an outcome left its target's place in the menu as it was, as nearly all do: a failure that is
    counted need not have 300 targets looked at."""
    if before is after:
        return True
    if before.status in _PLAIN and after.status in _PLAIN:
        return before.rests_until == after.rests_until
    return before == replace(after, failures=before.failures)


def serves(fleet: Fleet, key: str, now: float, policy: Policy) -> bool:
    """Whether this target is neither out nor resting."""
    health = fleet.health[key]
    return health.status in h.SERVING and not h.resting(health, now, policy)


# Most menus are like the one before: making 300 values anew would cost ten times as much.
@lru_cache(maxsize=1024)
def _candidate(key: str, weight: float, share: float, doubted: bool) -> Candidate:
    return Candidate(key, weight, share, doubted)


def retry_after_s(fleet: Fleet, now: float, policy: Policy) -> int:
    """When asking again may help: the first end of an ejection or a rest, from 1 s up to the shortest
    ejection."""
    ends = [one.ejected_until - now for one in fleet.health.values() if one.status is Status.EJECTED]
    ends += [one.rests_until - now for one in fleet.health.values() if h.resting(one, now, policy)]
    soonest = min([end for end in ends if end > 0], default=policy.ejection_s)
    return max(1, min(round(soonest), round(policy.ejection_s)))


def effective_weight(fleet: Fleet, target: Target, now: float, policy: Policy) -> float:
    """What `weighted` counts it with right now."""
    health = fleet.health[target.key]
    if health.status not in h.SERVING or h.resting(health, now, policy):
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
