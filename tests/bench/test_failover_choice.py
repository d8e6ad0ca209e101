"""Claims about asking for some rows and routers only."""

from __future__ import annotations

import pytest

from bench.failover import results
from bench.failover.choice import chosen, names
from bench.failover.rows import ROWS

pytestmark = pytest.mark.pure

KNOWN = {"kill": 1, "slow": 2, "cut": 3}


@pytest.mark.parametrize("text", ["slow,kill", " slow , kill,", "slow,kill,slow"])
def test_what_is_asked_for_runs_once_and_in_the_boards_order(text: str) -> None:
    """Blanks and repetitions are no mistakes."""
    assert chosen("row", names(text), KNOWN) == (1, 2)


def test_nothing_asked_for_is_everything() -> None:
    """As `make bench-failover` alone."""
    assert chosen("row", names(""), KNOWN) == (1, 2, 3)


def test_an_unknown_name_is_told_with_those_that_exist() -> None:
    """No run of fewer than was meant."""
    with pytest.raises(KeyError, match=r"no row kil \(did you mean kill\?\); there are kill, slow, cut"):
        chosen("row", ["kil", "slow"], KNOWN)
    with pytest.raises(KeyError, match=r"no router wobble; there are kill"):
        chosen("router", ["wobble"], KNOWN)


def test_a_run_says_beforehand_how_long_it_takes_and_what_it_keeps() -> None:
    """By what the same rows took before, where that is known."""
    old = [
        {"fault": "kill", "router": "nginx", "took_s": 96.0},
        {"fault": "slow", "router": "nginx"},
    ]
    assert (
        results.ahead(old, ROWS[:1], ["nginx", "caddy"])
        == "Lines to measure: 2, in about 2 min. Others, kept as they were measured before: 1."
    )
