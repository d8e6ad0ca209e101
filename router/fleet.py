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
  while our own traffic succeeds there: what is proven so is noted by each review, for `proof_s`.
- Only an observation newer than all that its vantage told of a target makes a new verdict, so a replayed or
  late document changes no status.
- An outcome that changes nothing returns the very same fleet, which is what a good reply mostly does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from router import gray, merge
from router import health as h
from router.gray import Doubt, Verdict
from router.health import Health, Status
from router.merge import Document, Observation
from router.policy import Policy
from router.selection import Candidate
from router.targets import Target
from router.traffic import Traffic, failure_share


class Outcome(StrEnum):
    """How an attempt ended, as far as health is concerned.

    NEUTRAL: says nothing of the target: the caller left, the request itself was bad.
    THROTTLED: a 429, or a 503 that says when to come back. SILENT: not even /health answered.
    """

    SUCCESS = "success"
    COLD = "cold"
    FAILURE = "failure"
    SILENT = "silent"
    NEUTRAL = "neutral"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class Fleet:
    """health: one entry for each target. documents: the last good view of each vantage.

    doubts: the open tests of `gray`. proven: where own traffic succeeded, as of proven_at (unix s).
    """

    targets: tuple[Target, ...]
    health: Mapping[str, Health]
    documents: Mapping[str, Document]
    doubts: Mapping[str, Doubt] = field(default_factory=dict[str, Doubt])
    proven: frozenset[str] = frozenset()
    proven_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Menu:
    """Who may take the next attempt."""

    candidates: tuple[Candidate, ...]
    panic: bool


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
    return min(h.changes_at(one, now, policy) for one in fleet.health.values())


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
            after = h.succeeded(before, now, cold=outcome is Outcome.COLD)
        case Outcome.NEUTRAL:
            return fleet
        case Outcome.THROTTLED:
            after = h.throttled(before, now, policy, retry_after_s)
        case Outcome.FAILURE | Outcome.SILENT:
            silent, spare = outcome is Outcome.SILENT, _another_serves(fleet, key)
            after = h.failed(before, now, policy, why=why, decisive=silent, may_eject=spare)
    return fleet if after is before else replace(fleet, health={**fleet.health, key: after})


def review(fleet: Fleet, traffic: Mapping[str, Traffic], now: float, policy: Policy) -> Fleet:
    """What own traffic shows beyond single failures; to be called about once a second, while there is any.

    A fleet in good health is returned as it is, but for the note of what is proven every few seconds."""
    keys = [key for key, one in fleet.health.items() if one.status in h.SERVING]
    eased = frozenset(key for key in keys if fleet.health[key].status is Status.DEGRADED)
    doubts, opinions = gray.look(keys, traffic, fleet.doubts, now, policy, eased)
    full = {one.key for one in fleet.targets if one.weight} & set(keys) - eased
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
            doubts[key] = gray.begin_again(traffic[key])
    if moved or doubts is not fleet.doubts:
        fleet = replace(fleet, health={**fleet.health, **moved} if moved else fleet.health, doubts=doubts)
    return _noted(fleet, traffic, now, policy)


def _noted(fleet: Fleet, traffic: Mapping[str, Traffic], now: float, policy: Policy) -> Fleet:
    """Note where own traffic succeeds: at once when that changes, else three times within `proof_s`."""
    proven = frozenset(key for key, seen in traffic.items() if _succeeds(seen, now, policy))
    recent = 0 <= now - fleet.proven_at < policy.proof_s / 3
    if proven == fleet.proven and (recent or not proven):
        return fleet
    return replace(fleet, proven=proven, proven_at=now)


def _succeeds(seen: Traffic, now: float, policy: Policy) -> bool:
    part, evidence = failure_share(seen, now, policy)
    return part < 0.5 <= (1 - part) * evidence


def order(fleet: Fleet, key: str, event: h.Event, now: float) -> Fleet:
    """An operator's order: drain or resume."""
    after = h.step(fleet.health[key], event, now, f"ordered to {event}")
    return replace(fleet, health={**fleet.health, key: after})


def fold(fleet: Fleet, news: Iterable[Document], now: float, policy: Policy) -> Fleet:
    """Take in what vantages say. First all documents, then one verdict for each target with news: so a new
    instance that reads three stored documents judges by three, not by the first of them."""
    documents = dict(fleet.documents)
    for document in news:
        known = documents.get(document.vantage)
        if known is not None:
            known = merge.believable(known, now)
        documents[document.vantage] = merge.fold(known, document)
    changed = [one for vantage, one in documents.items() if one is not fleet.documents.get(vantage)]
    if not changed:
        return fleet
    health = dict(fleet.health)
    for key, before in fleet.health.items():
        seen = [_news(fleet, one, key) for one in changed]
        latest = max((one for one in seen if one is not None), default=None)
        if latest is None:
            continue
        together = merge.merged(documents.values(), key, now, policy)
        if together.alone and before.status in h.SERVING and _is_proven(fleet, key, now, policy):
            continue
        one = h.probed(before, together.up, together.at, now, policy, together.reason)
        if latest.cold and one.status in h.SERVING:
            one = h.step(one, h.Event.COLD, now, "its last probe met a cold start")
        health[key] = one
    return replace(fleet, health=health, documents=documents)


def _news(fleet: Fleet, document: Document, key: str) -> Observation | None:
    """The newest observation of a target, if this document has a newer one than was known."""
    seen = document.observations.get(key, ())
    if not seen:
        return None
    known = fleet.documents.get(document.vantage)
    before = known.observations.get(key, ()) if known is not None else ()
    return seen[-1] if not before or seen[-1].at > before[-1].at else None


def _is_proven(fleet: Fleet, key: str, now: float, policy: Policy) -> bool:
    return key in fleet.proven and 0 <= now - fleet.proven_at <= policy.proof_s


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
            candidate = Candidate(key, target.weight, h.share(health, now, policy))
            (serving if target.weight else standby).append(candidate)
    if serving or standby:
        return Menu(tuple(serving or standby), panic=False)
    if resting:
        soonest = min(resting, key=lambda target: fleet.health[target.key].rests_until)
        return Menu((Candidate(soonest.key, soonest.weight),), panic=False)
    if not rest:
        return Menu((), panic=True)
    best = min(rest, key=lambda target: _badness(fleet.health[target.key]))
    return Menu((Candidate(best.key, best.weight),), panic=True)


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
