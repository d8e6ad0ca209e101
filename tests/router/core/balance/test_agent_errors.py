"""Tests of agent errors in a balancer, with each strategy and one to five targets.

No share is lowered for what is not a target's fault, and a bad build at one target ends in its ejection."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.health.attribution import EVIDENCE_S
from router.core.health.machine import FAILURES, SERVING, Status
from router.core.outcomes import Outcome
from skyfleet.contract import Strategy
from tests.router.core.balance.support import Harness

pytestmark = pytest.mark.pure

POISON, FINE = 1, 2
BAD = "aws/r0"
# Seven errors of two targets that take turns are the longest proof.
MOST_ERRORS = 7
weights = st.lists(st.sampled_from([0.0, 1.0, 3.0]), min_size=1, max_size=5).filter(any)
strategies = st.sampled_from(Strategy)


def send(
    harness: Harness,
    request_class: int,
    fails: Callable[[str], bool],
    *,
    strategy: Strategy | None = None,
    repeatable: bool = False,
    kills: bool = False,
) -> list[str]:
    """One request with its retries; returns the targets that it was sent to. kills: a failure is a platform's
    error instead of the agent's."""
    balancer, tried = harness.balancer, list[str]()
    balancer.request_began()
    while (choice := balancer.choose(tried, strategy)) is not None:
        if not tried:
            choice = balancer.compared(choice, request_class, strategy)
        tried.append(choice.key)
        harness.now += 0.02
        if not fails(choice.key):
            harness.reply(choice.key)
            balancer.agent_succeeded(choice.key, request_class)
            return tried
        if not kills:
            balancer.agent_failed(choice.key, request_class, "status 500")
        elif not balancer.breaks_everywhere(choice.key, request_class):
            balancer.report(choice.key, Outcome.FAILURE, "status 502, not from its agent")
        if not repeatable:
            return tried
    return tried


@settings(deadline=None)
@given(
    weights,
    strategies,
    st.lists(st.tuples(st.booleans(), st.sampled_from([None, *Strategy]), st.booleans()), max_size=80),
)
def test_an_error_of_one_path_or_client_lowers_no_share(
    shares: list[float], strategy: Strategy, requests: list[tuple[bool, Strategy | None, bool]]
) -> None:
    """Whatever strategies its requests and those of others ask for, repeated or not."""
    harness = Harness(shares, strategy)
    for poison, override, repeatable in requests:
        request_class = POISON if poison else FINE
        send(harness, request_class, lambda key: poison, strategy=override, repeatable=repeatable)  # noqa: B023
    for key, health in harness.balancer.fleet.health.items():
        assert (health.status, health.failures) in ((Status.UNKNOWN, 0), (Status.HEALTHY, 0))
        assert harness.balancer.traffic[key].failures == 0


@settings(deadline=None)
@given(
    weights,
    strategies,
    st.lists(st.tuples(st.booleans(), st.sampled_from([None, *Strategy]), st.booleans()), max_size=80),
)
def test_a_request_that_kills_the_agent_everywhere_ejects_no_target(
    shares: list[float], strategy: Strategy, requests: list[tuple[bool, Strategy | None, bool]]
) -> None:
    """Its first failures count, as a cloud that is out looks the same; once it was seen to fail elsewhere, no
    more do."""
    harness = Harness(shares, strategy)
    for poison, override, repeatable in requests:
        request_class = POISON if poison else FINE
        send(harness, request_class, lambda key: poison, strategy=override, repeatable=repeatable, kills=True)  # noqa: B023
    assert all(one.status in SERVING for one in harness.balancer.fleet.health.values())
    if len(shares) > 1:
        assert sum(one.failures for one in harness.balancer.traffic.values()) <= 1


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("bad", [0.2, 0.5, 0.8])
def test_requests_that_kill_the_agent_among_good_ones_of_their_class_eject_no_target(
    size: int, bad: float
) -> None:
    """In any order, and not repeated: by chance one target gets more of them than the others. Each target
    has had one before; until then one without any looks better."""
    for seed in range(10):
        draw, harness = random.Random(seed), Harness((1,) * size)
        send(harness, FINE, lambda key: True, kills=True, repeatable=True)
        for _ in range(300):
            kills = draw.random() < bad
            send(harness, FINE, lambda key: kills, kills=True)  # noqa: B023
        assert all(one.status in SERVING for one in harness.balancer.fleet.health.values())


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("shares", [(1, 1), (1, 0), (1, 1, 1), (8, 1, 1), (1,) * 5])
def test_a_platform_that_fails_alone_is_ejected_as_fast_as_ever(
    shares: tuple[float, ...], strategy: Strategy
) -> None:
    """Three failures in a row, of whatever requests."""
    harness, errors = Harness(shares, strategy), 0
    while harness.balancer.fleet.health[BAD].status in SERVING:
        errors += BAD in send(harness, FINE, lambda key: key == BAD, kills=True)
        assert errors <= FAILURES
    assert errors == FAILURES


@pytest.mark.parametrize("repeatable", [False, True])
@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize(
    "shares", [(1, 1), (1, 0), (1, 1, 1), (8, 1, 1), (1, 0, 0), (1,) * 4, (1,) * 5, (1, 0, 0, 0, 0)]
)
def test_a_bad_build_at_one_target_is_ejected_after_few_errors(
    shares: tuple[float, ...], strategy: Strategy, repeatable: bool
) -> None:
    """Within 20 requests, also where a strategy sends nearly all requests to it, or the others are standbys;
    and after its ejection one error ejects it again, but not that of a request from before."""
    harness = Harness(shares, strategy)
    for _ in range(20):
        send(harness, FINE, lambda key: False, repeatable=repeatable)
    errors = requests = 0
    while harness.balancer.fleet.health[BAD].status in SERVING:
        tried = send(harness, FINE, lambda key: key == BAD, repeatable=repeatable)
        errors, requests = errors + (BAD in tried), requests + 1
        assert errors <= MOST_ERRORS
        assert requests <= 20
    assert harness.balancer.fleet.health[BAD].reason == "status 500, more often than the others (ejection 1)"
    harness.now = harness.balancer.fleet.health[BAD].ejected_until + 0.1
    harness.choose()
    assert harness.balancer.fleet.health[BAD].status is Status.SLOW_START
    harness.balancer.agent_failed(BAD, FINE, "status 500", age_s=60.0)
    assert harness.balancer.fleet.health[BAD].status is Status.SLOW_START
    harness.balancer.agent_failed(BAD, FINE, "status 500")
    assert harness.balancer.fleet.health[BAD].status is Status.EJECTED


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_errors_of_all_targets_eject_none(size: int) -> None:
    """A shared dependency, or a bug that was deployed everywhere."""
    harness = Harness((1,) * size)
    for number in range(100):
        send(harness, FINE, lambda key: True, repeatable=number % 2 == 0)
    assert all(one.status is Status.UNKNOWN for one in harness.balancer.fleet.health.values())


def test_a_target_that_fails_a_third_is_found_with_all_its_errors() -> None:
    """With the proof the earlier errors count in its metrics; it is derated or ejected like any other."""
    harness, visits = Harness((1, 1, 1), Strategy.ADAPTIVE), itertools.count()
    for number in itertools.count():
        send(harness, FINE, lambda key: key == BAD and next(visits) % 3 == 0, repeatable=True)
        if harness.balancer.traffic[BAD].failures:
            break
        assert number < 150
    assert harness.balancer.traffic[BAD].failures > 3
    assert harness.balancer.shares()[BAD] < 0.1
    assert harness.balancer.traffic["aws/r1"].failures == 0


def test_a_comparison_never_goes_to_a_target_that_is_out() -> None:
    """Where no other target serves, the request goes where it would have gone."""
    harness = Harness((1, 1))
    for _ in range(3):
        harness.balancer.report("aws/r1", Outcome.FAILURE)
    assert harness.balancer.fleet.health["aws/r1"].status is Status.EJECTED
    harness.balancer.agent_failed(BAD, FINE, "status 500")
    assert harness.balancer.compared(harness.choose(), FINE).key == BAD
    alone = Harness((1,))
    alone.balancer.agent_failed(BAD, FINE, "status 500")
    assert alone.balancer.compared(alone.choose(), FINE).key == BAD


def test_a_fleet_without_errors_has_no_evidence() -> None:
    """So good replies cost nothing more, again a minute after the last error."""
    harness = Harness((1, 1))
    send(harness, FINE, lambda key: False)
    assert not harness.balancer.evidence
    send(harness, FINE, lambda key: True)
    assert harness.balancer.evidence
    harness.now += EVIDENCE_S
    send(harness, FINE, lambda key: False)
    assert not harness.balancer.evidence
