"""Claims about what own traffic shows of a target."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.balance.metrics import (
    FADE_S,
    MEMORY_S,
    MOST_SAMPLES,
    NOTHING,
    Traffic,
    expected_ms,
    failure_share,
    saw,
)

pytestmark = pytest.mark.pure

START = 1_000_000.0


def after(
    samples: Iterable[float], *, apart: float = 0.03, begin: Traffic = NOTHING, now: float = START
) -> Traffic:
    """After good warm replies with these latencies, so many seconds apart; none of them is before `begin`."""
    seen = begin
    for number, sample in enumerate(samples):
        seen = saw(seen, max(now, begin.at) + number * apart, failed=False, latency_ms=sample)
    return seen


def noisy(count: int, around: float, seed: int = 1) -> list[float]:
    """Latencies as real ones are: half as long now and then, five times in a hundredth of all cases."""
    source = random.Random(seed)
    return [around * (5 if source.random() < 0.01 else source.lognormvariate(0, 0.3)) for _ in range(count)]


def test_nothing_is_known_of_nothing() -> None:
    """Neither a latency nor failures, and no evidence."""
    assert expected_ms(NOTHING, START) == -1
    assert failure_share(NOTHING, START) == (0.0, 0.0)


def test_failures_count_by_their_share_and_evidence_decays() -> None:
    """Half of the evidence is gone after `memory_s`; the share stays what it was."""
    seen = NOTHING
    for failed in (True, False, False, False):
        seen = saw(seen, START, failed=failed)
    assert failure_share(seen, START) == (0.25, 4.0)
    assert failure_share(seen, START + MEMORY_S) == (0.25, 2.0)


def test_a_fault_and_its_end_are_both_seen_within_seconds() -> None:
    """At five requests a second a third of errors shows within five seconds and is gone after a minute."""
    seen = NOTHING
    for number in range(300):
        seen = saw(seen, START + number / 5, failed=False)
    for number in range(25):
        seen = saw(seen, START + 60 + number / 5, failed=number % 3 == 0)
    assert failure_share(seen, START + 65)[0] > 0.08
    for number in range(300):
        seen = saw(seen, START + 65 + number / 5, failed=False)
    assert failure_share(seen, START + 125)[0] < 0.01


def test_a_latency_without_a_verdict_is_no_outcome() -> None:
    """The reply has begun well; whether it ends well is told later."""
    seen = saw(NOTHING, START, failed=None, latency_ms=20.0, load=3.0)
    assert (seen.outcomes, seen.samples, seen.load) == (0.0, 1, 3.0)


@given(st.floats(1, 1e4), st.floats(1, 1e9))
def test_one_outlier_moves_the_average_by_no_more_than_its_part(usual: float, outlier: float) -> None:
    """However large it is; three in a row are believed."""
    calm = after([usual] * 30)
    once = after([max(usual, outlier)], begin=calm)
    assert once.latency_ms <= calm.latency_ms * 1.61
    assert once.usual_ms <= calm.usual_ms * 1.01
    assert after([10 * usual] * 3, begin=calm).latency_ms >= 4 * usual


@pytest.mark.parametrize("apart", [0.01, 1.0, 60.0])
def test_ten_times_as_slow_is_noticed_and_forgotten_again(apart: float) -> None:
    """Within ten samples each way where they are rare, and within forty where they are dense."""
    calm = after(noisy(100, 20), apart=apart)
    slow = after(noisy(10, 200), apart=apart, begin=calm)
    assert slow.latency_ms > 4 * calm.latency_ms
    well = after(noisy(40, 20), apart=apart, begin=slow)
    assert well.latency_ms < 2 * calm.latency_ms


def test_with_a_request_each_minute_the_newest_ones_count_most() -> None:
    """Three samples bring the average near to a new level, up or down."""
    calm = after([20.0] * 20, apart=60)
    up = after([60.0] * 3, apart=60, begin=calm)
    assert up.latency_ms > 50
    assert after([20.0] * 4, apart=60, begin=up).latency_ms < 25


def test_noise_is_no_slowness() -> None:
    """Spikes of five times in a hundredth of the replies keep the average within half of the median."""
    seen = NOTHING
    worst = 0.0
    for number, sample in enumerate(noisy(5000, 8)):
        seen = saw(seen, START + number * 0.03, failed=False, latency_ms=sample)
        worst = max(worst, seen.latency_ms) if number > 20 else 0.0
    assert 7 < seen.usual_ms < 12
    assert worst < 4 * seen.usual_ms


def test_the_baseline_is_slow_to_take_an_outlier_for_normal() -> None:
    """Five minutes ten times as slow do not hide it; a day does."""
    calm = after([20.0] * 100)
    assert after([200.0] * 300, apart=1, begin=calm).usual_ms < 30
    assert after([200.0] * 2880, apart=30, begin=calm).usual_ms == pytest.approx(200, rel=0.05)


def test_a_bad_latency_fades_and_a_good_one_does_not() -> None:
    """A slow target is tried again when nothing is heard; a fast one stays fast."""
    calm = after([20.0] * 100)
    slow = after([200.0] * 20, begin=calm)
    now = slow.at
    fresh, half, old = (expected_ms(slow, now + age) for age in (0.0, FADE_S, 1e6))
    assert fresh == slow.latency_ms
    assert half == pytest.approx((slow.latency_ms + slow.usual_ms) / 2)
    assert old == pytest.approx(slow.usual_ms)
    assert expected_ms(slow, now - 1e6) == fresh
    quick = after([5.0] * 100, begin=calm)
    assert expected_ms(quick, quick.at + 1e6) == quick.latency_ms


def test_a_try_after_a_fade_confirms_it_or_takes_the_old_latency_back() -> None:
    """One good sample is enough to be trusted as far as the fade had come, one bad enough to be out again."""
    slow = after([200.0] * 20, begin=after([20.0] * 100))
    now = slow.at + 4 * FADE_S
    good, bad = (saw(slow, now, failed=False, latency_ms=ms) for ms in (20.0, 200.0))
    assert good.latency_ms <= expected_ms(slow, now) < 32
    assert bad.latency_ms >= slow.latency_ms


def test_errors_and_cold_starts_do_not_keep_a_bad_latency_fresh() -> None:
    """It fades from the last good warm reply on, whatever else is heard."""
    slow = after([200.0] * 20, begin=after([20.0] * 100))
    later = saw(slow, slow.at + FADE_S, failed=True)
    assert expected_ms(later, later.at) == pytest.approx((slow.latency_ms + slow.usual_ms) / 2)


@pytest.mark.parametrize("around", [8.0, 900.0])
def test_the_quantile_is_what_one_in_twenty_is_slower_than(around: float) -> None:
    """Within a third, and a single outlier moves it by a fifth."""
    samples = noisy(4000, around)
    seen = after(samples)
    true = sorted(samples)[int(0.95 * len(samples))]
    assert true / 1.4 < seen.p95_ms < true * 1.4
    assert after([1e9], begin=seen).p95_ms < seen.p95_ms * 1.25


@given(
    st.lists(
        st.tuples(
            st.floats(-1e5, 1e5),
            st.sampled_from([True, False, None]),
            st.floats(0, 1e12) | st.just(-1.0),
            st.floats(0, 1e6) | st.just(-1.0),
        ),
        max_size=60,
    )
)
def test_whatever_comes_the_figures_stay_sound(events: list[tuple[float, bool | None, float, float]]) -> None:
    """Also when the clock goes back: shares within 0 and 1, nothing negative, latencies within those seen."""
    seen, now, timed = NOTHING, START * 10, [0.0]
    for step, failed, latency, load in events:
        now += step
        timed += [latency] if latency >= 0 else []
        seen = saw(seen, now, failed=failed, latency_ms=latency, load=load)
        share, evidence = failure_share(seen, now)
        assert 0 <= share <= 1
        assert 0 <= evidence <= len(events)
        assert 0 <= seen.samples <= MOST_SAMPLES
        expected = expected_ms(seen, now + abs(step))
        assert expected == -1 if not seen.samples else 0 <= expected <= max(timed) + 1
