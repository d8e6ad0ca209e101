"""Which of the permitted targets is next: weighted, round-robin or random, each a pure function.

Rules
- Never an empty choice: given candidates, one of them is chosen.
- `weighted` is smooth weighted round robin (as in nginx): every candidate earns its weight, the richest is
  chosen and pays all that was earned. Over each cycle the ratio is exact, and one target's turns are spread
  evenly.
- `round-robin` is the same with equal weights; `random` draws with equal weights. All three honour a slow
  start.
- Weight 0 is a standby and comes here only among its like; they then count as equal.
- Who is left out now and then (tried already, ejected) earns nothing and pays nothing, so it neither bursts
  when it is back nor loses its turn.

Theory. Credits sum to 0 and each stays within the sum of all weights, so nothing drifts. Per pick O(n).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Strategy(StrEnum):
    """How to choose."""

    WEIGHTED = "weighted"
    ROUND_ROBIN = "round-robin"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A permitted target. weight: as configured. share: the part of it that its health allows, above 0."""

    key: str
    weight: float
    share: float = 1.0


Credits = Mapping[str, float]


def pick(
    strategy: Strategy, credits: Credits, candidates: Sequence[Candidate], draw: float
) -> tuple[str, Credits]:
    """The next target and the credits after it. draw: uniform in [0, 1), used by `random` only."""
    if not candidates:
        raise ValueError("There is no candidate to pick from; ask only when at least one is permitted.")
    if len(candidates) == 1:
        return candidates[0].key, credits
    weights = _weights(strategy, candidates)
    if strategy is Strategy.RANDOM:
        return _draw(candidates, weights, draw), credits
    after = dict(credits)
    best, most = "", 0.0
    for candidate, weight in zip(candidates, weights, strict=True):
        credit = after.get(candidate.key, 0.0) + weight
        after[candidate.key] = credit
        if not best or credit > most:
            best, most = candidate.key, credit
    after[best] = most - sum(weights)
    return best, after


def _weights(strategy: Strategy, candidates: Sequence[Candidate]) -> list[float]:
    if strategy is Strategy.WEIGHTED and any(candidate.weight for candidate in candidates):
        return [candidate.weight * candidate.share for candidate in candidates]
    return [candidate.share for candidate in candidates]


def _draw(candidates: Sequence[Candidate], weights: Sequence[float], draw: float) -> str:
    left = draw * sum(weights)
    for candidate, weight in zip(candidates, weights, strict=True):
        left -= weight
        if left < 0:
            return candidate.key
    return candidates[-1].key
