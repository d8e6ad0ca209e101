"""What the checkers saw: health documents, folded and merged into one verdict per target.

Rules
- A document belongs to one vantage and keeps the last `KEEP` observations of each target, by observation
  time. So folding is a union: twice, late or out of order changes nothing, and every router instance that
  has seen the same documents says the same.
- A vantage's verdict on a target is a pure function of what it keeps: `fall` failures in a row make it down,
  `rise` good answers in a row make it up, before that it abstains.
- A target is down when more than half of the fresh vantages that have a verdict say so; one half is not
  enough. One that has no verdict yet but has seen the target alive counts against `down`, though not for
  `up`: then there is no verdict, and the target stays as it stands. So one vantage that lies is outvoted by
  one other, from its first good look on. When it is the only fresh one it decides nothing against this
  router's own traffic: while that got good replies from the target within `proof_s`, the lone vantage's word
  is only noted (`Merged.alone`, judged in `fleet`). Otherwise the target itself is asked
  (`router.proxy.hearsay`).
- Observations that lie in the future are not believed, neither on arrival nor after this clock was set back.
- What cannot be believed is refused with a reason and the view before it stays: another version, a vantage
  that is not one of the configured targets, times from the future, wrong types. Observations of targets that
  are not configured here are left out; a document with nothing else is refused.

The wire form and the stored form are one: `parse` reads both, `dump` writes both. Times are unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from router.core.errors import SnapshotRefused
from router.core.policy import SKEW_S, Policy
from skyfleet.values import frozen

VERSION: Final = 1
# Enough for fall and rise of any policy, small enough to send whole each time.
KEEP: Final = 10
_MOST_OBSERVATIONS: Final = 3_000
# It keeps every number below exact as a float, and is in no unit of ours a sensible value.
MOST_NUMBER: Final = 1e15
_LONGEST_TEXT: Final = 200
# A reason is read by people; the rest of many vantages says the same.
_MOST_TOLD: Final = 5


@dataclass(frozen=True, slots=True, order=True)
class Observation:
    """One look at one target. latency_ms is NaN-free: -1 stands for none; likewise inflight."""

    at: float
    ok: bool
    cold: bool = False
    latency_ms: float = -1.0
    reason: str = ""
    build: str = ""
    inflight: int = -1

    @property
    def alive(self) -> bool:
        """A cold answer is an answer."""
        return self.ok or self.cold


@frozen
class Document:
    """All that one vantage says. observations: per target, oldest first, at most KEEP."""

    vantage: str
    at: float
    observations: Mapping[str, tuple[Observation, ...]]


@frozen
class Merged:
    """What the fresh vantages say of one target together. up: None when they reach no verdict. alone: one
    single vantage says so."""

    up: bool | None
    at: float
    reason: str
    alone: bool = False


@frozen
class Votes:
    """The verdicts of the fresh vantages on one target: how many see it up, why the others see it down, the
    newest observation among them, and how many without a verdict have seen it alive."""

    ups: int
    downs: tuple[str, ...]
    at: float
    dissents: int = 0

    @property
    def voters(self) -> int:
        return self.ups + len(self.downs)


def keep(*several: Iterable[Observation]) -> tuple[Observation, ...]:
    """The newest KEEP of some observations of one target; of two with one time, always the same one."""
    by_time: dict[float, Observation] = {}
    for observations in several:
        for one in observations:
            known = by_time.get(one.at)
            by_time[one.at] = one if known is None else max(one, known)
    return tuple(by_time[at] for at in sorted(by_time)[-KEEP:])


def _joined(before: tuple[Observation, ...], after: tuple[Observation, ...]) -> tuple[Observation, ...]:
    """As `keep`, of two that are kept already. Most often the second only goes on where the first ends, and
    nothing needs sorting: at 300 targets that is the most of what a document costs."""
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


def fold(known: Document | None, new: Document) -> Document:
    """Both views of one vantage in one."""
    if known is None:
        return new
    merged = dict(known.observations)
    for key, seen in new.observations.items():
        merged[key] = _joined(merged.get(key, ()), seen)
    return (
        known
        if merged == known.observations and new.at <= known.at
        else Document(known.vantage, max(known.at, new.at), merged)
    )


def verdict(observations: Sequence[Observation], policy: Policy) -> bool | None:
    """Up, down, or no verdict yet, out of what one vantage keeps of one target: what its newest streak says
    that is long enough."""
    streak, last = 0, None
    for one in reversed(observations):
        alive = one.ok or one.cold
        streak = streak + 1 if alive is last else 1
        last = alive
        if streak >= (policy.rise if last else policy.fall):
            return last
    return None


def believable(document: Document, now: float) -> Document | None:
    """What is left of a known document without the future, in which this clock may have been."""
    if document.at > now + SKEW_S:
        return None
    if all(not seen or seen[-1].at <= now + SKEW_S for seen in document.observations.values()):
        return document
    left = {
        target: tuple(one for one in seen if one.at <= now + SKEW_S)
        for target, seen in document.observations.items()
    }
    return Document(document.vantage, document.at, left)


def is_fresh(document: Document, now: float, policy: Policy) -> bool:
    """Whether this vantage still has a say."""
    return _fresh(document.at, now, policy)


def votes(documents: Iterable[Document], target: str, now: float, policy: Policy) -> Votes:
    """What each fresh vantage that has a verdict says of one target."""
    ups, dissents, newest = 0, 0, 0.0
    downs: list[str] = []
    for document in documents:
        observations = document.observations.get(target, ())
        if not observations or not _fresh(observations[-1].at, now, policy):
            continue
        up = verdict(observations, policy)
        if up is None:
            dissents += any(one.alive and _fresh(one.at, now, policy) for one in observations)
            continue
        newest = max(newest, observations[-1].at)
        if up:
            ups += 1
        else:
            downs.append(f"{document.vantage}: {observations[-1].reason or 'no answer'}")
    return Votes(ups, tuple(downs), newest, dissents)


def merged(documents: Iterable[Document], target: str, now: float, policy: Policy) -> Merged:
    """The majority of the fresh vantages on one target."""
    given = votes(documents, target, now, policy)
    downs, voters = len(given.downs), given.voters
    if not voters:
        return Merged(None, given.at, "no fresh vantage has a verdict")
    if voters < downs * 2 <= voters + given.dissents:
        return Merged(None, given.at, f"{downs} of {voters} vantages see it down, others have seen it alive")
    if downs * 2 > voters:
        told = "; ".join(given.downs[:_MOST_TOLD]) + ("; ..." if downs > _MOST_TOLD else "")
        return Merged(
            False, given.at, f"{downs} of {voters} vantages see it down ({told})", alone=voters == 1
        )
    return Merged(True, given.at, f"{given.ups} of {voters} vantages see it up")


def _fresh(at: float, now: float, policy: Policy) -> bool:
    return -SKEW_S <= now - at <= policy.fresh_s


def parse(value: object, known: Collection[str], now: float) -> Document:
    """A document out of decoded JSON, or SnapshotRefused with the reason."""
    fields = _object(value, "the document")
    version = fields.get("version")
    if version != VERSION or isinstance(version, bool):
        raise SnapshotRefused(f"Its version is {_short(version)}; this router reads version {VERSION}.")
    vantage = fields.get("vantage")
    if not isinstance(vantage, str) or vantage not in known:
        raise SnapshotRefused(f"Its vantage {_short(vantage)} is not one of {', '.join(sorted(known))}.")
    at = _time(fields.get("at"), "at", now)
    listed = fields.get("observations")
    if not isinstance(listed, list) or len(cast("list[object]", listed)) > _MOST_OBSERVATIONS:
        raise SnapshotRefused(f"Its observations are not a list of at most {_MOST_OBSERVATIONS}.")
    found: dict[str, list[Observation]] = {}
    strangers = 0
    for entry in cast("list[object]", listed):
        item = _object(entry, "an observation")
        target = item.get("target")
        if isinstance(target, str) and target in known:
            found.setdefault(target, []).append(_observation(item, now))
        else:
            strangers += 1
    if strangers and not found:
        raise SnapshotRefused(f"None of its targets is configured here ({', '.join(sorted(known))}).")
    return Document(vantage, at, {target: keep(seen) for target, seen in found.items()})


def dump(document: Document) -> dict[str, object]:
    """The JSON form."""
    return {
        "version": VERSION,
        "vantage": document.vantage,
        "at": document.at,
        "observations": [
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
            for target, seen in document.observations.items()
            for one in seen
        ],
    }


def _observation(item: Mapping[str, object], now: float) -> Observation:
    ok, cold = item.get("ok"), item.get("cold", False)
    if not isinstance(ok, bool) or not isinstance(cold, bool):
        raise SnapshotRefused("An observation's ok or cold is not true or false.")
    latency, inflight = item.get("latency_ms"), item.get("inflight")
    reason, build = item.get("reason", ""), item.get("build")
    return Observation(
        at=_time(item.get("at"), "an observation's at", now),
        ok=ok,
        cold=cold,
        latency_ms=-1.0 if latency is None else _number(latency, "latency_ms"),
        reason=reason[:_LONGEST_TEXT] if isinstance(reason, str) else "",
        build=build[:_LONGEST_TEXT] if isinstance(build, str) else "",
        inflight=-1 if inflight is None else int(_number(inflight, "inflight")),
    )


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise SnapshotRefused(f"Expected {what} as a JSON object, found {type(value).__name__}.")
    return cast("dict[str, object]", value)


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_NUMBER:
        raise SnapshotRefused(f"Its {what} is {_short(value)}; expected a number from 0.")
    return float(value)


def _time(value: object, what: str, now: float) -> float:
    at = _number(value, what)
    if not math.isfinite(at) or at > now + SKEW_S:
        raise SnapshotRefused(
            f"Its {what} lies {at - now:.0f} s in the future; check the clock of that checker."
        )
    return at


def _short(value: object) -> str:
    return repr(value)[:60]
