"""Prepares all that picks need from the candidates and from what traffic taught; see
`router.core.balance.strategies`.

Rules
- Prepared anew when the menu changes, and with a strategy that learns also every `learn_s`: with more
  targets less often (300: each second), for it looks at all of them.
- A cycle whose turns stay the same is kept.
- `adaptive` and `cost` spend at least 128 turns or 8 for each target, more if somebody's part is small, and
  everybody has one; as long as the parts are in a ratio of small numbers they are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from router.core.balance import quality, wrr
from router.core.balance import strategies as s
from router.core.balance.quality import Known
from router.core.balance.strategies import Candidate, Entry, Roster, Strategy
from router.core.policy import Policy
from skyfleet.values import frozen

# The floor of `adaptive` is one turn of so many.
_LEAST_TURNS: Final = round(1 / quality.FLOOR)
_TURNS_EACH: Final = 8
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
    strategy: Strategy, candidates: Sequence[Candidate], basis: Basis, before: Roster | None = None
) -> Roster:
    """A roster of these candidates, at least one. before: the last one of this strategy, if any."""
    if not candidates:
        raise ValueError("There is no candidate to pick from; ask only when at least one is permitted.")
    if before is not None and before.strategy is not strategy:
        before = None
    # A standby among targets with a weight has no part to be given.
    candidates = [one for one in candidates if one.weight] or candidates
    allowed = quality.allowances(candidates)
    match strategy:
        case Strategy.ROUND_ROBIN | Strategy.RANDOM:
            way = s.by_lot if strategy is Strategy.RANDOM else s.in_turn
            roster = _roster(strategy, way, candidates, [one.share for one in candidates], before)
        case Strategy.WEIGHTED:
            roster = _roster(strategy, s.in_turn, candidates, allowed, before)
        case Strategy.LEAST_LOAD | Strategy.LATENCY:
            way = s.least_of_all if len(candidates) <= s.FEW else s.least_of_two
            roster = _roster(strategy, way, candidates, allowed, before)
            entries = _entries(strategy, candidates, basis)
            near = _NEAR if strategy is Strategy.LATENCY else 1.0
            roster = replace(roster, entries=entries, near=near)
        case Strategy.COST:
            roster = _thrifty(candidates, basis, before)
        case Strategy.ADAPTIVE:
            roster = _adaptive(candidates, basis, before)
    return replace(roster, at=basis.now)


def expires_at(roster: Roster, policy: Policy) -> float:
    """When it should be prepared anew though its menu stays (unix seconds); inf if never."""
    if roster.strategy not in s.LEARNING or len(roster.keys) == 1:
        return float("inf")
    return roster.at + max(policy.learn_s, _LEARN_S_EACH * len(roster.keys))


def portions(roster: Roster) -> Mapping[str, float]:
    """The part of the turns that each has; they sum to 1."""
    return {key: count / roster.length for key, count in zip(roster.keys, roster.counts, strict=True)}


def _roster(
    strategy: Strategy,
    way: s.Way,
    candidates: Sequence[Candidate],
    weights: list[float],
    before: Roster | None,
) -> Roster:
    """With a cycle that is as exact as its length allows."""
    counts = tuple(wrr.exact(weights) or wrr.rounded(weights, wrr.MOST_TURNS // 2))
    return _cycle(strategy, way, tuple(one.key for one in candidates), counts, before)


def _learned(weights: list[float]) -> tuple[int, ...]:
    """Turns for parts that were learned."""
    size = len(weights)
    least = max(_LEAST_TURNS, _TURNS_EACH * size)
    length = max(least, round(min(sum(weights) / min(weights), _MOST_LEARNED)))
    return tuple(wrr.exact(weights, _LEAST_TURNS) or wrr.rounded(weights, length))


def _cycle(
    strategy: Strategy, way: s.Way, keys: tuple[str, ...], counts: tuple[int, ...], before: Roster | None
) -> Roster:
    if before is not None and before.keys == keys and before.counts == counts:
        cycle = before.turns
    else:
        cycle = tuple(keys[index] for index in wrr.spread(counts))
    return Roster(strategy, way, keys, cycle, len(cycle), counts)


def _entries(strategy: Strategy, candidates: Sequence[Candidate], basis: Basis) -> dict[str, Entry]:
    known, now, policy = basis.known, basis.now, basis.policy
    if strategy is Strategy.LATENCY:
        slow = quality.slowness(candidates, known, now, policy)
        return {one.key: (1.0, slow[one.key] / one.share) for one in candidates}
    found: dict[str, Entry] = {}
    for one, allowed in zip(candidates, quality.allowances(candidates), strict=True):
        seen = known.traffic.get(one.key, quality.NOTHING)
        # Who fails fast is never busy; its failures must not draw everything to it.
        worth = allowed * max(quality.FLOOR, quality.success(seen, now, policy))
        found[one.key] = (quality.recent_load(seen, now, policy), 1 / worth)
    return found


def _thrifty(candidates: Sequence[Candidate], basis: Basis, before: Roster | None) -> Roster:
    known, now, policy = basis.known, basis.now, basis.policy
    learned = quality.fits(candidates, known, now, policy)
    if before is not None:
        learned = quality.settled(before.qualities, learned, now - before.at, policy)
    slow = quality.slowness(candidates, known, now, policy)
    weights = quality.thrifty_parts(candidates, learned, known.prices, min(slow, key=slow.__getitem__))
    keys = tuple(one.key for one in candidates)
    roster = _cycle(Strategy.COST, s.in_turn, keys, _learned(weights), before)
    return replace(roster, ranked=quality.ranking(candidates, known, now, policy), qualities=learned)


def _adaptive(candidates: Sequence[Candidate], basis: Basis, before: Roster | None) -> Roster:
    # What `gray` concludes and what is learned come from the same replies; both together would count them
    # twice, and what recovers would have to prove itself twice.
    candidates = [replace(one, share=1.0) if one.doubted else one for one in candidates]
    learned = quality.qualities(candidates, basis.known, basis.now, basis.policy)
    if before is not None:
        learned = quality.settled(before.qualities, learned, basis.now - before.at, basis.policy)
    keys = tuple(one.key for one in candidates)
    counts = _learned(quality.parts(candidates, learned))
    roster = _cycle(Strategy.ADAPTIVE, s.less_busy, keys, counts, before)
    steps = before.steps if before is not None and before.turns is roster.turns else _steps(roster)
    return replace(roster, steps=steps, qualities=learned)


def _steps(roster: Roster) -> tuple[tuple[str, str, float], ...]:
    """Each turn with the next other target, and how much busier than that its own may be: twice as busy for
    its part, and never less than as busy."""
    counts = dict(zip(roster.keys, roster.counts, strict=True))
    # Who follows the last turn is found from the start of the cycle, past the last one's own further turns.
    last = roster.turns[-1]
    follower = next((key for key in roster.turns if key != last), last)
    steps: list[tuple[str, str, float]] = []
    after = last
    for key in reversed(roster.turns):
        if key != after:
            follower, after = after, key
        steps.append((key, follower, max(1.0, 2 * counts[key] / counts[follower])))
    return tuple(reversed(steps))
