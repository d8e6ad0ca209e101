"""Claims about what was rejected: for how long the status names it."""

from __future__ import annotations

import pytest

from router.sync.rejected import NAMED_S, Rejected
from tests.router.sync.support import NOW, YEAR, Clock

pytestmark = pytest.mark.pure

CHECKERS = ("aws/r0", "aws/r1")


@pytest.mark.parametrize("source", ["mars/x", "snapshot"])
@pytest.mark.parametrize("jump", [NAMED_S, YEAR, -YEAR, -3_600.0])
def test_what_comes_from_an_unknown_source_is_named_for_five_minutes(source: str, jump: float) -> None:
    """No valid document ends it, so time does. A clock that was set back does not prolong it."""
    clock = Clock()
    rejected = Rejected(CHECKERS, clock)
    rejected.note(source, "strange")
    clock.now += NAMED_S - 1
    assert rejected.as_json() == {source: "strange"}
    clock.now = NOW + jump
    assert rejected.as_json() == {}
    clock.now = NOW
    assert rejected.as_json() == {source: "strange"}  # reading the status forgets nothing


@pytest.mark.parametrize("source", ["aws/r0", "health/aws-r0.json", "control.json"])
def test_what_a_checker_or_the_bucket_says_is_named_until_it_is_good(source: str) -> None:
    """Only a valid document ends it."""
    clock = Clock()
    rejected = Rejected(CHECKERS, clock)
    rejected.note(source, "damaged")
    clock.now += YEAR
    assert rejected.as_json() == {source: "damaged"}
    rejected.forget(source)
    assert rejected.as_json() == {}


def test_only_the_newest_few_are_kept() -> None:
    """A sender of nonsense fills no memory."""
    rejected = Rejected(CHECKERS, Clock())
    for number in range(9):
        rejected.note(f"mars/r{number}", "strange")
    assert list(rejected.as_json()) == ["mars/r6", "mars/r7", "mars/r8"]
