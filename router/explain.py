"""Explains in words why `adaptive` or `cost` gives a target a small share: by its least factor.

The rule of this file: nothing is decided here; the factors are those of `router.core.balance.quality`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from router.core.balance import quality
from router.core.balance.metrics import NOTHING, Traffic, expected_ms, failure_share, lower_median
from router.core.balance.quality import Factors, Known
from router.core.balance.strategies import Candidate
from router.core.policy import Policy
from skyfleet.contract import Strategy
from skyfleet.values import frozen

# A share below this part of what its weight would give is explained: smaller differences are everyday.
_SMALL: Final = 0.5
# A factor nearer to 1 explains nothing.
_TELLING: Final = 0.9
_REGAINING: Final = "it was worse until now; its share grows back within seconds"


@frozen
class Evidence:
    """What the words are made from. now: unix seconds."""

    candidates: Sequence[Candidate]
    known: Known
    now: float
    policy: Policy

    def seen(self, key: str) -> Traffic:
        """The metrics of a target."""
        return self.known.traffic.get(key, NOTHING)

    def others(self, key: str, value: Callable[[Traffic], float]) -> list[float]:
        """A value of each other candidate, where it is known."""
        found = (value(self.seen(one.key)) for one in self.candidates if one.key != key)
        return [one for one in found if one >= 0]


def learned(strategy: Strategy, evidence: Evidence, shares: Mapping[str, float]) -> dict[str, str]:
    """Why a target's share is far below what its weight and health would give, by key; empty with other
    strategies."""
    candidates = [one for one in evidence.candidates if one.weight] or list(evidence.candidates)
    if strategy not in (Strategy.ADAPTIVE, Strategy.COST) or len(candidates) < 2:
        return {}
    if strategy is Strategy.ADAPTIVE:  # as its picker has it: what derates a target is in its quality
        candidates = [replace(one, share=1.0) if one.derated else one for one in candidates]
    evidence = replace(evidence, candidates=candidates)
    base = quality.base_weights(candidates)
    fair = {one.key: part / sum(base) for one, part in zip(candidates, base, strict=True)}
    small = [key for key, share in fair.items() if shares.get(key, 0.0) < _SMALL * share]
    if not small:
        return {}
    adaptive = strategy is Strategy.ADAPTIVE
    known, now = evidence.known, evidence.now
    if adaptive:
        factors = quality.qualities(candidates, known, now)
    else:
        factors = quality.meets_goal(candidates, known, now, evidence.policy)
    return {key: _words(key, factors[key], evidence, adaptive=adaptive) for key in small}


def _words(key: str, factors: Factors, evidence: Evidence, *, adaptive: bool) -> str:
    """Of the least factor; of two alike the first."""
    price = factors.price
    if not adaptive:  # `cost` serves the cheapest first
        prices = evidence.known.prices
        price = 0.0 if prices[key] > min(prices[one.key] for one in evidence.candidates) else 1.0
    least, text = min(
        (factors.latency, _slow if adaptive else _misses_goal),
        (factors.success, _fails),
        (factors.load, _loaded),
        (price, _expensive),
        key=lambda one: one[0],
    )
    return text(key, evidence) if least < _TELLING else _REGAINING


def _slow(key: str, evidence: Evidence) -> str:
    others = evidence.others(key, lambda one: expected_ms(one, evidence.now))
    beside = f", others {_ms(lower_median(others))}" if others else ""
    # "or more": a sample counts as a few times the average at most, and an attempt that lost to a hedge only
    # with the time until then.
    return f"slow: about {_latency(key, evidence)} or more{beside}"


def _misses_goal(key: str, evidence: Evidence) -> str:
    goal = _ms(evidence.policy.latency_goal_ms)
    return f"slow: about {_latency(key, evidence)} or more, the goal is {goal}"


def _fails(key: str, evidence: Evidence) -> str:
    share, _ = failure_share(evidence.seen(key), evidence.now)
    return f"errors: {share:.0%} of its attempts lately"


def _loaded(key: str, evidence: Evidence) -> str:
    def load(one: Traffic) -> float:
        return quality.recent_load(one, evidence.now)

    least = min(evidence.others(key, load), default=0.0)
    return f"loaded: its agent reports a load of {load(evidence.seen(key)):.1f}, others {least:.1f}"


def _expensive(key: str, evidence: Evidence) -> str:
    prices = evidence.known.prices
    cheapest = min(prices[one.key] for one in evidence.candidates)
    return f"price: {prices[key]:g} USD per million requests, others {cheapest:g}"


def _latency(key: str, evidence: Evidence) -> str:
    return _ms(expected_ms(evidence.seen(key), evidence.now))


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 1 else "1 ms"
