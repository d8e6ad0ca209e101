"""Snapshots of checkers: parse them, fold them, and merge them into one verdict per target.

Rules
- A snapshot belongs to one checker and keeps the last `KEEP` probe results of each target, by time of the
  probe. Folding is a union: repeated, late or disordered snapshots change nothing, and router instances with
  the same snapshots reach the same verdict.
- A checker's verdict on a target is a pure function of its results: `fall` failures in a row make it down,
  `rise` successes in a row make it up; before that the checker abstains.
- A target is down when more than half of the fresh checkers that have a verdict report so; one half is not
  enough. A checker that abstains but saw the target alive counts against `down`, though not for `up`; then
  there is no verdict, and the status stays. So one other checker outvotes a faulty one from its first success
  on. A single fresh checker's "down" (`Merged.alone`) does not count against own evidence of a target
  (`router.core.health.fleet`); without such evidence the router probes the target first
  (`router.proxy.prober`).
- Results in the future are not believable, neither on arrival nor after this clock was set back.
- An invalid snapshot is rejected with a reason, and the former one stays: another version, a checker that is
  not one of the configured targets, times in the future, wrong types. Results of targets that are not
  configured here are left out; a snapshot with no others is rejected.

A snapshot also lists the routers that its checker knows (`router.core.health.router_list`).

The wire form and the stored form are one: `parse` reads both, `dump` writes both. Times are unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, cast

from router.core.errors import SnapshotRejected
from router.core.policy import SKEW_S, Policy
from skyfleet.forwarded import parse_public_url
from skyfleet.values import frozen

VERSION: Final = 1
# Enough for fall and rise of any policy, small enough to send whole each time.
KEEP: Final = 10
_MOST_RESULTS: Final = 3_000
# It keeps every number below exact as a float, and is in no unit of ours a sensible value.
MOST_NUMBER: Final = 1e15
_LONGEST_TEXT: Final = 200
_LONGEST_URL: Final = 300
# One in each region of three clouds.
MOST_ROUTERS: Final = 100
# How many checkers a reason names; a person reads it.
_MOST_TOLD: Final = 5


@frozen
class ProbeResult:
    """One probe of one target. latency_ms and inflight are -1 if unknown, never NaN."""

    at: float
    ok: bool
    cold: bool = False
    latency_ms: float = -1.0
    reason: str = ""
    build: str = ""
    inflight: int = -1

    @property
    def alive(self) -> bool:
        """Whether the target answered; a cold start counts."""
        return self.ok or self.cold

    @property
    def order(self) -> tuple[float, bool, bool, float, str, str, int]:
        """By time; of two with one time always the same one comes first."""
        return self.at, self.ok, self.cold, self.latency_ms, self.reason, self.build, self.inflight


@frozen
class Snapshot:
    """The results of one checker: per target, oldest first, at most KEEP. routers: the URLs of those that it
    knows, in the order in which clients use them; empty: its release lists none."""

    checker: str
    at: float
    results: Mapping[str, tuple[ProbeResult, ...]]
    routers: tuple[str, ...] = ()


@frozen
class Merged:
    """What the fresh checkers say of one target together. up: None when they reach no verdict. alone: one
    single checker says so."""

    up: bool | None
    at: float
    reason: str
    alone: bool = False


@frozen
class Votes:
    """The verdicts of the fresh checkers on one target: how many see it up, why the others see it down, the
    newest result among them, and how many without a verdict have seen it alive."""

    ups: int
    downs: tuple[str, ...]
    at: float
    dissents: int = 0

    @property
    def voters(self) -> int:
        return self.ups + len(self.downs)


def keep(*several: Iterable[ProbeResult]) -> tuple[ProbeResult, ...]:
    """The newest KEEP of some results of one target; of two with one time, always the same one."""
    by_time: dict[float, ProbeResult] = {}
    for results in several:
        for one in results:
            known = by_time.get(one.at)
            by_time[one.at] = one if known is None or one.order > known.order else known
    return tuple(by_time[at] for at in sorted(by_time)[-KEEP:])


def _joined(before: tuple[ProbeResult, ...], after: tuple[ProbeResult, ...]) -> tuple[ProbeResult, ...]:
    """As `keep`, of two that are kept already. Most often the second only goes on where the first ends, and
    nothing needs sorting: at 300 targets that is most of what a snapshot costs."""
    if not before or not after:
        return before or after
    if before[-1].at == after[-1].at and before == after:
        return before
    first, common = after[0].at, len(before)
    while common and before[common - 1].at >= first:
        common -= 1
    again = len(before) - common
    if before[common:] != after[:again]:
        return keep(before, after)
    return after if len(after) >= KEEP else (before[:common] + after)[-KEEP:]


def fold(known: Snapshot | None, new: Snapshot) -> Snapshot:
    """Both views of one checker in one."""
    if known is None:
        return new
    merged = dict(known.results)
    for key, seen in new.results.items():
        merged[key] = _joined(merged.get(key, ()), seen)
    newest = max(known, new, key=lambda one: (one.at, one.routers))
    return (
        known
        if merged == known.results and newest is known
        else Snapshot(known.checker, newest.at, merged, newest.routers)
    )


def verdict(results: Sequence[ProbeResult], policy: Policy) -> bool | None:
    """Up, down, or no verdict yet, out of what one checker keeps of one target: what its newest streak says
    that is long enough."""
    streak, last = 0, None
    for one in reversed(results):
        alive = one.ok or one.cold
        streak = streak + 1 if alive is last else 1
        last = alive
        if streak >= (policy.rise if last else policy.fall):
            return last
    return None


def believable(snapshot: Snapshot, now: float) -> Snapshot | None:
    """What is left of a known snapshot without the future, in which this clock may have been."""
    if snapshot.at > now + SKEW_S:
        return None
    if all(not seen or seen[-1].at <= now + SKEW_S for seen in snapshot.results.values()):
        return snapshot
    left = {
        target: tuple(one for one in seen if one.at <= now + SKEW_S)
        for target, seen in snapshot.results.items()
    }
    return Snapshot(snapshot.checker, snapshot.at, left, snapshot.routers)


def is_fresh(snapshot: Snapshot, now: float, policy: Policy) -> bool:
    """Whether this checker still has a say."""
    return _fresh(snapshot.at, now, policy)


def votes(
    snapshots: Iterable[Snapshot], target: str, now: float, policy: Policy, since: float = 0.0
) -> Votes:
    """What each fresh checker that has a verdict says of one target. since: older results do not count."""
    ups, dissents, newest = 0, 0, 0.0
    downs: list[str] = []
    for snapshot in snapshots:
        results = snapshot.results.get(target, ())
        if since:
            results = tuple(one for one in results if one.at > since)
        if not results or not _fresh(results[-1].at, now, policy):
            continue
        up = verdict(results, policy)
        if up is None:
            dissents += any(one.alive and _fresh(one.at, now, policy) for one in results)
            continue
        newest = max(newest, results[-1].at)
        if up:
            ups += 1
        else:
            downs.append(f"{snapshot.checker}: {results[-1].reason or 'no answer'}")
    return Votes(ups, tuple(downs), newest, dissents)


def merged(
    snapshots: Iterable[Snapshot], target: str, now: float, policy: Policy, since: float = 0.0
) -> Merged:
    """The majority of the fresh checkers on one target. since: older results do not count."""
    given = votes(snapshots, target, now, policy, since)
    downs, voters = len(given.downs), given.voters
    if not voters:
        return Merged(None, given.at, "no fresh checker has a verdict")
    if voters < downs * 2 <= voters + given.dissents:
        return Merged(None, given.at, f"{downs} of {voters} checkers see it down, others have seen it alive")
    if downs * 2 > voters:
        told = "; ".join(given.downs[:_MOST_TOLD]) + ("; ..." if downs > _MOST_TOLD else "")
        return Merged(
            False, given.at, f"{downs} of {voters} checkers see it down ({told})", alone=voters == 1
        )
    return Merged(True, given.at, f"{given.ups} of {voters} checkers see it up")


def _fresh(at: float, now: float, policy: Policy) -> bool:
    return -SKEW_S <= now - at <= policy.fresh_s


def parse(value: object, known: Collection[str], now: float, checkers: Collection[str] = ()) -> Snapshot:
    """A snapshot from decoded JSON; SnapshotRejected with the reason. known: the keys of the targets.
    checkers: the places of the checkers; empty: any place of a target may have one."""
    places = checkers or known
    fields = _object(value, "the document")
    version = fields.get("version")
    if version != VERSION or isinstance(version, bool):
        raise SnapshotRejected(f"Its version is {_short(version)}; this router reads version {VERSION}.")
    checker = fields.get("checker")
    if not isinstance(checker, str) or checker not in places:
        raise SnapshotRejected(f"Its checker {_short(checker)} is not one of {', '.join(sorted(places))}.")
    at = _time(fields.get("at"), "at", now)
    listed = fields.get("results")
    if not isinstance(listed, list) or len(cast("list[object]", listed)) > _MOST_RESULTS:
        raise SnapshotRejected(f"Its results are not a list of at most {_MOST_RESULTS}.")
    found: dict[str, list[ProbeResult]] = {}
    unknown = 0
    for entry in cast("list[object]", listed):
        item = _object(entry, "a result")
        target = item.get("target")
        if isinstance(target, str) and target in known:
            found.setdefault(target, []).append(_probe_result(item, now))
        else:
            unknown += 1
    if unknown and not found:
        raise SnapshotRejected(f"None of its targets is configured here ({', '.join(sorted(known))}).")
    results = {target: keep(seen) for target, seen in found.items()}
    return Snapshot(checker, at, results, _routers(fields.get("routers", [])))


def dump(snapshot: Snapshot) -> dict[str, object]:
    """The JSON form."""
    return {
        "version": VERSION,
        "checker": snapshot.checker,
        "at": snapshot.at,
        **({"routers": list(snapshot.routers)} if snapshot.routers else {}),
        "results": [
            {
                "target": target,
                "at": one.at,
                "ok": one.ok,
                "latency_ms": one.latency_ms if one.latency_ms >= 0 else None,
                "cold": one.cold,
                "reason": one.reason,
                "build": one.build or None,
                "inflight": one.inflight if one.inflight >= 0 else None,
            }
            for target, seen in snapshot.results.items()
            for one in seen
        ],
    }


def _routers(value: object) -> tuple[str, ...]:
    urls = cast("list[object]", value) if isinstance(value, list) else [None]
    if len(urls) > MOST_ROUTERS:
        raise SnapshotRejected(f"It lists {len(urls)} routers, more than {MOST_ROUTERS}.")
    found: dict[str, None] = {}
    for url in urls:
        known = parse_public_url(url) if isinstance(url, str) and len(url) <= _LONGEST_URL else None
        if known is None:
            raise SnapshotRejected(f"Its routers have {_short(url)}; expected URLs without user and query.")
        found[known.text] = None
    return tuple(found)


def _probe_result(item: Mapping[str, object], now: float) -> ProbeResult:
    ok, cold = item.get("ok"), item.get("cold", False)
    if not isinstance(ok, bool) or not isinstance(cold, bool):
        raise SnapshotRejected("A result's ok or cold is not true or false.")
    latency, inflight = item.get("latency_ms"), item.get("inflight")
    reason, build = item.get("reason", ""), item.get("build")
    return ProbeResult(
        at=_time(item.get("at"), "a result's at", now),
        ok=ok,
        cold=cold,
        latency_ms=-1.0 if latency is None else _number(latency, "latency_ms"),
        reason=reason[:_LONGEST_TEXT] if isinstance(reason, str) else "",
        build=build[:_LONGEST_TEXT] if isinstance(build, str) else "",
        inflight=-1 if inflight is None else int(_number(inflight, "inflight")),
    )


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise SnapshotRejected(f"Expected {what} as a JSON object, found {type(value).__name__}.")
    return cast("dict[str, object]", value)


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_NUMBER:
        raise SnapshotRejected(f"Its {what} is {_short(value)}; expected a number from 0.")
    return float(value)


def _time(value: object, what: str, now: float) -> float:
    at = _number(value, what)
    if not math.isfinite(at) or at > now + SKEW_S:
        raise SnapshotRejected(
            f"Its {what} lies {at - now:.0f} s in the future; check the clock of that checker."
        )
    return at


def _short(value: object) -> str:
    return repr(value)[:60]
