"""Tests of Prequal as a baseline."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bench.simulation.rules.prequal import Prequal

pytestmark = pytest.mark.pure

KEYS = ("aws/r0", "azure/r1", "gcp/r2")


def clock_of(times: list[float]) -> Callable[[], float]:
    return lambda: times[0]


def test_prequal_picks_the_fastest_cold_target_and_avoids_the_hot_one() -> None:
    """A target is hot above the quantile of active requests."""
    keys = tuple(f"aws/r{number}" for number in range(24))
    answers = {key: (1, 20.0 + number) for number, key in enumerate(keys)} | {keys[0]: (50, 1.0)}
    now = [0.0]
    rule = Prequal(keys, random.Random(1), clock_of(now), lambda key, answer: answer(*answers[key]))
    for _ in range(30):
        rule.choose(())
    chosen = [choice.key for _ in range(100) if (choice := rule.choose(()))]
    assert keys[0] not in chosen
    assert chosen.count(keys[1]) > chosen.count(keys[23])


def test_prequal_without_fresh_probes_picks_at_random() -> None:
    """Probe results older than a second are ignored."""
    now = [0.0]
    rule = Prequal(KEYS, random.Random(1), clock_of(now), lambda key, answer: None)
    assert {choice.key for _ in range(50) if (choice := rule.choose(()))} == set(KEYS)
