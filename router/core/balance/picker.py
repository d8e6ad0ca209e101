"""Prepares a picker: all that picks need from the candidates and their metrics
(`router.core.balance.strategies`).

Rules
- A picker is prepared again when the fleet changes and every `learn_s`, with many targets less often (300:
  each second), since it looks at all of them.
- A cycle whose counts stay the same is kept.
- `adaptive` and `cost` have at least 128 slots or 8 for each target, more if a share is small; each target
  has at least one. Shares in a ratio of small numbers are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from router.core.balance import quality, wrr
from router.core.balance import strategies as s
from router.core.balance.quality import Known
from router.core.balance.strategies import Candidate, Entry, Picker
from router.core.policy import Policy
from skyfleet.contract import Strategy
from skyfleet.values import frozen

# `MIN_SHARE` is one slot of so many.
_MIN_SLOTS: Final = round(1 / quality.MIN_SHARE)
_SLOTS_EACH: Final = 8
# A cycle of this many slots is sorted in a quarter of a millisecond.
_MOST_LEARNED: Final = 512
# `latency`: the target of the slot is picked unless another's score is below this fraction of its own.
_NEAR: Final = 0.8
# Preparing costs time in proportion to the targets; up to 75 of them `learn_s` alone decides.
_LEARN_S_EACH: Final = 1 / 300


@frozen
class Basis:
    """The input of a picker besides its candidates. now: unix seconds."""

    known: Known
    now: float
    policy: Policy


def prepare(
    strategy: Strategy, candidates: Sequence[Candidate], basis: Basis, before: Picker | None = None
) -> Picker:
    """A picker of these candidates, at least one; ValueError without any.

    before: the previous picker of this strategy."""
    if not candidates:
        raise ValueError("There is no candidate to pick from; ask only when at least one is permitted.")
    # Standbys get no share while a target with a weight is among the candidates.
    candidates = [one for one in candidates if one.weight] or candidates
    allowed = quality.base_weights(candidates)
    match strategy:
        case Strategy.ROUND_ROBIN | Strategy.RANDOM:
            pick = s.at_random if strategy is Strategy.RANDOM else s.in_order
            picker = _exact_cycle(strategy, pick, candidates, [one.share for one in candidates], before)
        case Strategy.WEIGHTED:
            picker = _exact_cycle(strategy, s.in_order, candidates, allowed, before)
        case Strategy.LEAST_LOAD | Strategy.LATENCY:
            pick = s.least_of_all if len(candidates) <= s.FEW else s.least_of_two
            picker = _exact_cycle(strategy, pick, candidates, allowed, before)
            entries = _entries(strategy, candidates, basis)
            near = _NEAR if strategy is Strategy.LATENCY else 1.0
            picker = replace(picker, entries=entries, near=near)
        case Strategy.COST:
            picker = _cost(candidates, basis, before)
        case Strategy.ADAPTIVE:  # pragma: no branch (the match is exhaustive)
            picker = _adaptive(candidates, basis, before)
    return replace(picker, at=basis.now)


def due_s(count: int, policy: Policy) -> float:
    """How long a picker of so many targets is kept."""
    return max(policy.learn_s, _LEARN_S_EACH * count)


def shares(picker: Picker) -> Mapping[str, float]:
    """The share of each target in the slots; they sum to 1."""
    return {key: count / picker.length for key, count in zip(picker.keys, picker.counts, strict=True)}


def _exact_cycle(
    strategy: Strategy,
    pick: s.Pick,
    candidates: Sequence[Candidate],
    weights: list[float],
    before: Picker | None,
) -> Picker:
    """A picker with a cycle that is as exact as its length allows."""
    counts = tuple(wrr.exact(weights) or wrr.rounded(weights, wrr.MOST_SLOTS // 2))
    return _cycle(strategy, pick, tuple(one.key for one in candidates), counts, before)


def _learned(weights: list[float]) -> tuple[int, ...]:
    """Slots for learned shares."""
    size = len(weights)
    least = max(_MIN_SLOTS, _SLOTS_EACH * size)
    length = max(least, round(min(sum(weights) / min(weights), _MOST_LEARNED)))
    return tuple(wrr.exact(weights, _MIN_SLOTS) or wrr.rounded(weights, length))


def _cycle(
    strategy: Strategy, pick: s.Pick, keys: tuple[str, ...], counts: tuple[int, ...], before: Picker | None
) -> Picker:
    if before is not None and before.keys == keys and before.counts == counts:
        cycle = before.slots
    else:
        cycle = tuple(keys[index] for index in wrr.spread(counts))
    return Picker(strategy, pick, keys, cycle, len(cycle), counts)


def _entries(strategy: Strategy, candidates: Sequence[Candidate], basis: Basis) -> dict[str, Entry]:
    known, now = basis.known, basis.now
    if strategy is Strategy.LATENCY:
        slow = quality.slowness(candidates, known, now)
        return {one.key: (1.0, slow[one.key] / one.share) for one in candidates}
    found: dict[str, Entry] = {}
    for one, allowed in zip(candidates, quality.base_weights(candidates), strict=True):
        seen = known.traffic.get(one.key, quality.NOTHING)
        # A target that fails fast never looks busy; without this factor it would attract all requests.
        worth = allowed * max(quality.MIN_SHARE, quality.success(seen, now))
        found[one.key] = (quality.recent_load(seen, now), 1 / worth)
    return found


def _cost(candidates: Sequence[Candidate], basis: Basis, before: Picker | None) -> Picker:
    known, now, policy = basis.known, basis.now, basis.policy
    factors = quality.meets_goal(candidates, known, now, policy)
    learned = {key: one.quality for key, one in factors.items()}
    if before is not None:
        learned = quality.settled(before.qualities, learned, now - before.at, known.traffic)
    slow = quality.slowness(candidates, known, now)
    weights = quality.cost_shares(candidates, learned, known.prices, min(slow, key=slow.__getitem__))
    keys = tuple(one.key for one in candidates)
    picker = _cycle(Strategy.COST, s.in_order, keys, _learned(weights), before)
    return replace(picker, ranked=quality.ranking(candidates, known, now, policy), qualities=learned)


def _adaptive(candidates: Sequence[Candidate], basis: Basis, before: Picker | None) -> Picker:
    # Outlier detection and quality use the same replies; both together would count them twice.
    candidates = [replace(one, share=1.0) if one.derated else one for one in candidates]
    factors = quality.qualities(candidates, basis.known, basis.now)
    learned = {key: one.quality for key, one in factors.items()}
    if before is not None:
        learned = quality.settled(before.qualities, learned, basis.now - before.at, basis.known.traffic)
    keys = tuple(one.key for one in candidates)
    counts = _learned(quality.shares(candidates, learned))
    picker = _cycle(Strategy.ADAPTIVE, s.less_loaded, keys, counts, before)
    steps = before.steps if before is not None and before.slots is picker.slots else _steps(picker)
    return replace(picker, steps=steps, qualities=learned)


def _steps(picker: Picker) -> tuple[tuple[str, str, float], ...]:
    """Each slot's target, the next other target, and the ratio of active requests beyond which that one is
    picked: twice the ratio of their shares, at least 1."""
    counts = dict(zip(picker.keys, picker.counts, strict=True))
    # The other target after the last slot is found from the start of the cycle.
    last = picker.slots[-1]
    follower = next((key for key in picker.slots if key != last), last)
    steps: list[tuple[str, str, float]] = []
    after = last
    for key in reversed(picker.slots):
        if key != after:
            follower, after = after, key
        steps.append((key, follower, max(1.0, 2 * counts[key] / counts[follower])))
    return tuple(reversed(steps))
