"""One sentence for each state, with the effect on requests first."""

from __future__ import annotations

import pytest

from infra.manager.fleet.sentences import sentence
from infra.operations.json_access import JsonObject

CASES: list[tuple[JsonObject, str]] = [
    ({"state": "healthy"}, ""),
    ({"state": "healthy", "reason": "answers traffic", "checkers_up": 2, "checkers_down": 1}, ""),
    ({"state": "healthy", "failing": True}, "It serves, and not all is well: its last attempts all failed."),
    (
        {"state": "ejected", "ejected_s": 12.4, "reason": "HTTP 503 (ejection 2)"},
        "It gets no requests for another 12 s, because requests failed there: HTTP 503 (ejection 2).",
    ),
    (
        {"state": "down", "reason": "2 of 3 checkers see it down: no answer"},
        "It gets no requests, because its health checks fail: 2 of 3 checkers see it down: no answer.",
    ),
    (
        {"state": "down", "share": 0.3, "reason": "no answer"},
        "It gets requests all the same, because no target serves; its health checks fail: no answer.",
    ),
    (
        {"state": "degraded", "health_share": 0.3, "reason": "slower than the others"},
        "It gets 30% of its weight, because it is worse than others: slower than the others.",
    ),
    (
        {"state": "slow-start", "health_share": 0.25, "reason": "back after ejection 1"},
        "It was out and gets a growing share, now 25% of its weight: back after ejection 1.",
    ),
    ({"state": "draining"}, "It gets no new requests, because an operator drains it."),
    ({"state": "unknown"}, "The router has no news of it yet and tries it with requests."),
    ({}, "The router has no news of it yet and tries it with requests."),
    (
        {"state": "cold", "reason": "cold start"},
        "It starts its first instance, and gets requests where no other is ready: cold start.",
    ),
]


@pytest.mark.parametrize(("target", "expected"), CASES)
def test_a_state_is_told_with_its_effect_and_its_cause(target: JsonObject, expected: str) -> None:
    """One full stop at the end, none before it."""
    assert sentence(target) == expected


def test_a_healthy_target_that_is_limited_says_so() -> None:
    """A backoff or a small share is why it gets less than its weight."""
    limited = sentence({"state": "healthy", "backoff_s": 3, "learned": "slower than the others"})
    assert "small share: slower than the others" in limited
    assert "rate-limited" in limited
