"""All targets together: who may serve the next attempt, and what one attempt's outcome changes.

Rules, written for few targets (1 to 5), where percentages mislead
- In three tiers: serving targets with a weight; serving standbys (weight 0); panic.
- Panic is a named case, never an empty list: among the rest the least bad comes first (draining, then the
  ejection that ends first, then down), and the reply says so. Only a target that was tried in this request
  is not offered again.
- Our own traffic never ejects the last serving target: at least one is always kept.
- Probes may call every target down; that is what panic is for.
- An outcome that changes nothing returns the very same fleet, which is what a good reply mostly does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from router import health as h
from router import merge
from router.health import Health, Status
from router.merge import Document, Observation
from router.policy import Policy
from router.selection import Candidate
from router.targets import Target


class Outcome(StrEnum):
    """How an attempt ended, as far as health is concerned.

    NEUTRAL: says nothing of the target: throttled, the caller left, the request itself was bad.
    SILENT: not even /health answered.
    """

    SUCCESS = "success"
    COLD = "cold"
    FAILURE = "failure"
    SILENT = "silent"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Fleet:
    """health: one entry for each target. documents: the last good view of each vantage."""

    targets: tuple[Target, ...]
    health: Mapping[str, Health]
    documents: Mapping[str, Document]


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
        if before.status not in _TIMELESS and (after := h.settle(before, now, policy)) is not before
    }
    return replace(fleet, health={**fleet.health, **changed}) if changed else fleet


_TIMELESS = frozenset({Status.HEALTHY, Status.UNKNOWN, Status.COLD, Status.DRAINING})


def record(
    fleet: Fleet, key: str, outcome: Outcome, now: float, policy: Policy, why: str = "failed attempts"
) -> Fleet:
    """One attempt's outcome, told directly on every attempt."""
    before = fleet.health[key]
    if outcome is Outcome.NEUTRAL:
        return fleet
    if outcome in (Outcome.SUCCESS, Outcome.COLD):
        after = h.succeeded(before, now, cold=outcome is Outcome.COLD)
    else:
        after = h.failed(
            before,
            now,
            policy,
            why=why,
            decisive=outcome is Outcome.SILENT,
            may_eject=_another_serves(fleet, key),
        )
    return fleet if after is before else replace(fleet, health={**fleet.health, key: after})


def order(fleet: Fleet, key: str, event: h.Event, now: float) -> Fleet:
    """An operator's order: drain or resume."""
    after = h.step(fleet.health[key], event, now, f"ordered to {event}")
    return replace(fleet, health={**fleet.health, key: after})


def fold(fleet: Fleet, news: Iterable[Document], now: float, policy: Policy) -> Fleet:
    """Take in what vantages say. First all documents, then one verdict for each target with news: so a new
    instance that reads three stored documents judges by three, not by the first of them."""
    documents = dict(fleet.documents)
    for document in news:
        documents[document.vantage] = merge.fold(documents.get(document.vantage), document)
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
        one = h.probed(before, together.up, together.at, now, together.reason)
        if latest.cold and one.status in h.SERVING:
            one = h.step(one, h.Event.COLD, now, "its last probe met a cold start")
        health[key] = one
    return replace(fleet, health=health, documents=documents)


def _news(fleet: Fleet, document: Document, key: str) -> Observation | None:
    """The newest observation of a target, if this document says anything of it that was not known."""
    known = fleet.documents.get(document.vantage)
    seen = document.observations.get(key, ())
    if not seen or (known is not None and seen == known.observations.get(key)):
        return None
    return seen[-1]


def menu(fleet: Fleet, tried: Collection[str], now: float, policy: Policy) -> Menu:
    """The best tier that still has an untried target; empty only when all were tried."""
    serving: list[Candidate] = []
    standby: list[Candidate] = []
    rest: list[Target] = []
    for target in fleet.targets:
        key = target.key
        if key in tried:
            continue
        health = fleet.health[key]
        if health.status in h.SERVING:
            candidate = Candidate(key, target.weight, h.share(health, now, policy))
            (serving if target.weight else standby).append(candidate)
        else:
            rest.append(target)
    if serving or standby:
        return Menu(tuple(serving or standby), panic=False)
    if not rest:
        return Menu((), panic=True)
    best = min(rest, key=lambda target: _badness(fleet.health[target.key]))
    return Menu((Candidate(best.key, best.weight),), panic=True)


def retry_after_s(fleet: Fleet, now: float, policy: Policy) -> int:
    """When asking again may help: the first ejection's end, from 1 s up to the shortest ejection."""
    ends = [one.ejected_until - now for one in fleet.health.values() if one.status is Status.EJECTED]
    soonest = min([end for end in ends if end > 0], default=policy.ejection_s)
    return max(1, min(round(soonest), round(policy.ejection_s)))


def effective_weight(fleet: Fleet, target: Target, now: float, policy: Policy) -> float:
    """What `weighted` counts it with right now."""
    health = fleet.health[target.key]
    return target.weight * h.share(health, now, policy) if health.status in h.SERVING else 0.0


def _another_serves(fleet: Fleet, key: str) -> bool:
    return any(other != key and one.status in h.SERVING for other, one in fleet.health.items())


def _badness(health: Health) -> tuple[int, float]:
    if health.status is Status.DRAINING:
        return 0, 0.0
    if health.status is Status.EJECTED:
        return 1, health.ejected_until
    return 2, health.since
