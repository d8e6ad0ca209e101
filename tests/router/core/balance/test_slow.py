"""Claims about slow targets: what a few attempts in a row beyond the hedge delay make of a target at once."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from router.core.balance.metrics import NOTHING, SLOW_S, SLOW_STREAK, Traffic, is_slow, saw, slower
from router.core.balance.strategies import LEARNING
from skyfleet.contract import Strategy
from tests.router.core.balance.support import Harness

pytestmark = pytest.mark.pure


def slow_times(traffic: Traffic, times: int, now: float) -> Traffic:
    for _ in range(times):
        traffic = slower(traffic, now)
    return traffic


def test_a_few_slow_attempts_in_a_row_make_a_target_slow_for_a_while() -> None:
    """One fewer does not; afterwards it is tried again, and one more slow one suffices."""
    few = slow_times(NOTHING, SLOW_STREAK - 1, 100.0)
    assert not is_slow(few, 100.0)
    slow = slower(few, 100.5)
    assert is_slow(slow, 100.5)
    assert not is_slow(slow, 100.5 + SLOW_S)
    assert is_slow(slower(slow, 110.0), 110.1)
    assert not is_slow(slow, 50.0)


def test_three_slow_ones_count_for_two_seconds() -> None:
    """As the docs say: a reply in twenty is slow at any time, three in a row are so once in 8,000."""
    found = [is_slow(slow_times(NOTHING, times, 100.0), 100.0) for times in (1, 2, 3)]
    assert found == [False, False, True]
    slow = slow_times(NOTHING, 3, 100.0)
    assert [is_slow(slow, at) for at in (101.9, 102.0)] == [True, False]


def test_only_a_reply_in_time_ends_the_streak() -> None:
    """Errors and other latencies leave it as it is."""
    slow = slow_times(NOTHING, 3, 100.0)
    assert is_slow(saw(slow, 100.1, failed=True), 100.2)
    assert is_slow(saw(slow, 100.1, failed=False, latency_ms=900.0), 100.2)
    assert not is_slow(saw(slow, 100.1, failed=False, latency_ms=9.0, in_time=True), 100.2)


def test_a_reply_within_the_hedge_delay_is_in_time() -> None:
    """A slower one is not."""
    harness = Harness([1, 1, 1])
    for _ in range(40):
        harness.reply("aws/r0", 20.0)
    delay = harness.balancer.hedge_delay_s()
    assert delay is not None
    for _ in range(SLOW_STREAK):
        harness.balancer.attempt_is_slow("aws/r1")
    harness.reply("aws/r1", delay * 2000)
    assert harness.balancer.avoid(harness.now) == ["aws/r1"]
    harness.reply("aws/r1", 10.0)
    assert harness.balancer.avoid(harness.now) == []


def test_new_requests_avoid_a_slow_target() -> None:
    """A retry for which no other target is left gets it all the same."""
    harness = Harness([1, 1])
    for _ in range(SLOW_STREAK):
        harness.balancer.attempt_is_slow("aws/r0")
    assert harness.keys(6) == {"aws/r1": 6}
    again = harness.choose("aws/r1")
    assert (again.key, again.panic) == ("aws/r0", False)


def test_one_home_for_what_is_avoided_now() -> None:
    """A pending probe, a slow streak, and a stalled request of an adaptive strategy."""
    harness = Harness([1, 1, 1, 1])
    harness.balancer.probe_started("aws/r0")
    for _ in range(SLOW_STREAK):
        harness.balancer.attempt_is_slow("aws/r1")
    with harness.active("aws/r2"):
        harness.now += 1.9
        assert harness.balancer.avoid(harness.now) == ["aws/r0", "aws/r1"]
        harness.now += 0.2
        assert harness.balancer.avoid(harness.now) == ["aws/r0", "aws/r2"]
        assert harness.balancer.avoid(harness.now, learning=False) == ["aws/r0"]
        harness.balancer.responded("aws/r0")
        assert harness.balancer.avoid(harness.now, learning=False) == []


class CountedReads(dict[str, Traffic]):
    """The targets' metrics, which count how often one of them is read."""

    reads = 0

    def __getitem__(self, key: str) -> Traffic:
        self.reads += 1
        return super().__getitem__(key)


def reads_of_100_choices(harness: Harness) -> int:
    """How often 100 choices read a target's metrics, after the picker is prepared."""
    harness.choose()
    metrics = CountedReads(harness.balancer.traffic)
    harness.balancer.traffic = metrics
    harness.keys(100)
    return metrics.reads


def stall(harness: Harness, keys: Iterable[str]) -> None:
    """One active request of each of these targets exceeds the hedge delay."""
    for key in keys:
        harness.balancer.start(key, object())
    harness.now += 60.0


@pytest.mark.parametrize("strategy", sorted(LEARNING))
@pytest.mark.parametrize("stalled", [1, 250, 300])
def test_a_choice_among_300_targets_examines_ten_of_them_at_most(strategy: Strategy, stalled: int) -> None:
    """However many are stalled: the slot's own, eight further slots, and its own again."""
    harness = Harness([1.0] * 300, strategy)
    stall(harness, [f"aws/r{number}" for number in range(stalled)])
    assert reads_of_100_choices(harness) <= 100 * 10


def test_a_choice_among_300_targets_examines_few_when_some_are_slow() -> None:
    """A slow target is left for the next slots' as a stalled one is."""
    harness = Harness([1.0] * 300, Strategy.WEIGHTED)
    for number in range(0, 300, 2):
        for _ in range(SLOW_STREAK):
            harness.balancer.attempt_is_slow(f"aws/r{number}")
    assert reads_of_100_choices(harness) <= 100 * 10
