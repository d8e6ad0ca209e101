"""Says in words why a target gets little: what `adaptive` and `cost` learned of it.

The rule of this file: nothing is decided here. Each factor is what `router.core.balance.quality` makes of the
evidence when all other evidence is taken away, so words and turns cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from router.core.balance import quality
from router.core.balance.metrics import NOTHING, Traffic, expected_ms, failure_share
from router.core.balance.quality import Known
from router.core.balance.strategies import Candidate, Strategy
from router.core.median import lower_median
from router.core.policy import Policy
from skyfleet.values import frozen

# Less than this part of what its weight would give is worth a word: smaller differences are everyday.
_LITTLE: Final = 0.5
# A factor nearer to 1 explains nothing.
_TELLING: Final = 0.9
_AGAIN: Final = "it was worse until now; its part grows back within seconds"


@frozen
class Evidence:
    """What the words are made from. now: unix seconds."""

    candidates: Sequence[Candidate]
    known: Known
    now: float
    policy: Policy

    def seen(self, key: str) -> Traffic:
        return self.known.traffic.get(key, NOTHING)

    def others(self, key: str, value: Callable[[Traffic], float]) -> list[float]:
        """Of the other candidates, what is known of it."""
        found = (value(self.seen(one.key)) for one in self.candidates if one.key != key)
        return [one for one in found if one >= 0]


def learned(strategy: Strategy, evidence: Evidence, shares: Mapping[str, float]) -> dict[str, str]:
    """Why a target's part of the turns is far below what its weight and health would give, by key; those with
    about their part are left out, and so are strategies whose turns learn nothing."""
    candidates = [one for one in evidence.candidates if one.weight] or list(evidence.candidates)
    if strategy not in (Strategy.ADAPTIVE, Strategy.COST) or len(candidates) < 2:
        return {}
    if strategy is Strategy.ADAPTIVE:  # as its roster has it: what eases a target off is in its quality
        candidates = [replace(one, share=1.0) if one.derated else one for one in candidates]
    evidence = replace(evidence, candidates=candidates)
    allowed = quality.base_weights(candidates)
    fair = {one.key: part / sum(allowed) for one, part in zip(candidates, allowed, strict=True)}
    little = [key for key, part in fair.items() if shares.get(key, 0.0) < _LITTLE * part]
    if not little:
        return {}
    factors = _factors(evidence) if strategy is Strategy.ADAPTIVE else _cost_factors(evidence)
    return {key: _word(key, factors, evidence) for key in little}


# What the words of a factor are made by: key, evidence -> text.
_Text = Callable[[str, Evidence], str]
_Factors = list[tuple[_Text, dict[str, float]]]


def _factors(evidence: Evidence) -> _Factors:
    """The four of `adaptive`: each quality as if nothing else were known."""
    traffic = evidence.known.traffic
    alike = dict.fromkeys(evidence.known.prices, 0.0)
    timed = {key: replace(one, outcomes=0.0, failures=0.0, load=-1.0) for key, one in traffic.items()}
    loaded = {key: replace(NOTHING, at=one.at, load=one.load) for key, one in traffic.items()}
    return [
        (_slow, _qualities(evidence, Known(timed, alike))),
        (_fails, _successes(evidence)),
        (_loaded, _qualities(evidence, Known(loaded, alike))),
        (_expensive, _qualities(evidence, Known({}, evidence.known.prices))),
    ]


def _cost_factors(evidence: Evidence) -> _Factors:
    """Those of `cost`: the goal, failures, and that cheaper ones do."""
    timed = {key: replace(one, outcomes=0.0, failures=0.0) for key, one in evidence.known.traffic.items()}
    known = Known(timed, evidence.known.prices)
    good = quality.meets_goal(evidence.candidates, known, evidence.now, evidence.policy)
    cheapest = min(evidence.known.prices[one.key] for one in evidence.candidates)
    dear = {one.key: 0.0 if evidence.known.prices[one.key] > cheapest else 1.0 for one in evidence.candidates}
    return [(_misses_goal, good), (_fails, _successes(evidence)), (_expensive, dear)]


def _qualities(evidence: Evidence, known: Known) -> dict[str, float]:
    return quality.qualities(evidence.candidates, known, evidence.now, evidence.policy)


def _successes(evidence: Evidence) -> dict[str, float]:
    return {
        one.key: quality.success(evidence.seen(one.key), evidence.now, evidence.policy)
        for one in evidence.candidates
    }


def _word(key: str, factors: _Factors, evidence: Evidence) -> str:
    """Of the factor that costs it most; of two alike the first."""
    text, found = min(factors, key=lambda factor: factor[1][key])
    return text(key, evidence) if found[key] < _TELLING else _AGAIN


def _slow(key: str, evidence: Evidence) -> str:
    others = evidence.others(key, lambda one: expected_ms(one, evidence.now, evidence.policy))
    beside = f", others {_ms(lower_median(others))}" if others else ""
    # "or more": a sample counts as a few times the average at most, and who was overtaken by a hedge only
    # with the time until then.
    return f"slow: about {_latency(key, evidence)} or more{beside}"


def _misses_goal(key: str, evidence: Evidence) -> str:
    return (
        f"slow: about {_latency(key, evidence)} or more, the goal is {_ms(evidence.policy.latency_goal_ms)}"
    )


def _fails(key: str, evidence: Evidence) -> str:
    share, _ = failure_share(evidence.seen(key), evidence.now, evidence.policy)
    return f"errors: {share:.0%} of its attempts lately"


def _loaded(key: str, evidence: Evidence) -> str:
    def load(one: Traffic) -> float:
        return quality.recent_load(one, evidence.now, evidence.policy)

    least = min(evidence.others(key, load), default=0.0)
    return f"busy: its agent reports a load of {load(evidence.seen(key)):.1f}, others {least:.1f}"


def _expensive(key: str, evidence: Evidence) -> str:
    prices = evidence.known.prices
    cheapest = min(prices[one.key] for one in evidence.candidates)
    return f"price: {prices[key]:g} USD per million requests, others {cheapest:g}"


def _latency(key: str, evidence: Evidence) -> str:
    return _ms(expected_ms(evidence.seen(key), evidence.now, evidence.policy))


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 1 else "1 ms"
