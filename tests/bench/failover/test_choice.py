"""Tests of the choice of scenarios and routers on the command line."""

from __future__ import annotations

import pytest

from bench.failover.choice import chosen, names

pytestmark = pytest.mark.pure

KNOWN = {"kill": 1, "slow": 2, "cut": 3}


@pytest.mark.parametrize("text", ["slow,kill", " slow , kill,", "slow,kill,slow"])
def test_chosen_scenarios_run_once_and_in_the_order_of_the_scoreboard(text: str) -> None:
    """Blanks and repeated names are accepted."""
    assert chosen("scenario", names(text), KNOWN) == (1, 2)


def test_an_empty_choice_is_everything() -> None:
    """This is what `make bench-failover` without arguments passes."""
    assert chosen("scenario", names(""), KNOWN) == (1, 2, 3)


def test_an_unknown_name_is_an_error_that_lists_the_known_names() -> None:
    """The bench does not start with fewer scenarios than the user meant."""
    with pytest.raises(KeyError, match=r"no scenario kil \(did you mean kill\?\); there are kill, slow, cut"):
        chosen("scenario", ["kil", "slow"], KNOWN)
    with pytest.raises(KeyError, match=r"no router wobble; there are kill"):
        chosen("router", ["wobble"], KNOWN)
