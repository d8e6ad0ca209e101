"""Claims about what was refused: for how long the status names it."""

from __future__ import annotations

import pytest

from router.core.health.rejected import NAMED_S, Rejected
from tests.router.test_hard_times import NOW, YEAR, Clock

pytestmark = pytest.mark.pure

CHECKERS = ("aws/r0", "aws/r1")


@pytest.mark.parametrize("source", ["mars/x", "snapshot"])
@pytest.mark.parametrize("jump", [NAMED_S, YEAR, -YEAR, -3_600.0])
def test_what_comes_from_nobody_known_is_named_for_five_minutes(source: str, jump: float) -> None:
    """It never gets better, so nothing else would end it; nor does a clock that was set back prolong it."""
    clock = Clock()
    refused = Rejected(CHECKERS, clock)
    refused.note(source, "strange")
    clock.now += NAMED_S - 1
    assert refused.told() == {source: "strange"}
    clock.now = NOW + jump
    assert refused.told() == {}
    clock.now = NOW
    assert refused.told() == {}


@pytest.mark.parametrize("source", ["aws/r0", "health/aws-r0.json", "control.json"])
def test_what_a_checker_or_the_bucket_says_is_named_until_it_is_good(source: str) -> None:
    """It is still so."""
    clock = Clock()
    refused = Rejected(CHECKERS, clock)
    refused.note(source, "damaged")
    clock.now += YEAR
    assert refused.told() == {source: "damaged"}
    refused.forget(source)
    assert refused.told() == {}


def test_only_the_newest_few_are_kept() -> None:
    """A sender of nonsense fills no memory."""
    refused = Rejected(CHECKERS, Clock())
    for number in range(9):
        refused.note(f"mars/r{number}", "strange")
    assert list(refused.told()) == ["mars/r6", "mars/r7", "mars/r8"]
