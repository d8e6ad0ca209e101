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
from router.core.balance.strategies import Candidate, Entry, Picker, Strategy
from router.core.policy import Policy
from skyfleet.values import frozen

# The floor of `adaptive` is one turn of so many.
_MIN_SLOTS: Final = round(1 / quality.MIN_SHARE)
_SLOTS_EACH: Final = 8
# A cycle of this many turns is sorted in a quarter of a millisecond.
_MOST_LEARNED: Final = 512
# `latency`: who is in turn keeps it unless another is faster by more than this part.
_NEAR: Final = 0.8
# Below it learning anew takes less than a few requests, so `learn_s` alone decides.
_LEARN_S_EACH: Final = 1 / 300


@frozen
class Basis:
    """What a roster is prepared from besides its candidates. now: unix seconds."""

    known: Known
    now: float
    policy: Policy


def prepare(
    strategy: Strategy, candidates: Sequence[Candidate], basis: Basis, before: Picker | None = None
) -> Picker:
    """A roster of these candidates, at least one. before: the last one of this strategy, if any."""
    if not candidates:
        raise ValueError("There is no candidate to pick from; ask only when at least one is permitted.")
    if before is not None and before.strategy is not strategy:
        before = None
    # A standby among targets with a weight has no part to be given.
    candidates = [one for one in candidates if one.weight] or candidates
    allowed = quality.base_weights(candidates)
    match strategy:
        case Strategy.ROUND_ROBIN | Strategy.RANDOM:
            pick = s.at_random if strategy is Strategy.RANDOM else s.in_order
            picker = _roster(strategy, pick, candidates, [one.share for one in candidates], before)
        case Strategy.WEIGHTED:
            picker = _roster(strategy, s.in_order, candidates, allowed, before)
        case Strategy.LEAST_LOAD | Strategy.LATENCY:
            pick = s.least_of_all if len(candidates) <= s.FEW else s.least_of_two
            picker = _roster(strategy, pick, candidates, allowed, before)
            entries = _entries(strategy, candidates, basis)
            near = _NEAR if strategy is Strategy.LATENCY else 1.0
            picker = replace(picker, entries=entries, near=near)
        case Strategy.COST:
            picker = _cost(candidates, basis, before)
        case Strategy.ADAPTIVE:
            picker = _adaptive(candidates, basis, before)
    return replace(picker, at=basis.now)


def due_s(count: int, policy: Policy) -> float:
    """How long a picker of so many targets is kept."""
    return max(policy.learn_s, _LEARN_S_EACH * count)


def shares(picker: Picker) -> Mapping[str, float]:
    """The part of the turns that each has; they sum to 1."""
    return {key: count / picker.length for key, count in zip(picker.keys, picker.counts, strict=True)}


def _roster(
    strategy: Strategy,
    pick: s.Pick,
    candidates: Sequence[Candidate],
    weights: list[float],
    before: Picker | None,
) -> Picker:
    """With a cycle that is as exact as its length allows."""
    counts = tuple(wrr.exact(weights) or wrr.rounded(weights, wrr.MOST_SLOTS // 2))
    return _cycle(strategy, pick, tuple(one.key for one in candidates), counts, before)


def _learned(weights: list[float]) -> tuple[int, ...]:
    """Turns for parts that were learned."""
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
    known, now, policy = basis.known, basis.now, basis.policy
    if strategy is Strategy.LATENCY:
        slow = quality.slowness(candidates, known, now, policy)
        return {one.key: (1.0, slow[one.key] / one.share) for one in candidates}
    found: dict[str, Entry] = {}
    for one, allowed in zip(candidates, quality.base_weights(candidates), strict=True):
        seen = known.traffic.get(one.key, quality.NOTHING)
        # Who fails fast is never busy; its failures must not draw everything to it.
        worth = allowed * max(quality.MIN_SHARE, quality.success(seen, now, policy))
        found[one.key] = (quality.recent_load(seen, now, policy), 1 / worth)
    return found


def _cost(candidates: Sequence[Candidate], basis: Basis, before: Picker | None) -> Picker:
    known, now, policy = basis.known, basis.now, basis.policy
    factors = quality.meets_goal(candidates, known, now, policy)
    learned = {key: one.quality for key, one in factors.items()}
    if before is not None:
        learned = quality.settled(before.qualities, learned, now - before.at, policy)
    slow = quality.slowness(candidates, known, now, policy)
    weights = quality.cost_shares(candidates, learned, known.prices, min(slow, key=slow.__getitem__))
    keys = tuple(one.key for one in candidates)
    picker = _cycle(Strategy.COST, s.in_order, keys, _learned(weights), before)
    return replace(picker, ranked=quality.ranking(candidates, known, now, policy), qualities=learned)


def _adaptive(candidates: Sequence[Candidate], basis: Basis, before: Picker | None) -> Picker:
    # What `gray` concludes and what is learned come from the same replies; both together would count them
    # twice, and what recovers would have to prove itself twice.
    candidates = [replace(one, share=1.0) if one.derated else one for one in candidates]
    factors = quality.qualities(candidates, basis.known, basis.now, basis.policy)
    learned = {key: one.quality for key, one in factors.items()}
    if before is not None:
        learned = quality.settled(before.qualities, learned, basis.now - before.at, basis.policy)
    keys = tuple(one.key for one in candidates)
    counts = _learned(quality.shares(candidates, learned))
    picker = _cycle(Strategy.ADAPTIVE, s.less_loaded, keys, counts, before)
    steps = before.steps if before is not None and before.slots is picker.slots else _steps(picker)
    return replace(picker, steps=steps, qualities=learned)


def _steps(picker: Picker) -> tuple[tuple[str, str, float], ...]:
    """Each turn with the next other target, and how much busier than that its own may be: twice as busy for
    its part, and never less than as busy."""
    counts = dict(zip(picker.keys, picker.counts, strict=True))
    # Who follows the last turn is found from the start of the cycle, past the last one's own further turns.
    last = picker.slots[-1]
    follower = next((key for key in picker.slots if key != last), last)
    steps: list[tuple[str, str, float]] = []
    after = last
    for key in reversed(picker.slots):
        if key != after:
            follower, after = after, key
        steps.append((key, follower, max(1.0, 2 * counts[key] / counts[follower])))
    return tuple(reversed(steps))
