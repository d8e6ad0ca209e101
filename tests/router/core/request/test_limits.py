"""Claims about what is settled when a request begins."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from router.core.policy import DEFAULT
from router.core.request.limits import is_repeatable, request_limits
from router.core.request.options import NONE, RequestOptions

pytestmark = pytest.mark.pure

KEYED = RequestOptions(key=b"k1")
# Of a request that arrives at 10 s.
LATEST = 10.0 + DEFAULT.deadline_s


@pytest.mark.parametrize(
    ("method", "options", "repeatable", "affinity"),
    [
        ("GET", NONE, True, b""),
        ("GET", KEYED, True, b""),
        ("PUT", NONE, True, b""),
        ("PUT", KEYED, True, b"k1"),
        ("POST", NONE, False, b""),
        ("POST", KEYED, True, b"k1"),
        ("PATCH", NONE, False, b""),
    ],
)
def test_methods_and_keys_say_what_may_be_repeated(
    method: str, options: RequestOptions, repeatable: bool, affinity: bytes
) -> None:
    """An idempotent method or an Idempotency-Key; agents ignore a key on safe methods."""
    assert is_repeatable(method, options) is repeatable
    limits = request_limits(method, options, DEFAULT, 3, 10.0, math.inf)
    assert (limits.repeatable, limits.affinity_key) == (repeatable, affinity)


@pytest.mark.parametrize(
    ("method", "hedge", "retries_only"),
    [("GET", "auto", False), ("POST", "auto", True), ("POST", "on", False), ("DELETE", "off", False)],
)
def test_a_key_alone_allows_no_hedge(method: str, hedge: str, retries_only: bool) -> None:
    """It prevents a second execution within one cloud only; `hedge: on` accepts that."""
    limits = request_limits(method, KEYED, replace(DEFAULT, hedge=hedge), 3, 10.0, 0.1)
    assert limits.retries_only is retries_only


@pytest.mark.parametrize(
    ("timeout_s", "deadline", "client"), [(None, LATEST, math.inf), (2.0, 12.0, 12.0), (500.0, LATEST, 510.0)]
)
def test_the_earlier_of_two_deadlines_counts(timeout_s: float | None, deadline: float, client: float) -> None:
    """The client's own is for the end of the reply, the policy's for its begin."""
    limits = request_limits("POST", RequestOptions(timeout_s=timeout_s), DEFAULT, 3, 10.0, math.inf)
    assert (limits.deadline, limits.client_deadline) == (deadline, client)
