"""Gray failures: a target that answers its probes but is slow or wrong for real traffic, and how far it is
eased off for it.

Rules
- The evidence is this instance's own traffic, counted in requests and not in seconds: it weighs the same at
  one request a second and at a thousand.
- Two questions, each a sequential test (A. Wald, 1945): every new outcome moves a score between 0 and 1. At 1
  the answer is bad, at 0 it is good, between them nobody knows yet.
- Wrong: a failure speaks for `gray_errors_bad` against `gray_errors_fine` as the true share of errors, a
  success against it. One failure never suffices, and a share below about the middle never adds up.
- Slow: its average is over `gray_times` its own usual (`gray_times_far` if it is usually slower than the
  others, so that they are no measure) and `gray_peers` times the others, by `gray_gap_ms` or more. Or, as it
  may have been slow from the start, it is over `gray_late_times` the others by `gray_late_ms`, which no
  distance between regions explains. `gray_slow` such requests make the answer bad.
- It must be worse than the others, or it is not the target's fault. They are the serving targets with
  traffic, and what stands for them is their lower median: of two the better one, so that two bad ones of
  three are both seen. No others, no verdict: a lone target is never eased off.
- Easing off halves the share, step by step down to `gray_floor`. Each step is a test of its own, begun in
  the middle (0.5): bad halves again, good doubles. A step up asks for less the smaller the share is, since a
  wrong one costs that much less: of a slow target two fast replies at the floor, ten for the last step.
- Nothing heard for ten times `gray_back_s` doubles too: a target without traffic cannot prove itself.
- Whoever gets worse again after a step up waits longer before each next one, up to the cap of ejections.

Theory. With h = `gray_proof`, a target whose true share of errors is `gray_errors_fine` is called bad by
chance once in about e^h excursions of its score; at 2 % of errors once in e^(1.6 h). Averages of latency are
capped per sample (see `traffic`), so a single outlier, however large, is never slow enough.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

from router.core.balance.metrics import NOTHING, Traffic, expected_ms
from router.core.policy import Policy
from skyfleet.values import frozen

# What one look may add to the question of slowness: one average is no more than that many witnesses.
_MOST_A_LOOK: Final = 8
# Half a failure left of the last seconds: below it there is nothing to look into.
_SOME: Final = 0.5
_MIDDLE: Final = 0.5
# How many times as long a step up takes when nothing is heard.
_UNHEARD: Final = 10


class Conclusion(Enum):
    """What the evidence says of a target."""

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
    """How far a target is eased off. moved_at: unix s. risen: the last step was up."""

    steps: int = 0
    moved_at: float = 0.0
    risen: bool = False
    relapses: int = 0


@frozen
class Verdict:
    """A verdict and, when it is bad, why."""

    verdict: Conclusion
    why: str = ""


FULL: Final = Derating()


def share(derating: Derating, policy: Policy) -> float:
    """The part of its weight that is left."""
    return max(policy.derating_floor, 0.5**derating.steps)


def first_step(last: Derating, current: float, now: float, policy: Policy) -> Derating:
    """The first step down, to half of the `current` share or less. last: from the time before."""
    steps = 1
    while 0.5**steps > current / 2 and 0.5**steps > policy.derating_floor:
        steps += 1
    lately = 0 <= now - last.moved_at <= policy.ejection_cap_s
    return Derating(steps, now, relapses=last.relapses + 1 if lately and last.moved_at else 0)


def next_step(derating: Derating, verdict: Conclusion, now: float, policy: Policy) -> Derating:
    """One step further down or up when it is time for it; else the very same level."""
    age = now - derating.moved_at if now >= derating.moved_at else math.inf
    if verdict is Conclusion.BAD:
        if age < policy.derating_step_s:
            return derating
        lowest = 0.5**derating.steps <= policy.derating_floor
        return Derating(
            derating.steps if lowest else derating.steps + 1, now, relapses=derating.relapses + derating.risen
        )
    patience = (
        policy.derating_back_s * (1 + derating.relapses) * (1 if verdict is Conclusion.GOOD else _UNHEARD)
    )
    if age < min(patience, policy.ejection_cap_s):
        return derating
    return Derating(derating.steps - 1, now, risen=True, relapses=derating.relapses)


def new_test(seen: Traffic) -> SequentialTest:
    """The tests of the next step, from the middle."""
    return SequentialTest(seen.at, seen.outcomes, seen.failures, _MIDDLE, _MIDDLE)


def look(
    keys: Sequence[str],
    traffic: Mapping[str, Traffic],
    tests: Mapping[str, SequentialTest],
    now: float,
    policy: Policy,
    derated: Mapping[str, int] | None = None,
) -> tuple[Mapping[str, SequentialTest], Mapping[str, Verdict]]:
    """Count what is new in the traffic of the serving targets `keys`.

    eased: those that are eased off, which stay in doubt, and their halvings. The doubts after that (the
    very same ones if nothing changed), and an opinion on each target that is in doubt.
    """
    derated = derated or {}
    others = _Others(keys, traffic, now, policy)
    after: dict[str, SequentialTest] = {}
    for key in keys:
        seen, known = traffic.get(key, NOTHING), tests.get(key)
        if known is None and key in derated:
            known = new_test(seen)
        test = _counted(known, seen, others.pace(key), policy)
        if test is not None and (key in derated or not _over(test, seen)):
            after[key] = test
    if not after:
        return after if tests else tests, {}
    others.learn_errors(after)
    verdicts = {key: others.verdict(key, test, derated.get(key, 0)) for key, test in after.items()}
    return (tests if after == tests else after), verdicts


def _counted(
    known: SequentialTest | None, seen: Traffic, slow: bool | None, policy: Policy
) -> SequentialTest | None:
    """The tests of a target after its newest traffic. slow: None between slow and fast."""
    if known is None:
        if seen.failures < _SOME and slow is not True:
            return None
        known, outcomes, failures = SequentialTest(seen.at, 0, 0), seen.outcomes, seen.failures
    else:
        kept = 0.5 ** (max(0.0, seen.at - known.at) / policy.memory_s)
        outcomes = max(0, round(seen.outcomes - known.outcomes * kept))
        failures = min(outcomes, max(0, round(seen.failures - known.failures * kept)))
        if seen.at == known.at and not outcomes:
            return known
    fine, bad = policy.outlier_errors_fine, policy.outlier_errors_bad
    against = failures * math.log(bad / fine) - (outcomes - failures) * math.log((1 - fine) / (1 - bad))
    # Something came even when no outcome did: a latency of its own, of an attempt that was overtaken.
    votes = 0.0 if slow is None else min(max(outcomes, 1), _MOST_A_LOOK) * (1 if slow else -1)
    return SequentialTest(
        seen.at,
        seen.outcomes,
        seen.failures,
        _within(known.errors + against / policy.outlier_proof),
        _within(known.slow + votes / policy.outlier_slow_requests),
    )


def _over(test: SequentialTest, seen: Traffic) -> bool:
    """Neither wrong nor slow, and no failure for some time: nothing left to count."""
    return test.errors == test.slow == 0 and seen.failures < _SOME


class _Others:
    """What the other serving targets show: each question compares one target with the rest."""

    def __init__(
        self, keys: Sequence[str], traffic: Mapping[str, Traffic], now: float, policy: Policy
    ) -> None:
        self._keys, self._traffic, self._policy = keys, traffic, policy
        self._expected = {
            key: expected_ms(seen, now, policy)
            for key in keys
            if (seen := traffic.get(key, NOTHING)).samples >= policy.outlier_samples
        }
        self._paces = sorted(self._expected.values())
        self._parts: dict[str, float] = {}
        self._sorted_parts: list[float] = []
        self._sorted_errors: list[float] = []
        self._doubts: Mapping[str, SequentialTest] = {}

    def pace(self, key: str) -> bool | None:
        """Slow, fast, or neither."""
        if key not in self._expected:
            return None
        policy, own, usual = self._policy, self._traffic[key].latency_ms, self._traffic[key].usual_ms
        if own <= usual * policy.outlier_times / 2 and own < policy.outlier_slow_ms:
            return False
        rest = self._rest(key)
        if rest is None:
            return None
        gap, times = own - rest, own / max(rest, 1.0)
        alike = usual <= 2 * rest
        grown = own > usual * (policy.outlier_times if alike else policy.outlier_times_far)
        changed = grown and times > policy.outlier_peers and gap >= policy.outlier_gap_ms
        if changed or (times > policy.outlier_slow_times and gap >= policy.outlier_slow_ms):
            return True
        fast = own <= usual * policy.outlier_times / 2 and times <= policy.outlier_slow_times / 2
        return False if fast or times <= policy.outlier_peers / 2 else None

    def learn_errors(self, tests: Mapping[str, SequentialTest]) -> None:
        """Prepare for opinions on these."""
        for key in self._keys:
            seen = self._traffic.get(key, NOTHING)
            if seen.outcomes:
                self._parts[key] = seen.failures / seen.outcomes
        self._doubts = tests
        self._sorted_parts = sorted(self._parts.values())
        self._sorted_errors = sorted(tests[key].errors if key in tests else 0.0 for key in self._parts)

    def verdict(self, key: str, test: SequentialTest, steps: int) -> Verdict:
        """What the tests of a target say, which was halved so many times."""
        if test.slow >= 1 and (rest := self._rest(key)) is not None:
            seen = self._traffic[key]
            own, usual = seen.latency_ms, seen.usual_ms
            return Verdict(
                Conclusion.BAD, f"slow: {own:.0f} ms, usually {usual:.0f} ms, others {rest:.0f} ms"
            )
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
    """The score that is good enough for a step up: of a small share a wrong one costs little."""
    return _MIDDLE * (1 - 0.5 ** ((steps - 1) / 2)) if steps else 0.0


def _within(score: float) -> float:
    return min(1.0, max(0.0, score))
