"""Tests of the baselines without outlier detection."""

from __future__ import annotations

import random

import pytest

from bench.simulation.rules.baselines import LeastRequest, PowerOfTwo, Weighted

pytestmark = pytest.mark.pure

KEYS = ("aws/r0", "azure/r1", "gcp/r2")


def test_weighted_takes_turns() -> None:
    """With equal weights each target is picked equally often."""
    rule = Weighted(KEYS, random.Random(1))
    chosen = [choice.key for _ in range(6) if (choice := rule.choose(()))]
    assert sorted(chosen) == sorted(KEYS * 2)


@pytest.mark.parametrize("make", [LeastRequest, PowerOfTwo])
def test_the_busier_of_two_is_not_chosen(make: type[LeastRequest] | type[PowerOfTwo]) -> None:
    """The rule compares the active requests of this client."""
    rule = make(KEYS[:2], random.Random(1))
    rule.sent(KEYS[0])
    assert {choice.key for _ in range(20) if (choice := rule.choose(()))} == {KEYS[1]}
    rule.ended(KEYS[0])
    assert {choice.key for _ in range(50) if (choice := rule.choose(()))} == set(KEYS[:2])


def test_an_excluded_target_is_not_picked() -> None:
    """The pick is None when all targets are excluded, as with the router's own strategies."""
    rule = LeastRequest(KEYS, random.Random(1))
    choice = rule.choose(KEYS[:2])
    assert choice is not None
    assert choice.key == KEYS[2]
    assert rule.choose(KEYS) is None
