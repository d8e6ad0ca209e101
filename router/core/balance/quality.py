"""Learned quality of targets, and the shares of requests that follow from it.

Rules of `adaptive`: wanted share = weight x health's share x quality. Health's share of a derated target
counts as 1, since quality has the same evidence. Quality is a product, 1 at best:
- latency: 1 within a band above the best target, then falling with the cube of the ratio. The band is half as
  slow again plus 10 ms, and up to two and a half times with heavy tails. The best is the fastest tenth, so
  one lucky estimate among hundreds does not make all others look slow. Fewer than three samples count for
  less, and so do old ones (half after `BASELINE_S`); a target without samples counts as good.
- success: (1 - share of failures) to the eighth, with one success assumed beforehand. An error costs a whole
  attempt.
- load, as agents report it: the square root of the ratio beyond one and a half times the least load. It only
  anticipates latency.
- price: the square root of the ratio to the cheapest price per quality. Price therefore breaks ties between
  comparable targets and has little effect otherwise.
A quality falls at once and at most doubles every `REGAIN_S`. Fast replies in a row of a target that was slow
allow a part at once (`_AT_ONCE`): at the smallest share the next reply, which shows more, takes seconds.

Rules of `cost`: targets take requests from the cheapest up. Each takes what its share and its latency allow:
all of it within `latency_goal_ms`, none beyond a fifth more. The fastest takes the remainder.

In both, each target keeps at least `MIN_SHARE` of the requests (or its base weight, if that is less), so real
requests notice every recovery. Where traffic is too rare for that, bad evidence fades (`FADE_S`).

Theory. Instances that see the same evidence act alike, so a full target would lose all of them at once and an
empty one would attract all of them. As in TCP, falling at once, rising slowly and ignoring small differences
make this loop stable. The response to latency is bounded (-3 in logarithms), qualities rise more slowly than
evidence arrives, and nothing moves within the band. Constant inputs give constant shares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from router.core.balance import metrics
from router.core.balance.metrics import NOTHING, Traffic, expected_ms, failure_share, lower_median
from router.core.balance.strategies import Candidate
from router.core.policy import Policy
from skyfleet.values import frozen

# One request in 128: below the hundredth that a p99 looks at, enough to notice a recovery within seconds
# (docs/benchmarks/plots/min-share.svg).
MIN_SHARE: Final = 1 / 128
# Up to so many targets have that minimum each; more targets share the sum of these minima.
_MOST_MIN_SHARES: Final = 4
# Targets within this band are comparable: near regions, a busy processor and the noise of a short average.
_COMPARABLE, _SLACK_MS = 1.5, 10.0
# With lognormal replies up to a sigma of 0.5 averages of equal targets stay within the band; with 1.0 they
# are twice as far apart. The p95 of that tail is three times the mean; 0.7 of it does not widen the band of
# others.
_TAIL, _COMPARABLE_MOST = 0.7, 2.5
# Twice as slow keeps two fifths, ten times as slow a 300th, which is below the floor
# (docs/benchmarks/plots/steep.svg).
_STEEP, _TEN = 3, 10.0
# A quality at most doubles in this time: from the minimum to 1 in about three seconds. That is slower
# than evidence arrives, so the instances together do not overload a target that has just recovered
# (docs/benchmarks/plots/regain.svg).
REGAIN_S: Final = 0.5
# What so many fast replies in a row allow at once. Three are as good as a successful check after an absence,
# which allows six tenths (`router.core.health.recovery`). With more after the first one, twenty instances
# swing about what a crowded target can carry (tests/router/core/balance/test_quality.py).
_AT_ONCE: Final = (0.0, 0.1, 0.3, 0.6)
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
    """The factors of a quality, each from 0 to 1. latency: with `cost`, how the target meets its goal."""

    latency: float = 1.0
    success: float = 1.0
    load: float = 1.0
    price: float = 1.0

    @property
    def quality(self) -> float:
        """Their product."""
        return self.latency * self.success * self.load * self.price


def qualities(candidates: Sequence[Candidate], known: Known, now: float) -> dict[str, Factors]:
    """The quality of each candidate for `adaptive`, as its metrics stand now."""
    seen = {one.key: known.traffic.get(one.key, NOTHING) for one in candidates}
    expected = {key: expected_ms(one, now) for key, one in seen.items()}
    timed = sorted(ms for ms in expected.values() if ms >= 0)
    like, steep = _comparability(seen.values())
    like_ms = like * timed[len(timed) // 10] + _SLACK_MS if timed else 0.0
    loads = {key: 1 + recent_load(one, now) for key, one in seen.items()}
    like_load = _COMPARABLE * min(loads.values())
    found: dict[str, Factors] = {}
    for key, one in seen.items():
        latency = 1.0
        if expected[key] > like_ms:
            age = max(0.0, now - one.timed_at)
            evidence = min(1.0, one.samples / _FULL_EVIDENCE) * 0.5 ** (age / metrics.BASELINE_S)
            latency = (like_ms / expected[key]) ** (steep * evidence)
        load = (like_load / loads[key]) ** 0.5 if loads[key] > like_load else 1.0
        found[key] = Factors(latency, success(one, now), load)
    prices = {key: known.prices[key] + _CENT for key in found}
    cheapest = min(prices[key] / max(one.quality, MIN_SHARE) for key, one in found.items())
    return {
        key: one
        if prices[key] <= cheapest
        else Factors(one.latency, one.success, one.load, (cheapest / prices[key]) ** 0.5)
        for key, one in found.items()
    }


def _comparability(seen: Iterable[Traffic]) -> tuple[float, float]:
    """The ratio to the best latency up to which a target is comparable, and the exponent beyond.

    The noise of a short average grows with the tail of the replies. The lower median of the tails keeps a
    target whose replies a fault scatters from widening its own band. A target ten times as slow has the same
    quality with every tail."""
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
    for key, ms in _remembered(candidates, known, now).items():
        goal = min(1.0, max(0.0, 6 - 5 * ms / policy.latency_goal_ms))
        found[key] = Factors(goal, success(known.traffic.get(key, NOTHING), now))
    return found


def success(traffic: Traffic, now: float) -> float:
    """The success factor of a target: 1 without failures."""
    share, _ = failure_share(traffic, now)
    if not share:
        return 1.0
    # The evidence of rare traffic would be gone with `MEMORY_S` before the next request; this fades as slowly
    # as a bad latency does.
    evidence = traffic.outcomes * 0.5 ** (max(0.0, now - traffic.at) / metrics.FADE_S)
    return (1 - share * evidence / (evidence + 1)) ** 8


def recent_load(traffic: Traffic, now: float) -> float:
    """The load that an agent reported, decayed by its age."""
    if traffic.load <= 0:
        return 0.0
    return traffic.load * 0.5 ** (max(0.0, now - traffic.at) / metrics.MEMORY_S)


def settled(
    before: Mapping[str, float],
    after: Mapping[str, float],
    elapsed: float,
    traffic: Mapping[str, Traffic],
) -> dict[str, float]:
    """Qualities that fall at once and rise slowly. elapsed: seconds since `before`. traffic: fast replies
    in a row allow more."""
    growth = 2.0 ** min(max(0.0, elapsed) / REGAIN_S, 60.0)
    found: dict[str, float] = {}
    for key, quality in after.items():
        if key in before:
            at_once = _AT_ONCE[traffic.get(key, NOTHING).fast_streak]
            found[key] = min(quality, max(max(before[key], MIN_SHARE) * growth, at_once))
        else:
            found[key] = quality
    return found


def ranking(candidates: Sequence[Candidate], known: Known, now: float, policy: Policy) -> tuple[str, ...]:
    """The order of `cost` for retries: targets that meet the goal by price, then the others by latency."""
    good = {key: one.quality for key, one in meets_goal(candidates, known, now, policy).items()}
    slow = slowness(candidates, known, now)
    return tuple(
        sorted(
            good, key=lambda key: (not good[key], known.prices[key] if good[key] else slow[key], slow[key])
        )
    )


def slowness(candidates: Sequence[Candidate], known: Known, now: float) -> dict[str, float]:
    """Expected milliseconds until a good reply, failed attempts included.

    A target without samples counts as a little better than the best, so that it is tried. Without any samples
    all targets are equal."""
    found: dict[str, float] = {}
    for key, ms in _remembered(candidates, known, now).items():
        found[key] = ms / max(MIN_SHARE, success(known.traffic.get(key, NOTHING), now))
    timed = [ms for ms in found.values() if ms >= 0]
    unknown = 0.9 * min(timed, default=1.0)
    # A latency of 0 times any number in flight would be 0.
    return {key: max(ms, 0.001) if ms >= 0 else unknown for key, ms in found.items()}


def _remembered(candidates: Sequence[Candidate], known: Known, now: float) -> dict[str, float]:
    """Expected milliseconds; -1: nothing is known.

    A target that was slow from the start has no better baseline. After `BASELINE_S` without a sample its
    latency fades to the fastest one, so that it is tried again."""
    seen = {one.key: known.traffic.get(one.key, NOTHING) for one in candidates}
    found = {key: expected_ms(one, now) for key, one in seen.items()}
    best = min((ms for ms in found.values() if ms >= 0), default=0.0)
    for key, ms in found.items():
        unheard = now - seen[key].timed_at - metrics.BASELINE_S
        if unheard > 0 and ms > best:
            found[key] = best + (ms - best) * 0.5 ** (unheard / metrics.FADE_S)
    return found


def shares(candidates: Sequence[Candidate], learned: Mapping[str, float]) -> list[float]:
    """The share of each candidate by `adaptive`; the sum is any number."""
    allowed = base_weights(candidates)
    return _with_min_share(
        [part * learned[one.key] for one, part in zip(candidates, allowed, strict=True)], allowed
    )


def cost_shares(
    candidates: Sequence[Candidate], learned: Mapping[str, float], prices: Mapping[str, float], fastest: str
) -> list[float]:
    """The share of each candidate by `cost`. learned: how each meets the goal. fastest: takes the rest."""
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
    """Weight times health's share, scaled to a largest value of 1, none below a billionth.

    Standbys among themselves count as equal."""
    weighted = any(one.weight for one in candidates)
    found = [one.weight * one.share if weighted else one.share for one in candidates]
    # The product of the least float and a share is nothing; all are as good as equal then.
    most = max(found) or 1.0
    return [max(one / most, _LEAST_PART) for one in found]


def _with_min_share(wanted: list[float], allowed: list[float]) -> list[float]:
    least = sum(wanted) * MIN_SHARE * min(1.0, _MOST_MIN_SHARES / len(wanted))
    scale = sum(wanted) / sum(allowed)
    return [max(part, min(least, most * scale)) for part, most in zip(wanted, allowed, strict=True)]
