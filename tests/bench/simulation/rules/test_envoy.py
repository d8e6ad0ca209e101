"""Tests of Envoy's outlier detection as a baseline."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bench.simulation.rules.envoy import Envoy
from router.core.outcomes import Outcome

pytestmark = pytest.mark.pure

KEYS = ("aws/r0", "azure/r1", "gcp/r2")


def clock_of(times: list[float]) -> Callable[[], float]:
    return lambda: times[0]


def test_envoy_ejects_after_five_failures_in_a_row_for_30_s() -> None:
    """Envoy's defaults: consecutive_5xx of 5 and base_ejection_time of 30 s."""
    now = [0.0]
    rule = Envoy(KEYS, random.Random(1), clock_of(now))
    for _ in range(4):
        rule.record(KEYS[0], Outcome.FAILURE, None)
    assert KEYS[0] in rule.open()
    rule.record(KEYS[0], Outcome.FAILURE, None)
    assert KEYS[0] not in rule.open()
    now[0] = 29.0
    assert KEYS[0] not in rule.open()
    now[0] = 30.0
    assert KEYS[0] in rule.open()


def test_envoy_ejects_at_most_ten_percent_but_always_one() -> None:
    """Of three hosts only one is ejected although two fail."""
    now = [0.0]
    rule = Envoy(KEYS, random.Random(1), clock_of(now))
    for key in KEYS[:2]:
        for _ in range(5):
            rule.record(key, Outcome.FAILURE, None)
    assert list(rule.open()) == [KEYS[1], KEYS[2]]


def test_envoys_success_rate_needs_five_hosts_with_a_hundred_requests() -> None:
    """The same error rate causes an ejection with six hosts and none with three."""
    for keys, ejected in ((KEYS, False), (tuple(f"aws/r{number}" for number in range(6)), True)):
        now = [0.0]
        rule = Envoy(keys, random.Random(1), clock_of(now))
        for key in keys:
            for number in range(100):
                bad = key == keys[0] and number % 3 == 0
                rule.record(key, Outcome.FAILURE if bad else Outcome.SUCCESS, None)
        now[0] = 10.0
        assert (keys[0] not in rule.open()) is ejected


@pytest.mark.parametrize(("gateway", "ejected"), [(False, True), (True, False)])
def test_envoy_tells_an_agents_error_from_a_gateway_failure_if_it_is_told_to(
    gateway: bool, ejected: bool
) -> None:
    """consecutive_5xx counts every 5xx; consecutive_gateway_failure 502, 503, 504 and broken connections."""
    rule = Envoy(KEYS, random.Random(1), lambda: 0.0, gateway=gateway)
    for _ in range(5):
        rule.record(KEYS[0], Outcome.AGENT_ERROR, None)
    assert (KEYS[0] not in rule.open()) is ejected
    for _ in range(5):
        rule.record(KEYS[0], Outcome.FAILURE, None)
    assert KEYS[0] not in rule.open()
