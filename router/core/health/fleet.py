"""All targets together: which may serve the next attempt, and what one event changes.

Rules, written for few targets (1 to 5), where percentages mislead
- Four tiers: serving targets with a weight; serving standbys (weight 0); serving targets in backoff; panic.
- Of targets in backoff those are offered whose backoff ends first, or within `TOGETHER_S` of that. An agent
  that limits each of its clients answers one client's request with 429 everywhere, and the ends differ by
  milliseconds: the requests of all others keep their shares, and do not all go to one target.
- If all serving targets answer with a Retry-After within `TOGETHER_S`, each backoff ends with the first. Such
  an agent asks one client for another time in each cloud, and all other clients would get the target that
  asked for the least, until the others return.
- Panic is a named case, never an empty list: of the remaining targets the least bad comes first (draining,
  then the ejection that ends first, then down), and the reply says so. Only excluded targets are not
  offered.
- Own traffic never ejects the last serving target, nor derates the last one at its full share.
- Probes may call every target down. But a single checker never puts out a target with own evidence
  (`proven`, see `router.core.health.last_seen`); of one that it alone put out, such evidence ends that.
- Only a result newer than all that its checker reported of a target makes a new verdict, so a replayed or
  late snapshot changes no status.
- What checkers saw of a target before it returned from an absence does not count against it: they report
  one after another, and the older reports still say "down".
- A draining target gets no request while another serves; the control document says which drain.
- An event that changes nothing returns the very same fleet.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from router.core.balance.metrics import Traffic
from router.core.balance.strategies import Candidate
from router.core.health import machine as h
from router.core.health import outlier, recovery
from router.core.health import snapshots as merging
from router.core.health.machine import Health, Status
from router.core.health.outlier import Conclusion, SequentialTest
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.outcomes import Outcome
from router.core.policy import Policy
from router.core.targets import Target
from skyfleet.values import frozen

# Backoffs whose ends differ by no more are those of one request or one cause: dates have whole seconds.
TOGETHER_S: Final = 1.0
# Time alone does not change these.
_TIMELESS: Final = frozenset({Status.HEALTHY, Status.UNKNOWN, Status.COLD, Status.DEGRADED, Status.DRAINING})


@frozen
class Fleet:
    """health: one entry for each target. snapshots: the last good one of each checker. tests: the open
    tests for outliers."""

    targets: tuple[Target, ...]
    health: Mapping[str, Health]
    snapshots: Mapping[str, Snapshot]
    tests: Mapping[str, SequentialTest] = field(default_factory=dict[str, SequentialTest])


@frozen
class Tier:
    """The candidates of the next attempt."""

    candidates: tuple[Candidate, ...]
    panic: bool
    in_backoff: bool = False


def start(targets: tuple[Target, ...], now: float) -> Fleet:
    """A fleet without evidence: each target serves at full weight."""
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


def changes_at(fleet: Fleet, now: float, policy: Policy) -> float:
    """When time alone next changes the candidates of a settled fleet (unix s); inf if never.

    A derated target changes by evidence only, in `review`."""
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
    """Apply the outcome of one attempt. retry_after_s: from a rate-limited reply."""
    before = fleet.health[key]
    match outcome:
        case Outcome.SUCCESS | Outcome.COLD:
            after = h.succeeded(before, now, cold=outcome is Outcome.COLD)
        case Outcome.NEUTRAL | Outcome.CLIENT_GAVE_UP | Outcome.AGENT_ERROR:
            return fleet
        case Outcome.RATE_LIMITED:
            return _limited_together(_replaced(fleet, key, h.rate_limited(before, now, retry_after_s)), now)
        case Outcome.FAILURE | Outcome.SILENCE | Outcome.UNRESPONSIVE:  # pragma: no branch (exhaustive)
            decisive, silent = outcome is Outcome.UNRESPONSIVE, outcome is Outcome.SILENCE
            spare = another_serves(fleet, key)
            after = h.failed(before, now, policy, why=why, decisive=decisive, may_eject=spare, silent=silent)
    return _replaced(fleet, key, after)


def review(fleet: Fleet, traffic: Mapping[str, Traffic], now: float, policy: Policy) -> Fleet:
    """Detect outliers in own traffic; to be called about once a second while there is traffic.

    A fleet without an outlier or an open test is returned as it is."""
    keys = [key for key, one in fleet.health.items() if one.status in h.SERVING]
    derated = {
        key: fleet.health[key].derating.steps for key in keys if fleet.health[key].status is Status.DEGRADED
    }
    tests, verdicts = outlier.after_traffic(keys, traffic, fleet.tests, now, derated)
    full = {one.key for one in fleet.targets if one.weight} & set(keys) - derated.keys()
    moved: dict[str, Health] = {}
    for key, verdict in verdicts.items():
        before = fleet.health[key]
        if key not in derated and (verdict.conclusion is not Conclusion.BAD or not full - {key}):
            continue
        after = h.derated(before, verdict.conclusion, now, policy, verdict.why)
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


def untested(fleet: Fleet, key: str) -> Fleet:
    """Without the open test of a target: what it has seen is not to be compared."""
    return replace(fleet, tests={one: test for one, test in fleet.tests.items() if one != key})


def back(fleet: Fleet, key: str, now: float) -> Fleet:
    """A target that is out answered a probe while no target served; other statuses do not change."""
    return _replaced(fleet, key, h.back(fleet.health[key], now))


def answered(fleet: Fleet, key: str, now: float, policy: Policy, *, cold: bool = False) -> Fleet:
    """A check of this router succeeded. cold: it met a cold start."""
    return _replaced(fleet, key, recovery.answered(fleet.health[key], now, now, policy, cold=cold))


def unanswered(fleet: Fleet, key: str, now: float) -> Fleet:
    """A check of this router failed."""
    return _replaced(fleet, key, recovery.unanswered(fleet.health[key], now))


def drain(fleet: Fleet, keys: Collection[str], now: float) -> Fleet:
    """Drain these targets and no others, as the control document says."""
    health = dict(fleet.health)
    for key, before in fleet.health.items():
        if key in keys and before.status is not Status.DRAINING:
            health[key] = h.step(before, h.Event.DRAIN, now, "draining by order")
        elif key not in keys and before.status is Status.DRAINING:
            health[key] = h.step(before, h.Event.RESUME, now, "back from draining")
    return fleet if health == fleet.health else replace(fleet, health=health)


def fold(
    fleet: Fleet, news: Iterable[Snapshot], now: float, policy: Policy, proven: Collection[str] = ()
) -> Fleet:
    """Apply checkers' snapshots. All are merged before any verdict, so a new instance that reads three stored
    snapshots judges by three, not by the first of them. proven: targets with own evidence."""
    known, snapshots = _together(fleet, news, now)
    changed = [one for checker, one in snapshots.items() if one is not known.get(checker)]
    if not changed:
        return fleet
    health = dict(fleet.health)
    for key, before in fleet.health.items():
        seen = [_news(known.get(one.checker), one, key) for one in changed]
        latest = max((one for one in seen if one is not None), default=None, key=lambda one: one.order)
        if latest is None:
            continue
        together = merging.merged(snapshots.values(), key, now, policy, _counts_since(before, now))
        if together.alone and key in proven:
            health[key] = h.back(before, now) if before.status is Status.DOWN else before
            continue
        one = h.probed(before, together.up, together.at, now, together.reason, cold=latest.cold)
        if together.up and latest.alive and one.status is Status.EJECTED:
            one = recovery.answered(one, latest.at, now, policy, cold=latest.cold)
        if latest.cold and one.status in h.SERVING:
            one = h.step(one, h.Event.COLD, now, "its last probe met a cold start")
        health[key] = one
    return replace(fleet, health=health, snapshots=snapshots)


def unconfirmed_down(
    fleet: Fleet, news: Iterable[Snapshot], now: float, policy: Policy, proven: Collection[str] = ()
) -> tuple[str, ...]:
    """Targets that these snapshots would put or keep out by a single checker's report."""
    news = tuple(news)
    suspects = {key for one in news for key, seen in one.results.items() if seen and not seen[-1].alive}
    if not suspects:
        return ()
    _, snapshots = _together(fleet, news, now)
    return tuple(
        key
        for key, health in fleet.health.items()
        if key in suspects
        and (health.status in h.SERVING or (health.status is Status.DOWN and health.ejected_until <= now))
        and key not in proven
        and merging.merged(snapshots.values(), key, now, policy, _counts_since(health, now)).alone
    )


def _counts_since(health: Health, now: float) -> float:
    """The time from which checkers' results count: of a target that returned from an absence, its return."""
    return health.back_at if health.status in h.SERVING and health.back_at <= now else 0.0


def _together(
    fleet: Fleet, news: Iterable[Snapshot], now: float
) -> tuple[dict[str, Snapshot], dict[str, Snapshot]]:
    """Each checker's snapshot as far as it is still believable, without and with the news."""
    known = {one: left for one, old in fleet.snapshots.items() if (left := merging.believable(old, now))}
    snapshots = dict(known)
    for snapshot in news:
        snapshots[snapshot.checker] = merging.fold(snapshots.get(snapshot.checker), snapshot)
    return known, snapshots


def _news(known: Snapshot | None, snapshot: Snapshot, key: str) -> ProbeResult | None:
    """The newest result of a target, if this snapshot has a newer one than was known."""
    seen = snapshot.results.get(key, ())
    if not seen:
        return None
    before = known.results.get(key, ()) if known is not None else ()
    return seen[-1] if not before or seen[-1].at > before[-1].at else None


def tier(fleet: Fleet, excluded: Collection[str], now: float, policy: Policy) -> Tier:
    """The best tier that has a target which is not excluded; empty only when all are excluded."""
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
        elif health.backoff_until and h.in_backoff(health, now):
            in_backoff.append(target)
        else:
            derated = health.status is Status.DEGRADED
            candidate = Candidate(key, target.weight, h.share(health, now, policy), derated)
            (serving if target.weight else standby).append(candidate)
    if serving or standby:
        return Tier(tuple(serving or standby), panic=False)
    if in_backoff:
        return Tier(_first_back(fleet, in_backoff, now, policy), panic=False, in_backoff=True)
    if not rest:
        return Tier((), panic=True)
    best = min(rest, key=lambda target: _badness(fleet.health[target.key]))
    return Tier((Candidate(best.key, best.weight),), panic=True)


def _first_back(
    fleet: Fleet, in_backoff: Sequence[Target], now: float, policy: Policy
) -> tuple[Candidate, ...]:
    """The targets whose backoff ends first; standbys only without another one."""
    known = [(target, fleet.health[target.key]) for target in in_backoff]
    first = min(health.backoff_until for _, health in known)
    soon = [each for each in known if each[1].backoff_until - first <= TOGETHER_S]
    weighted = [each for each in soon if each[0].weight]
    return tuple(
        Candidate(one.key, one.weight, h.share(health, now, policy), health.status is Status.DEGRADED)
        for one, health in weighted or soon
    )


def serves(fleet: Fleet, key: str, now: float) -> bool:
    """Whether this target is neither out nor in backoff."""
    health = fleet.health[key]
    return health.status in h.SERVING and not h.in_backoff(health, now)


def retry_after_s(fleet: Fleet, now: float, policy: Policy) -> int:
    """Seconds for Retry-After: until the first end of an ejection or backoff, from 1 s to `ejection_s`."""
    ends = [one.ejected_until - now for one in fleet.health.values() if one.status is Status.EJECTED]
    ends += [one.backoff_until - now for one in fleet.health.values() if h.in_backoff(one, now)]
    soonest = min([end for end in ends if end > 0], default=policy.ejection_s)
    return max(1, min(round(soonest), round(policy.ejection_s)))


def effective_weight(fleet: Fleet, target: Target, now: float, policy: Policy) -> float:
    """The weight that `weighted` uses for a target now."""
    health = fleet.health[target.key]
    if health.status not in h.SERVING or h.in_backoff(health, now):
        return 0.0
    return target.weight * h.share(health, now, policy)


def _limited_together(fleet: Fleet, now: float) -> Fleet:
    """End all backoffs with the first, if all serving targets have asked for one just now."""
    serving = {key: one for key, one in fleet.health.items() if one.status in h.SERVING}
    first = math.inf
    for one in serving.values():
        if not (h.in_backoff(one, now) and 0 <= now - one.limited_at <= TOGETHER_S):
            return fleet
        first = min(first, one.backoff_until)
    ended = {
        key: replace(one, backoff_until=first) for key, one in serving.items() if one.backoff_until > first
    }
    return replace(fleet, health={**fleet.health, **ended}) if ended else fleet


def _replaced(fleet: Fleet, key: str, after: Health) -> Fleet:
    return fleet if after is fleet.health[key] else replace(fleet, health={**fleet.health, key: after})


def another_serves(fleet: Fleet, key: str) -> bool:
    """Whether another target serves than this one."""
    return any(other != key and one.status in h.SERVING for other, one in fleet.health.items())


def _badness(health: Health) -> tuple[int, float]:
    if health.status is Status.DRAINING:
        return 0, 0.0
    if health.status is Status.EJECTED:
        return 1, health.ejected_until
    return 2, health.since
