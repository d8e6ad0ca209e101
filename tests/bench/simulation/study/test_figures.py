"""Tests of the figures of a run."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bench.simulation.driver import Result
from bench.simulation.fleet.topologies import Topology
from bench.simulation.study.figures import figures, oscillation, poisson_difference

pytestmark = pytest.mark.pure

KEYS = ("aws/r0", "azure/r1", "gcp/r2")
# A topology that takes a tenth of a second.
TINY = Topology(3, 2, rate=10.0, fault_s=30.0, heal_s=50.0, end_s=80.0)


def result(at: float, key: str, *, took_s: float = 0.1, good: bool = True) -> Result:
    return Result(at, took_s, good, 1, key)


def test_round_robin_does_not_oscillate_and_random_picks_score_one() -> None:
    """0 is perfectly even, 1 is independent random picks, and synchronised swings score far above."""
    draw = random.Random(1)
    even = [[result(0.0, key) for key in KEYS * 40] for _ in range(20)]
    at_random = [
        [result(0.0, draw.choice(KEYS)) for _ in range(int(120 + draw.gauss(0, 11)))] for _ in range(300)
    ]
    swinging = [[result(0.0, KEYS[number % 2])] * 120 for number in range(20)]
    assert oscillation(even) == 0.0
    assert oscillation(at_random) == pytest.approx(1.0, abs=0.1)
    assert oscillation(swinging) > 5


def test_the_mean_difference_of_two_poisson_counts_is_continuous() -> None:
    """It is exact for small means, and the normal approximation begins without a jump."""
    assert poisson_difference(0.0) == 0.0
    assert poisson_difference(29.9) == pytest.approx(poisson_difference(30.1), rel=0.01)


def test_settling_and_recovery_are_measured_in_windows() -> None:
    """Requests fail for 10 s after the fault, and the healed target has its share 15 s after the heal."""
    topology = replace(TINY, instances=1)
    asked: list[Result] = []
    for tenth in range(800):
        at = tenth / 10
        out = 30 <= at < 65
        key = KEYS[tenth % 3] if not out else KEYS[tenth % 2]
        asked.append(result(at, key, good=not (30 <= at < 40 and tenth % 3 == 0)))
    found = figures(topology, asked, len(asked), 0.0, frozenset({KEYS[2]}))
    assert found.settled_s == 10.0
    assert found.recovered_s == 15.0
    assert found.errors == pytest.approx(1 / 6, abs=0.01)
    assert found.extra == 0.0
