"""Per-target metrics of this instance's own attempts: errors, latency, load.

Rules
- Counts of outcomes decay with the half-life `MEMORY_S`, so the share of failures is a recent one.
  `failure_share` also returns how much evidence is left.
- Only successful warm replies are timed: a cold start is slow for a known reason, and errors are often fast.
- `latency_ms` is an average that follows slower samples twice as far as faster ones. A sample counts as at
  most four times the average, so one outlier moves it by at most 0.6 of itself; three slow ones in a row
  move it to their level. Where samples are rare the factor is eight, since each sample is a large part of
  the evidence there.
- A sample weighs a tenth in dense traffic, and up to a half when the average is old.
- `usual_ms` is the same over minutes: the target's baseline. A sample over three times the baseline weighs a
  tenth there, so an hour of slowness does not become the baseline soon, and lasting slowness does.
- `p95_ms` rises by 21 % when a sample is above it and falls by 1 % otherwise. It converges to the value that
  one sample in twenty exceeds: a quantile without a histogram.
- Without new samples, `expected_ms` decays from a latency above the baseline to the baseline (half-life
  `FADE_S`), so a slow target is tried again. The next sample decides whether the average continues from
  there or from the old value.
- An attempt is slow when a hedge was sent for it. `SLOW_STREAK` slow ones in a row, with no reply within the
  hedge delay between them, make a target slow for `SLOW_S` after the newest. By chance three in a row happen
  once in 8,000 replies.
- A recovery shows at once: while a target is over three times as slow as usual, each sample in a row below
  one and a half times the baseline removes three quarters of the excess. After `FAST_STREAK` of them the
  average is at the baseline. A sample over three times the baseline before that restores the average: of a
  heavy-tailed model that is ten times as slow, one reply in nine is that fast. What is between counts neither
  way, since a tenth of healthy replies may be there.
- The hedge delay is the lower median of the targets' `p95_ms`, so one slow target does not raise it.

Time. If the clock was set back, nothing decays for that one step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from skyfleet.values import frozen

# Half-life of counts, and time constant of the average: long enough for some evidence at a request a second,
# short enough that a fault and its end are both seen within seconds (docs/benchmarks/plots/memory.svg).
MEMORY_S: Final = 10.0
# Half-life of a bad latency without new samples: a target that was ten times as slow counts as normal
# again after about 100 s, which is how long a bad deployment or a busy neighbour lasts at least
# (docs/benchmarks/plots/fade.svg).
FADE_S: Final = 30.0
# A target's own baseline spans minutes: longer than the detection of a fault, shorter than the daily
# cycle of load (docs/benchmarks/plots/baseline.svg).
BASELINE_S: Final = 300.0
# More say nothing new of how much is known.
MOST_SAMPLES: Final = 1_000
# The part of the latest sample in the average: at least, and at most however old the average is.
_LEAST, _MOST = 0.1, 0.5
# How many times the average a sample may count, and how many times the baseline makes it an outlier.
_CAP, _OUTLIER = 4.0, 3.0
_CAP_RARE: Final = 10.0
# So many fast ones in a row end a slowness, how many times the baseline is fast, and what each of them leaves
# of the distance.
FAST_STREAK: Final = 4
_REMAINDER: Final = 0.25
_LIKE_USUAL: Final = 1.5
# See docs/benchmarks/plots/slow-streak.svg.
SLOW_STREAK: Final = 3
# Longer than the quarter of a second in which averages are learned, shorter than a client waits for recovery
# (docs/benchmarks/plots/slow-s.svg).
SLOW_S: Final = 2.0
# Fewer good replies say nothing of one in twenty.
_HEDGE_SAMPLES: Final = 20
# A timer of the event loop is no finer than this.
_MIN_HEDGE_S: Final = 0.005
# Until so many samples the baseline is their plain mean: the first of them may have been the odd one.
_YOUNG: Final = 10
# Steps of the 95 % quantile, as factors: 0.95 and 0.05 parts of a fifth.
_UP, _DOWN = math.exp(0.2 * 0.95), math.exp(-0.2 * 0.05)


@frozen
class Traffic:
    """What attempts at one target showed. Times of `at` in unix seconds; -1 stands for: none yet.

    at: of the newest outcome. latency_ms: to the first event of good warm replies, leaning to the slow ones.
    usual_ms: its baseline over minutes. samples: how many good warm replies were timed, capped. outcomes,
    failures: decayed counts of attempts with a verdict, and of the failed among them. load: the newest
    utilization that the agent reported, in requests at work. p95_ms: what one good warm reply in twenty is
    slower than. timed_at: of the newest latency, which cold starts and errors do not renew. fast_streak: how
    many fast ones in a row there were since it was slow. slow_streak: slow attempts in a row. slow_at: when
    the newest was noticed.
    """

    at: float = 0.0
    latency_ms: float = -1.0
    usual_ms: float = -1.0
    samples: int = 0
    outcomes: float = 0.0
    failures: float = 0.0
    load: float = -1.0
    p95_ms: float = -1.0
    timed_at: float = 0.0
    fast_streak: int = 0
    slow_streak: int = 0
    slow_at: float = 0.0


NOTHING: Final = Traffic()


def saw(
    traffic: Traffic,
    now: float,
    *,
    failed: bool | None,
    latency_ms: float = -1.0,
    load: float = -1.0,
    in_time: bool = False,
) -> Traffic:
    """After one more outcome. failed: None when this is no verdict, only a latency or a load.

    latency_ms: of a good warm reply, to its first event; -1: none. load: as reported; -1: none. in_time: its
    first event came within the hedge delay.
    """
    kept = 0.5 ** ((now - traffic.at) / MEMORY_S) if 0.0 < traffic.at < now else 1.0
    latency, usual, p95, fast_streak = (
        traffic.latency_ms,
        traffic.usual_ms,
        traffic.p95_ms,
        traffic.fast_streak,
    )
    samples, timed_at = traffic.samples, traffic.timed_at
    if latency_ms >= 0.0:
        latency, usual, p95, fast_streak = _timed(traffic, latency_ms, now)
        samples, timed_at = samples + 1 if samples < MOST_SAMPLES else MOST_SAMPLES, now
    return Traffic(
        now,
        latency,
        usual,
        samples,
        traffic.outcomes * kept + (failed is not None),
        traffic.failures * kept + (failed is True),
        load if load >= 0.0 else traffic.load,
        p95,
        timed_at,
        fast_streak,
        0 if in_time else traffic.slow_streak,
        traffic.slow_at,
    )


def slower(traffic: Traffic, now: float) -> Traffic:
    """After one more attempt without a first event within the hedge delay."""
    return replace(traffic, slow_streak=traffic.slow_streak + 1, slow_at=now)


def is_slow(traffic: Traffic, now: float) -> bool:
    """Whether its last attempts were slow, and new requests avoid it. Not if the clock was set back."""
    return traffic.slow_streak >= SLOW_STREAK and 0 <= now - traffic.slow_at < SLOW_S


def hedge_delay_s(every: Iterable[Traffic], before: float | None) -> float | None:
    """How long nineteen of twenty good replies take at most to begin; `before` while too few were seen."""
    known = [one for one in every if one.samples]
    if sum(one.samples for one in known) < _HEDGE_SAMPLES:
        return before
    return max(lower_median(one.p95_ms for one in known) / 1000, _MIN_HEDGE_S)


def lower_median(values: Iterable[float]) -> float:
    """The middle of at least one value; of an even number the smaller of the two in the middle.

    `statistics` has it too, but takes 5 ms of a cold start for fractions, decimals and random numbers."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def without_outcomes(traffic: Traffic) -> Traffic:
    """Without the outcomes so far, which are not to be compared with those of others."""
    return replace(traffic, outcomes=0.0, failures=0.0)


def restarted(traffic: Traffic, now: float) -> Traffic:
    """For a target that has just come back: what it showed until then says nothing of it any more, except
    how it usually is."""
    return replace(
        traffic,
        at=now,
        latency_ms=traffic.usual_ms,
        outcomes=0.0,
        failures=0.0,
        load=-1.0,
        timed_at=now,
        fast_streak=0,
        slow_streak=0,
    )


def nearly_recovered(traffic: Traffic) -> Traffic:
    """For a slow target with evidence that this is over: one more fast reply ends the slowness."""
    return replace(traffic, fast_streak=FAST_STREAK - 1, slow_streak=0)


def failure_share(traffic: Traffic, now: float) -> tuple[float, float]:
    """The share of failed attempts lately, and its evidence: how many outcomes it still stands on."""
    if not traffic.outcomes:
        return 0.0, 0.0
    age = max(0.0, now - traffic.at)
    return traffic.failures / traffic.outcomes, traffic.outcomes * 0.5 ** (age / MEMORY_S)


def expected_ms(traffic: Traffic, now: float) -> float:
    """The latency that the next good warm reply may have; -1: nothing is known."""
    if traffic.samples == 0:
        return -1.0
    if traffic.latency_ms <= traffic.usual_ms:
        return traffic.latency_ms
    latency, usual = traffic.latency_ms, traffic.usual_ms
    if traffic.fast_streak:
        latency = _nearer(latency, usual, traffic.fast_streak)
    return _faded(latency, usual, max(0.0, now - traffic.timed_at))


# Plain numbers without helper objects, since every good reply runs it. CPython 3.13 specializes arithmetic of
# two floats, not of a float and an integer.
def _timed(traffic: Traffic, sample: float, now: float) -> tuple[float, float, float, int]:
    """Average, baseline, quantile and the row of fast ones after a sample."""
    if traffic.samples == 0:
        return sample, sample, 2.0 * sample, 0
    age = now - traffic.timed_at
    age = age if age > 0.0 else 0.0
    latency, usual, p95 = traffic.latency_ms, traffic.usual_ms, traffic.p95_ms
    fast_streak = traffic.fast_streak
    if sample >= _OUTLIER * usual:
        fast_streak = 0
    elif sample < _LIKE_USUAL * usual and (fast_streak or latency > _OUTLIER * usual):
        fast_streak += 1
    if 2.0 * sample < latency + usual and latency > usual:
        latency = _faded(latency, usual, age)
    first = 1.0 / (traffic.samples + 1)
    part = _LEAST
    if age > _LEAST * MEMORY_S:  # below that, 1 - exp(-x) < x says that the minimum counts
        part = 1.0 - math.exp(-age / MEMORY_S)
        part = _LEAST if part < _LEAST else part if part < _MOST else _MOST
    # Below a millisecond everything is equally fast, and a factor of nothing would stay nothing.
    most = (_CAP + _CAP_RARE * (part - _LEAST)) * (latency if latency > 1.0 else 1.0)
    counted = sample if sample < most else most
    if counted > latency:
        part = 2.0 * part if 2.0 * part < _MOST else _MOST
    if part < first:
        part = first if first < _MOST else _MOST
    latency += part * (counted - latency)
    slowly = 1.0 - math.exp(-age / BASELINE_S)
    most = _OUTLIER * (usual if usual > 1.0 else 1.0)
    counted = sample if sample < most else most
    if traffic.samples < _YOUNG:
        slowly = slowly if slowly > first else first
    elif sample > counted:
        slowly /= 10
    usual += slowly * (counted - usual)
    if sample > p95:
        p95 *= _UP
    else:
        p95 = p95 * _DOWN if p95 * _DOWN > 1.0 else 1.0
    if fast_streak == FAST_STREAK:
        return _nearer(latency, usual, fast_streak), usual, p95, 0
    return latency, usual, p95, fast_streak


def _faded(latency_ms: float, usual_ms: float, age_s: float) -> float:
    """What is left of a latency above the baseline of which nothing was heard for so long."""
    return usual_ms + (latency_ms - usual_ms) * 0.5 ** (age_s / FADE_S)


def _nearer(latency_ms: float, usual_ms: float, fast_streak: int) -> float:
    """The average after so many fast ones in a row."""
    return usual_ms + (latency_ms - usual_ms) * _REMAINDER**fast_streak
