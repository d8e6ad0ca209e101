"""What traffic teaches about targets: a quality for each, and the part of the requests that follows from it.

Rules of `adaptive`: desired part = weight x health's share x quality, where the share of a target that `gray`
eases off counts as whole: its quality says the same. Quality is a product, 1 at best:
- latency: 1 as long as it is like that of the best (at most half as slow again, and 10 ms; with heavy tails
  up to two and a half times), beyond that it falls with the cube of the distance. The best is the fastest
  tenth, so that among hundreds the luckiest estimate does not make all others look slow. Fewer than three
  samples count for less, and so do old ones (half after `baseline_s`); none count as good.
- success: (1 - share of failures) to the eighth, counting one good outcome beforehand: an error costs a whole
  attempt.
- load, as agents report it: beyond one and a half times the least, its square root; it only leads latency.
- price: square root of the ratio to the cheapest, where a price counts as higher the worse its target is. So
  it decides among likes and nothing among others.
A quality falls at once and doubles at most every `regain_s`.

Rules of `cost`: from the cheapest up, each takes what its share allows and its latency deserves: all of it
within `latency_goal_ms`, nothing beyond a fifth more. What is left goes to the fastest.

In both nobody falls below `FLOOR` of the requests (or its whole part, if that is less), so every recovery
is seen by real traffic; where traffic is too rare for that, what was bad fades (`fade_s`).

Theory. Many instances that see the same thing do the same thing, so what is full drives them all away
and what is empty calls them all back. Falling at once, rising slowly and ignoring small differences settle
such a loop as they do in TCP: the response to a latency is bounded (-3 in logarithms), the way back is slower
than the way of the evidence, and within the band nothing moves at all. Constant inputs give constant parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from router.core.balance.metrics import NOTHING, Traffic, expected_ms, failure_share, lower_median
from router.core.balance.strategies import Candidate
from router.core.policy import Policy
from skyfleet.values import frozen

# One request in 128: below the hundredth that a p99 looks at, enough to notice a recovery within seconds
# (docs/benchmarks/plots/floor.svg).
MIN_SHARE: Final = 1 / 128
# Up to so many targets have that floor each; more share what these would have, or floors would be the most.
_MOST_MIN_SHARES: Final = 4
# Network distances between neighbouring regions, a busy processor and the noise of a short average: likes.
_COMPARABLE, _SLACK_MS = 1.5, 10.0
# Of lognormal replies up to a sigma of 0.5 the averages of likes stay within the band; with 1.0 they are
# twice as far apart. That tail's one in twenty is at three times the mean; 0.7 of it leaves the others alone.
_TAIL, _COMPARABLE_MOST = 0.7, 2.5
# Twice as slow keeps two fifths, ten times as slow a 300th, which is below the floor
# (docs/benchmarks/plots/steep.svg).
_STEEP, _TEN = 3, 10.0
_FULL_EVIDENCE: Final = 3
_LEAST_PART: Final = 1e-9
# Keeps ratios finite where something is free, in USD per million requests.
_CENT: Final = 0.01


@frozen
class Known:
    """What is known of the targets, by key. prices: USD per million requests."""

    traffic: Mapping[str, Traffic]
    prices: Mapping[str, float]


@frozen
class Factors:
    """What a quality is the product of, each from 0 to 1. latency: with `cost`, how its goal is met."""

    latency: float = 1.0
    success: float = 1.0
    load: float = 1.0
    price: float = 1.0

    @property
    def quality(self) -> float:
        """Their product."""
        return self.latency * self.success * self.load * self.price


def qualities(
    candidates: Sequence[Candidate], known: Known, now: float, policy: Policy
) -> dict[str, Factors]:
    """The quality of each candidate for `adaptive`, as its metrics stand now."""
    seen = {one.key: known.traffic.get(one.key, NOTHING) for one in candidates}
    expected = {key: expected_ms(one, now, policy) for key, one in seen.items()}
    timed = sorted(ms for ms in expected.values() if ms >= 0)
    like, steep = _comparability(seen.values())
    like_ms = like * timed[len(timed) // 10] + _SLACK_MS if timed else 0.0
    loads = {key: 1 + recent_load(one, now, policy) for key, one in seen.items()}
    like_load = _COMPARABLE * min(loads.values())
    found: dict[str, Factors] = {}
    for key, one in seen.items():
        latency = 1.0
        if expected[key] > like_ms:
            age = max(0.0, now - one.timed_at)
            evidence = min(1.0, one.samples / _FULL_EVIDENCE) * 0.5 ** (age / policy.baseline_s)
            latency = (like_ms / expected[key]) ** (steep * evidence)
        load = (like_load / loads[key]) ** 0.5 if loads[key] > like_load else 1.0
        found[key] = Factors(latency, success(one, now, policy), load)
    prices = {key: known.prices[key] + _CENT for key in found}
    cheapest = min(prices[key] / max(one.quality, MIN_SHARE) for key, one in found.items())
    return {
        key: one
        if prices[key] <= cheapest
        else Factors(one.latency, one.success, one.load, (cheapest / prices[key]) ** 0.5)
        for key, one in found.items()
    }


def _comparability(seen: Iterable[Traffic]) -> tuple[float, float]:
    """How many times the best's latency is still like it, and the exponent beyond.

    What a short average does by chance grows with the tail of the replies. The lower median, so that one
    whose replies are torn apart by a fault does not excuse itself. Who is ten times as slow keeps the same,
    whatever the tails."""
    tails = [one.p95_ms / max(one.usual_ms, 1.0) for one in seen if one.samples]
    if not tails:
        return _COMPARABLE, _STEEP
    like = min(max(_COMPARABLE, _TAIL * lower_median(tails)), _COMPARABLE_MOST)
    return like, _STEEP * math.log(_TEN / _COMPARABLE) / math.log(_TEN / like)


def meets_goal(
    candidates: Sequence[Candidate], known: Known, now: float, policy: Policy
) -> dict[str, Factors]:
    """How each candidate meets the goal of `cost`: 1 within it, 0 beyond a fifth more; and its success."""
    found: dict[str, Factors] = {}
    for key, ms in _remembered(candidates, known, now, policy).items():
        goal = min(1.0, max(0.0, 6 - 5 * ms / policy.latency_goal_ms))
        found[key] = Factors(goal, success(known.traffic.get(key, NOTHING), now, policy))
    return found


def success(traffic: Traffic, now: float, policy: Policy) -> float:
    """What its failures leave of a target: 1 without any."""
    share, _ = failure_share(traffic, now, policy)
    if not share:
        return 1.0
    # The evidence of rare traffic would be gone with `memory_s` before the next request; this fades as slowly
    # as a bad latency does.
    evidence = traffic.outcomes * 0.5 ** (max(0.0, now - traffic.at) / policy.fade_s)
    return (1 - share * evidence / (evidence + 1)) ** 8


def recent_load(traffic: Traffic, now: float, policy: Policy) -> float:
    """The load that an agent reported, less the older it is."""
    if traffic.load <= 0:
        return 0.0
    return traffic.load * 0.5 ** (max(0.0, now - traffic.at) / policy.memory_s)


def settled(
    before: Mapping[str, float], after: Mapping[str, float], elapsed: float, policy: Policy
) -> dict[str, float]:
    """Qualities that fall at once and rise slowly. elapsed: seconds since `before`."""
    growth = 2.0 ** min(max(0.0, elapsed) / policy.regain_s, 60.0)
    return {
        key: min(quality, max(before[key], MIN_SHARE) * growth) if key in before else quality
        for key, quality in after.items()
    }


def ranking(candidates: Sequence[Candidate], known: Known, now: float, policy: Policy) -> tuple[str, ...]:
    """The keys as `cost` goes through them when it repeats: who meets the goal by price, then the fastest."""
    good = {key: one.quality for key, one in meets_goal(candidates, known, now, policy).items()}
    slow = slowness(candidates, known, now, policy)
    return tuple(
        sorted(
            good, key=lambda key: (not good[key], known.prices[key] if good[key] else slow[key], slow[key])
        )
    )


def slowness(candidates: Sequence[Candidate], known: Known, now: float, policy: Policy) -> dict[str, float]:
    """Expected milliseconds of a good reply, its failures counted in. Who is not known yet counts as a
    little better than the best, so that it is tried; when nobody is known, all are equal."""
    found: dict[str, float] = {}
    for key, ms in _remembered(candidates, known, now, policy).items():
        found[key] = ms / max(MIN_SHARE, success(known.traffic.get(key, NOTHING), now, policy))
    timed = [ms for ms in found.values() if ms >= 0]
    unknown = 0.9 * min(timed, default=1.0)
    # A latency of 0 times any number in flight would be 0.
    return {key: max(ms, 0.001) if ms >= 0 else unknown for key, ms in found.items()}


def _remembered(
    candidates: Sequence[Candidate], known: Known, now: float, policy: Policy
) -> dict[str, float]:
    """Expected milliseconds; -1: nothing is known. Who was slow from the start has no better baseline to fade
    to: after `baseline_s` without a latency it fades to the fastest, or it would never be tried again."""
    seen = {one.key: known.traffic.get(one.key, NOTHING) for one in candidates}
    found = {key: expected_ms(one, now, policy) for key, one in seen.items()}
    best = min((ms for ms in found.values() if ms >= 0), default=0.0)
    for key, ms in found.items():
        unheard = now - seen[key].timed_at - policy.baseline_s
        if unheard > 0 and ms > best:
            found[key] = best + (ms - best) * 0.5 ** (unheard / policy.fade_s)
    return found


def shares(candidates: Sequence[Candidate], learned: Mapping[str, float]) -> list[float]:
    """The part of the requests that each candidate should have, by `adaptive`; their sum is any number."""
    allowed = base_weights(candidates)
    return _with_min_share(
        [part * learned[one.key] for one, part in zip(candidates, allowed, strict=True)], allowed
    )


def cost_shares(
    candidates: Sequence[Candidate], learned: Mapping[str, float], prices: Mapping[str, float], fastest: str
) -> list[float]:
    """The same by `cost`. learned: how each meets the goal. fastest: who takes what is left."""
    allowed = dict(zip((one.key for one in candidates), base_weights(candidates), strict=True))
    whole = {one.key: allowed[one.key] / one.share for one in candidates}
    taken = dict.fromkeys(allowed, 0.0)
    left = 1.0
    for price in sorted({prices[key] for key in allowed}):
        group = [key for key in allowed if prices[key] == price]
        weight = sum(whole[key] for key in group)
        for key in group:
            taken[key] = left * allowed[key] * learned[key] / weight
        left = max(0.0, left - sum(taken[key] for key in group))
    taken[fastest] += left
    return _with_min_share(list(taken.values()), list(allowed.values()))


def base_weights(candidates: Sequence[Candidate]) -> list[float]:
    """Weight times share, the largest as 1 and none below a billionth, so that all arithmetic with them is
    sound; standbys among themselves count as equal."""
    weighted = any(one.weight for one in candidates)
    found = [one.weight * one.share if weighted else one.share for one in candidates]
    # The product of the least float and a share is nothing; all are as good as equal then.
    most = max(found) or 1.0
    return [max(one / most, _LEAST_PART) for one in found]


def _with_min_share(wanted: list[float], allowed: list[float]) -> list[float]:
    least = sum(wanted) * MIN_SHARE * min(1.0, _MOST_MIN_SHARES / len(wanted))
    scale = sum(wanted) / sum(allowed)
    return [max(part, min(least, most * scale)) for part, most in zip(wanted, allowed, strict=True)]
