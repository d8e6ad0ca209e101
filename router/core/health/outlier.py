"""Outlier detection: a target that passes its probes but is slow or fails for real traffic, and its derating.

Rules
- The evidence is this instance's own traffic, counted in requests and not in seconds: it weighs the same at
  one request a second and at a thousand.
- Errors and slowness are two sequential tests (A. Wald, 1945). Each outcome moves a score between 0 (good)
  and 1 (bad); between them the test is open.
- Errors: a failure is evidence for the share `ERRORS_BAD` against `ERRORS_FINE`, a success against it. One
  failure never suffices, and a share below about the middle of both never adds up.
- Slowness: the average is over `TIMES` the target's usual (`TIMES_FAR` if it is usually slower than the
  others) and over `PEERS` times the others, by `GAP_MS` or more. For a target that was slow from the start:
  over `SLOW_TIMES` the others by `SLOW_MS`, which no distance between regions explains. `SLOW_REQUESTS` such
  requests end the test.
- A target must be worse than the others, or the cause may be common. The others are the serving targets with
  traffic, represented by their lower median: with two others the better one, so two bad targets of three are
  both found. Without others there is no verdict, so the last target is never derated.
- Derating halves the share in steps down to `FLOOR`. Each step is a test of its own that begins in the
  middle (0.5): bad halves again, good doubles. A step up needs less evidence the smaller the share is,
  because an error costs less: two fast replies at the floor, ten for the last step.
- Ten times `BACK_S` without evidence doubles the share, too: a target without traffic has no evidence.
- A relapse after a step up lengthens the wait before each next step up, at most to the cap of ejections.

Theory. With h = `PROOF`, a target with the true share of errors `ERRORS_FINE` is called bad by chance once in
about e^h excursions of its score; at 2 % of errors once in e^(1.6 h). Averages of latency are capped per
sample (`router.core.balance.metrics`), so one slow reply, however slow, never suffices.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

from router.core.balance import metrics
from router.core.balance.metrics import NOTHING, Traffic, expected_ms
from router.core.policy import EJECTION_CAP_S
from skyfleet.values import frozen

# The least share of a derated target: with three targets below 1 % of the requests, so that it does not
# decide the p99, and at 50 requests a second still one each four seconds to notice recovery
# (docs/benchmarks/plots/derating-floor.svg).
FLOOR: Final = 1 / 64
# The least time between two steps: from full to the floor within 12 s
# (docs/benchmarks/plots/derating-step.svg), and back within 12 s of good evidence
# (docs/benchmarks/plots/derating-back.svg).
STEP_S: Final = 2.0
BACK_S: Final = 2.0
# Shares of errors that the test tells apart; what is between them counts neither way for long.
ERRORS_FINE: Final = 0.05
ERRORS_BAD: Final = 0.35
# Evidence as a logarithm of odds: 3,000 to 1. A third of errors is seen within about 25 requests
# (docs/benchmarks/plots/outlier-proof.svg).
PROOF: Final = 8.0
# Slow: times its own usual, times the others, and by so much. Below the tenfold that faults bring, and
# above what queues and heavy tails do to an average: it derates no target of thousands of healthy fleets
# (tests/router/core/health/test_outlier.py). Where the others are no measure, as they are near and it is
# far, its own usual latency alone decides. A heavy tail (lognormal, sigma 1) whose first replies were
# fast needs a factor of six there.
# See docs/benchmarks/plots/outlier-times.svg.
TIMES: Final = 5.0
TIMES_FAR: Final = 6.0
PEERS: Final = 3.0
GAP_MS: Final = 50.0
# Slow from the start: no way around the Earth explains a second.
SLOW_TIMES: Final = 5.0
SLOW_MS: Final = 1000.0
# An average of fewer is no average; and how many requests at a slow average make it an answer
# (docs/benchmarks/plots/outlier-slow-requests.svg).
SAMPLES: Final = 10
SLOW_REQUESTS: Final = 20
# How many requests one call of `after_traffic` may add to the test of slowness, since they share one average.
_MOST_A_CALL: Final = 8
# The decayed count of failures below which no test begins.
_SOME: Final = 0.5
_MIDDLE: Final = 0.5
# What a failure and a success add to the evidence.
_FAILED: Final = math.log(ERRORS_BAD / ERRORS_FINE)
_SUCCEEDED: Final = math.log((1 - ERRORS_FINE) / (1 - ERRORS_BAD))
# How many times as long a step up takes without evidence.
_UNHEARD: Final = 10


class Conclusion(Enum):
    """The result of the tests of a target."""

    BAD = auto()
    GOOD = auto()
    UNSURE = auto()


@frozen
class SequentialTest:
    """The tests of one target. at, outcomes, failures: how far its traffic has been counted. errors, slow:
    scores from 0 (good) to 1 (bad)."""

    at: float
    outcomes: float
    failures: float
    errors: float = 0.0
    slow: float = 0.0


@frozen
class Derating:
    """The derating of a target: its share is halved `steps` times. moved_at: unix s. risen: the last step was
    up."""

    steps: int = 0
    moved_at: float = 0.0
    risen: bool = False
    relapses: int = 0


@frozen
class Verdict:
    """The conclusion from a target's tests and, when it is bad, why."""

    conclusion: Conclusion
    why: str = ""


FULL: Final = Derating()


def share(derating: Derating) -> float:
    """The fraction of the weight that derating leaves."""
    return max(FLOOR, 0.5**derating.steps)


def first_step(last: Derating, current: float, now: float) -> Derating:
    """The first step down, to half of the `current` share or less. last: from the time before."""
    steps = 1
    while 0.5**steps > current / 2 and 0.5**steps > FLOOR:
        steps += 1
    lately = 0 <= now - last.moved_at <= EJECTION_CAP_S
    return Derating(steps, now, relapses=last.relapses + 1 if lately and last.moved_at else 0)


def next_step(derating: Derating, conclusion: Conclusion, now: float) -> Derating:
    """One step further down or up when it is due; else the same object."""
    age = now - derating.moved_at if now >= derating.moved_at else math.inf
    if conclusion is Conclusion.BAD:
        if age < STEP_S:
            return derating
        lowest = 0.5**derating.steps <= FLOOR
        return Derating(
            derating.steps if lowest else derating.steps + 1, now, relapses=derating.relapses + derating.risen
        )
    patience = BACK_S * (1 + derating.relapses) * (1 if conclusion is Conclusion.GOOD else _UNHEARD)
    if age < min(patience, EJECTION_CAP_S):
        return derating
    return Derating(derating.steps - 1, now, risen=True, relapses=derating.relapses)


def new_test(seen: Traffic) -> SequentialTest:
    """The tests of the next step, from the middle."""
    return SequentialTest(seen.at, seen.outcomes, seen.failures, _MIDDLE, _MIDDLE)


def after_traffic(
    keys: Sequence[str],
    traffic: Mapping[str, Traffic],
    tests: Mapping[str, SequentialTest],
    now: float,
    derated: Mapping[str, int] | None = None,
) -> tuple[Mapping[str, SequentialTest], Mapping[str, Verdict]]:
    """Add new traffic of the serving targets `keys` to their tests.

    derated: the derated targets and their steps; their tests stay open. Returns the open tests (the same
    object if nothing changed) and the verdict on each target that has one.
    """
    derated = derated or {}
    others = _Others(keys, traffic, now)
    after: dict[str, SequentialTest] = {}
    for key in keys:
        seen, known = traffic.get(key, NOTHING), tests.get(key)
        if known is None and key in derated:
            known = new_test(seen)
        test = _test_after(known, seen, others.pace(key))
        if test is not None and (key in derated or not _over(test, seen)):
            after[key] = test
    if not after:
        return after if tests else tests, {}
    others.learn_errors(after)
    verdicts = {key: others.verdict(key, test, derated.get(key, 0)) for key, test in after.items()}
    return (tests if after == tests else after), verdicts


def _test_after(known: SequentialTest | None, seen: Traffic, slow: bool | None) -> SequentialTest | None:
    """The tests of a target after its newest traffic. slow: None between slow and fast."""
    if known is None:
        if seen.failures < _SOME and slow is not True:
            return None
        known, outcomes, failures = SequentialTest(seen.at, 0, 0), seen.outcomes, seen.failures
    else:
        kept = 0.5 ** (max(0.0, seen.at - known.at) / metrics.MEMORY_S)
        outcomes = max(0, round(seen.outcomes - known.outcomes * kept))
        failures = min(outcomes, max(0, round(seen.failures - known.failures * kept)))
        if seen.at == known.at and not outcomes:
            return known
    against = failures * _FAILED - (outcomes - failures) * _SUCCEEDED
    # A sample without an outcome is the latency of an attempt that was lost to a hedge.
    votes = 0.0 if slow is None else min(max(outcomes, 1), _MOST_A_CALL) * (1 if slow else -1)
    return SequentialTest(
        seen.at,
        seen.outcomes,
        seen.failures,
        _within(known.errors + against / PROOF),
        _within(known.slow + votes / SLOW_REQUESTS),
    )


def _over(test: SequentialTest, seen: Traffic) -> bool:
    """Whether a test may end: both scores are 0, and no failure was counted lately."""
    return test.errors == test.slow == 0 and seen.failures < _SOME


class _Others:
    """The other serving targets: each test compares one target with them."""

    def __init__(self, keys: Sequence[str], traffic: Mapping[str, Traffic], now: float) -> None:
        self._keys, self._traffic = keys, traffic
        self._expected = {
            key: expected_ms(seen, now)
            for key in keys
            if (seen := traffic.get(key, NOTHING)).samples >= SAMPLES
        }
        self._paces = sorted(self._expected.values())
        self._parts: dict[str, float] = {}
        self._sorted_parts: list[float] = []
        self._sorted_errors: list[float] = []

    def pace(self, key: str) -> bool | None:
        """Slow, fast, or neither."""
        if key not in self._expected:
            return None
        own, usual = self._traffic[key].latency_ms, self._traffic[key].usual_ms
        if own <= usual * TIMES / 2 and own < SLOW_MS:
            return False
        rest = self._rest(key)
        if rest is None:
            return None
        gap, times = own - rest, own / max(rest, 1.0)
        alike = usual <= 2 * rest
        grown = own > usual * (TIMES if alike else TIMES_FAR)
        changed = grown and times > PEERS and gap >= GAP_MS
        if changed or (times > SLOW_TIMES and gap >= SLOW_MS):
            return True
        fast = own <= usual * TIMES / 2 and times <= SLOW_TIMES / 2
        return False if fast or times <= PEERS / 2 else None

    def learn_errors(self, tests: Mapping[str, SequentialTest]) -> None:
        """Prepare for verdicts on these tests."""
        for key in self._keys:
            seen = self._traffic.get(key, NOTHING)
            if seen.outcomes:
                self._parts[key] = seen.failures / seen.outcomes
        self._sorted_parts = sorted(self._parts.values())
        self._sorted_errors = sorted(tests[key].errors if key in tests else 0.0 for key in self._parts)

    def verdict(self, key: str, test: SequentialTest, steps: int) -> Verdict:
        """The verdict of a target's tests. steps: of its derating."""
        if test.slow >= 1 and (rest := self._rest(key)) is not None:
            seen = self._traffic[key]
            own, usual = seen.latency_ms, seen.usual_ms
            why = f"slow: {own:.0f} ms, usually {usual:.0f} ms, others {rest:.0f} ms"
            return Verdict(Conclusion.BAD, why)
        if test.errors >= 1 and key in self._parts:
            part = self._parts[key]
            rest = _lower_median_without(self._sorted_parts, part)
            same = _lower_median_without(self._sorted_errors, test.errors)
            if rest is not None and same is not None and part >= 3 * rest and same <= test.errors / 2:
                why = f"errors: lately {part:.0%} of its requests, others {rest:.0%}"
                return Verdict(Conclusion.BAD, why)
        good = max(test.errors, test.slow) <= _enough(steps)
        return Verdict(Conclusion.GOOD if good else Conclusion.UNSURE)

    def _rest(self, key: str) -> float | None:
        own = self._expected.get(key)
        return None if own is None else _lower_median_without(self._paces, own)


def _lower_median_without(values: Sequence[float], own: float) -> float | None:
    """The lower median of sorted values without one that equals `own`; None if there is no other."""
    others = len(values) - 1
    if others < 1:
        return None
    middle = (others - 1) // 2
    return values[middle if bisect_left(values, own) > middle else middle + 1]


def _enough(steps: int) -> float:
    """The score that suffices for a step up: the smaller the share, the less an error costs."""
    return _MIDDLE * (1 - 0.5 ** ((steps - 1) / 2)) if steps else 0.0


def _within(score: float) -> float:
    return min(1.0, max(0.0, score))
