"""Claims about what extra attempts may cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.policy import DEFAULT
from router.core.request.budget import AttemptReason, full, patience, pay, refilled

pytestmark = pytest.mark.pure

POLICY = replace(DEFAULT, hedge_share=0.1, hedge_burst=2.0, extra_usd_per_hour=3.6)


def test_hedges_are_paid_from_a_burst_and_then_from_a_share_of_the_requests() -> None:
    """Two at once, then one for each ten requests."""
    budget, said = full(0.0, POLICY), list[bool]()
    for requests in (0, 0, 0, 9, 10, 11, 20):
        budget, paid = pay(budget, AttemptReason.HEDGE, 0.0, requests, 0.0, POLICY)
        said.append(paid)
    assert said == [True, True, False, False, True, False, True]


def test_the_less_is_left_the_longer_a_hedge_waits() -> None:
    """So noise does not use up what a fault needs; requests bring it back."""
    budget = full(0.0, POLICY)
    waits: list[float] = [patience(budget, 0, POLICY)]
    for _ in range(2):
        budget, _ = pay(budget, AttemptReason.HEDGE, 0.0, 0, 0.0, POLICY)
        waits.append(patience(budget, 0, POLICY))
    assert waits == [1.0, 2.0, 3.0]
    assert patience(budget, 10, POLICY) == 2.0
    assert patience(budget, 1_000, POLICY) == 1.0


def test_retries_and_copies_cost_money_but_no_share() -> None:
    """However many there were, while there is money."""
    budget = full(0.0, POLICY)
    for extra in (AttemptReason.RETRY, AttemptReason.DUPLICATE) * 5:
        budget, paid = pay(budget, extra, 0.1, 0, 0.0, POLICY)
        assert paid
    assert budget.hedges == 2.0
    assert budget.usd == pytest.approx(2.6)


def test_money_comes_back_with_time_up_to_an_hours_worth() -> None:
    """A thousandth of a dollar each second here."""
    budget, paid = pay(full(0.0, POLICY), AttemptReason.RETRY, 3.6, 0, 0.0, POLICY)
    assert paid
    assert not pay(budget, AttemptReason.RETRY, 0.002, 0, 1.0, POLICY)[1]
    assert pay(budget, AttemptReason.RETRY, 0.002, 0, 2.0, POLICY)[1]
    assert refilled(budget, 0, 1e6, POLICY).usd == 3.6


def test_without_any_money_only_what_is_free_is_sent_once_more() -> None:
    """`extraUsdPerHour: 0`: nothing extra is paid for, now or later; a price of 0 costs nothing."""
    policy = replace(DEFAULT, extra_usd_per_hour=0)
    budget = full(0.0, policy)
    for extra in AttemptReason:
        for now in (0.0, 3_600.0, 1e6):
            assert not pay(budget, extra, 0.2e-6, 100, now, policy)[1]
        assert pay(budget, extra, 0.0, 100, 0.0, policy)[1]


def test_a_clock_that_goes_back_earns_nothing() -> None:
    """And does not earn the same time twice when it comes forward again."""
    budget, _ = pay(full(100.0, POLICY), AttemptReason.RETRY, 3.6, 0, 100.0, POLICY)
    back = refilled(budget, 0, 50.0, POLICY)
    assert back.usd == 0
    assert refilled(back, 0, 100.0, POLICY).usd == pytest.approx(0.05)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(AttemptReason),
            st.floats(0, 2),
            st.integers(0, 50),
            st.floats(-100, 10_000),
        ),
        max_size=40,
    )
)
def test_neither_bucket_is_ever_overdrawn_or_overfull(
    story: list[tuple[AttemptReason, float, int, float]],
) -> None:
    """Whatever is asked, and however the clock jumps."""
    budget, requests, now = full(0.0, POLICY), 0, 0.0
    spent, forward = 0.0, 0.0
    for extra, usd, more, step in story:
        requests, now, forward = requests + more, now + step, forward + max(0.0, step)
        budget, paid = pay(budget, extra, usd, requests, now, POLICY)
        spent += usd * paid
        assert 0 <= budget.hedges <= POLICY.hedge_burst
        assert 0 <= budget.usd <= POLICY.extra_usd_per_hour
    assert spent <= 3.6 + 0.001 * forward + 1e-6
