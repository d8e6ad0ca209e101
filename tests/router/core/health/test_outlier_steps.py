"""Claims about the steps of derating: how far, how soon, and what a relapse costs."""

from __future__ import annotations

import pytest

from router.core.balance.metrics import Traffic
from router.core.health import outlier
from router.core.health.outlier import FULL, Conclusion, Derating

pytestmark = pytest.mark.pure

NOW = 1_000_000.0
LOWEST = 6


@pytest.mark.parametrize("current", [1.0, 0.9, 0.5, 0.3, 0.1, 0.02])
def test_the_first_step_takes_half_of_what_there_is_or_more(current: float) -> None:
    """A target in slow start has less than its whole share; none falls below the floor."""
    left = outlier.share(outlier.first_step(FULL, current, NOW))
    assert left == outlier.FLOOR or current / 4 < left <= current / 2


def test_a_target_derated_lately_has_relapsed() -> None:
    """Not after the cap of ejections, nor by what lies in the future of a clock that was set back."""
    for ago, relapses in ((1.0, 4), (300.0, 4), (301.0, 0), (-1.0, 0), (-1e6, 0)):
        last = Derating(0, NOW - ago, risen=True, relapses=3)
        assert outlier.first_step(last, 1.0, NOW).relapses == relapses
    assert outlier.first_step(FULL, 1.0, 100.0).relapses == 0


def test_a_step_down_each_two_seconds_and_none_below_the_floor() -> None:
    """At the floor it is only noted, which a step up has to wait for again."""
    derating, now = outlier.first_step(FULL, 1.0, NOW), NOW
    for steps in (2, 3, 4, 5, LOWEST, LOWEST):
        assert outlier.next_step(derating, Conclusion.BAD, now + 1.9) is derating
        now += 2.0
        derating = outlier.next_step(derating, Conclusion.BAD, now)
        assert (derating.steps, derating.moved_at) == (steps, now)
    assert outlier.share(derating) == outlier.FLOOR


@pytest.mark.parametrize(
    ("relapses", "good", "unsure"), [(0, 2.0, 20.0), (1, 4.0, 40.0), (20, 42.0, 300.0), (900, 300.0, 300.0)]
)
def test_a_step_up_takes_longer_after_relapses_and_where_nothing_is_heard(
    relapses: int, good: float, unsure: float
) -> None:
    """The cap of ejections is the most."""
    derating = Derating(3, NOW, relapses=relapses)
    for verdict, wait in ((Conclusion.GOOD, good), (Conclusion.UNSURE, unsure)):
        assert outlier.next_step(derating, verdict, NOW + wait - 0.1) is derating
        after = outlier.next_step(derating, verdict, NOW + wait)
        assert after == Derating(2, NOW + wait, risen=True, relapses=relapses)


def test_getting_worse_after_a_step_up_is_a_relapse_and_worse_after_worse_is_none() -> None:
    """A relapse is a step up that was wrong; a target that only gets worse has made none."""
    risen = outlier.next_step(Derating(3, NOW), Conclusion.GOOD, NOW + 2)
    worse = outlier.next_step(risen, Conclusion.BAD, NOW + 4)
    assert worse == Derating(3, NOW + 4, relapses=1)
    assert outlier.next_step(worse, Conclusion.BAD, NOW + 6) == Derating(4, NOW + 6, relapses=1)


@pytest.mark.parametrize("verdict", list(Conclusion))
def test_after_the_clock_was_set_back_the_next_step_need_not_wait_for_it(verdict: Conclusion) -> None:
    """It would wait as long as the clock was set back."""
    moved = outlier.next_step(Derating(3, NOW), verdict, NOW - 86_400)
    assert moved.moved_at == NOW - 86_400


def test_a_derated_target_always_has_an_open_test() -> None:
    """Without one, a new test begins in the middle at its first look."""
    traffic = {key: Traffic(NOW, 10.0, 10.0, 50, 20.0, 0.0) for key in ("a", "b")}
    tests, verdicts = outlier.after_traffic(["a", "b"], traffic, {}, NOW, {"a": 2})
    assert (tests["a"].errors, tests["a"].slow) == (0.5, 0.5)
    assert verdicts["a"].conclusion is Conclusion.UNSURE
