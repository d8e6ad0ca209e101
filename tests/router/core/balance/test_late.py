"""Claims about lateness: what a few overdue replies in a row make of a target at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from router.core.balance.late import LATE_ROW, LATE_S, Row, late, noticed
from router.proxy.balancing import pick
from router.proxy.prober import Prober
from tests.router.core.balance.test_balancer import Desk

pytestmark = pytest.mark.pure


def test_a_few_late_ones_in_a_row_make_a_target_late_for_a_while() -> None:
    """One fewer does not; afterwards it is tried again, and one more late one suffices."""
    rows: dict[str, Row] = {}
    for _ in range(LATE_ROW - 1):
        rows = noticed(rows, "a", 100.0)
        assert late(rows, 100.0) == []
    rows = noticed(rows, "a", 100.5)
    assert late(rows, 100.5) == ["a"]
    assert late(rows, 100.5 + LATE_S) == []
    assert late(noticed(rows, "a", 110.0), 110.1) == ["a"]
    assert late(rows, 50.0) == []


def test_three_late_ones_count_for_two_seconds() -> None:
    """As the docs say: a reply in twenty is late at any time, three in a row are so once in 8,000."""
    rows: dict[str, Row] = {}
    found: list[list[str]] = []
    for _ in range(3):
        rows = noticed(rows, "a", 100.0)
        found.append(late(rows, 100.0))
    assert found == [[], [], ["a"]]
    assert [late(rows, at) for at in (101.9, 102.0)] == [["a"], []]


def test_a_reply_in_time_ends_it() -> None:
    """A slower one does not, whatever it was."""
    cached = Desk([1, 1, 1])
    for _ in range(40):
        cached.reply("aws/r0", 20.0)
    delay = cached.balancer.hedge_delay_s()
    assert delay is not None
    for _ in range(LATE_ROW):
        cached.balancer.attempt_is_slow("aws/r1")
    cached.reply("aws/r1", delay * 2000)
    assert cached.balancer.slow_now() == ["aws/r1"]
    cached.reply("aws/r1", 10.0)
    assert cached.balancer.slow_now() == []


def test_new_requests_avoid_who_is_late() -> None:
    """A repeat that has nobody else left gets it all the same."""
    cached = Desk([1, 1])
    for _ in range(LATE_ROW):
        cached.balancer.attempt_is_slow("aws/r0")
    prober = SimpleNamespace(running={}, pending=list[str])
    asked = cast("Prober", prober)
    chosen = [choice.key for _ in range(6) if (choice := pick(cached.balancer, asked, ()))]
    assert chosen == ["aws/r1"] * 6
    again = pick(cached.balancer, asked, ("aws/r1",))
    assert again is not None
    assert (again.key, again.panic) == ("aws/r0", False)
