"""Tests of the sentences of `status`: the reason of each target's state, and a total outage."""

from __future__ import annotations

import pytest

from infra.operations import json_access
from infra.operations.json_access import JsonObject
from infra.operations.routers.explain import why
from router.core.health.machine import BACKOFF_CAP_S
from tests.infra.cli.output.support import shown, targets

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "3 of 3 checkers see it up"),
        ({"checkers_up": 0}, "no checker has fresh news of it"),
        ({"learned": "slow: about 81 ms or more, others 6 ms"}, "small share: slow: about 81 ms"),
        ({"state": "degraded", "reason": "slow: 81 ms"}, "slow: 81 ms"),
        (
            {"state": "ejected", "reason": "status 502 (ejection 1)"},
            "status 502 (ejection 1); 3 of 3 checkers see it up",
        ),
        (
            {"state": "slow-start", "reason": "answers", "checkers_down": 1},
            "answers; 3 of 4 checkers see it up",
        ),
        ({"reason": "slow start over", "checkers_down": 1}, "3 of 4 checkers see it up"),
        ({"backoff_s": 2.0}, "rate-limited: in backoff"),
        ({"checkers_up": None}, "1 of 1 checkers see it up"),
    ],
)
def test_the_reason_is_that_of_the_present_state(change: JsonObject, said: str) -> None:
    """The reason of an earlier change is not shown."""
    (target,) = json_access.objects(targets(change)["targets"])
    assert said in why(target)


@pytest.mark.parametrize("old", ["as good as the others again", "eased in", "answers traffic"])
def test_the_recovery_of_a_target_is_not_shown_with_a_new_failure(old: str) -> None:
    """The text would suggest that the target is healthy."""
    (target,) = json_access.objects(
        targets({"reason": old, "learned": "errors: 40% of its attempts lately"})["targets"]
    )
    assert old not in why(target)
    assert "errors: 40%" in why(target)


def test_a_long_retry_after_is_shown_as_its_limit() -> None:
    """A Retry-After of a year is shown as the minute that the router waits."""
    (target,) = json_access.objects(targets({"backoff_s": 59.0})["targets"])
    assert f"in backoff for {BACKOFF_CAP_S:g} s at most, whatever it asked for" in why(target)


@pytest.mark.parametrize(
    ("queue_timeout_s", "end"), [(10.0, "waits up to 10 s"), (0, "fails at once"), (None, "waits")]
)
def test_a_total_outage_is_reported_above_the_table(queue_timeout_s: float | None, end: str) -> None:
    """The sentence says what happens to requests, and the first target is marked as `first`, not as 100 %."""
    facts = targets(
        {"state": "down"}, {"state": "ejected", "share": 1.0}, {"state": "draining", "share": 0.0}
    )
    facts["router"] = {"cloud": "gcp", "region": "r1", "queue_timeout_s": queue_timeout_s}
    text = shown(facts)
    said = " ".join(text[: text.index("Targets, as")].split())
    assert "No target serves: requests are tried all the same, at the least bad first;" in said
    assert f"a request that can be sent to no target {end}" in said
    assert "100%" not in text
    assert "first" in next(line for line in text.splitlines() if "ejected" in line)


def test_the_last_target_does_not_look_healthy_while_it_fails() -> None:
    """The last target is never ejected, so its state alone would hide its failures."""
    facts = targets({"state": "ejected"}, {"failing": True, "share": 1.0})
    text = shown(facts)
    said = " ".join(text.split())
    assert "Every target that is left fails: requests are tried all the same" in said
    assert "healthy, fails first" in said
    assert "its last attempts all failed; 3 of 3 checkers see it up" in said
    assert "100%" not in text
    assert "that is left" not in shown(targets({"failing": True}, {}))
    assert "left fails or is rate-limited" in shown(targets({"failing": True}, {"backoff_s": 9.0}))


def test_backoff_of_all_targets_is_reported_as_an_outage() -> None:
    """A single serving target is enough for no outage."""
    resting: JsonObject = {"backoff_s": 9.0}
    assert "Every target that serves is rate-limited" in shown(targets(resting, {"state": "down"}, resting))
    for facts in (
        targets(resting, {"state": "down"}, {}),
        targets({"state": "ejected"}, {"state": "slow-start"}),
    ):
        assert "target serves" not in shown(facts)
        assert "target that serves" not in shown(facts)
