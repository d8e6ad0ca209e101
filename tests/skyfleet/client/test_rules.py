"""Tests of what a client repeats."""

from __future__ import annotations

import httpx
import httpx2
import pytest

from skyfleet.client.rules import (
    Failure,
    Verdict,
    after_failure,
    after_reply,
    failure_of,
    is_repeatable,
)

pytestmark = pytest.mark.pure

ROUTER = {"x-request-id": "1"}
STAYS, GOES_ON = Verdict(lost=False, go_on=False), Verdict(lost=False, go_on=True)
LOST, NEXT = Verdict(lost=True, go_on=False), Verdict(lost=True, go_on=True)


@pytest.mark.parametrize(
    ("method", "headers", "repeatable"),
    [
        ("GET", {}, True),
        ("get", {}, True),
        ("PUT", {}, True),
        ("DELETE", {}, True),
        ("POST", {}, False),
        ("PATCH", {}, False),
        ("POST", {"idempotency-key": "k1"}, True),
        ("POST", {"idempotency-key": '"k1"'}, True),
        ("POST", {"idempotency-key": ""}, False),
        ("POST", {"idempotency-key": '"k1'}, False),
        ("POST", {"idempotency-key": "é"}, False),
    ],
)
def test_idempotent_methods_and_keys_may_be_repeated(
    method: str, headers: dict[str, str], repeatable: bool
) -> None:
    """A key that routers refuse is none."""
    assert is_repeatable(method, headers) is repeatable


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("ConnectError", Failure.NOT_SENT),
        ("ConnectTimeout", Failure.NOT_SENT),
        ("ReadError", Failure.BROKEN),
        ("WriteError", Failure.BROKEN),
        ("WriteTimeout", Failure.BROKEN),
        ("RemoteProtocolError", Failure.BROKEN),
        ("ReadTimeout", Failure.TIMED_OUT),
        ("PoolTimeout", Failure.OWN),
        ("LocalProtocolError", Failure.OWN),
        ("UnsupportedProtocol", Failure.OWN),
    ],
)
def test_errors_of_both_libraries_have_one_meaning(library: object, name: str, failure: Failure) -> None:
    """By their names, which both have."""
    assert failure_of(getattr(library, name)("x")) is failure


@pytest.mark.parametrize(
    ("failure", "repeatable", "verdict"),
    [
        (Failure.NOT_SENT, False, NEXT),
        (Failure.NOT_SENT, True, NEXT),
        (Failure.BROKEN, False, LOST),
        (Failure.BROKEN, True, NEXT),
        (Failure.TIMED_OUT, True, LOST),
        (Failure.OWN, True, STAYS),
    ],
)
def test_what_was_sent_is_repeated_only_if_it_may_be(
    failure: Failure, repeatable: bool, verdict: Verdict
) -> None:
    """What was not sent always goes on."""
    assert after_failure(failure, repeatable=repeatable) == verdict


@pytest.mark.parametrize(
    ("status", "headers", "repeatable", "verdict"),
    [
        (200, ROUTER, True, STAYS),
        (500, ROUTER, True, STAYS),
        (504, ROUTER, True, STAYS),
        (429, ROUTER, True, STAYS),
        (503, ROUTER, False, STAYS),
        (503, {**ROUTER, "x-should-retry": "false"}, True, STAYS),
        (503, {**ROUTER, "x-should-retry": "true"}, False, GOES_ON),
        (500, {**ROUTER, "x-should-retry": "true"}, True, STAYS),
        (200, {}, True, STAYS),
        (503, {}, False, NEXT),
        (429, {}, False, NEXT),
        (404, {}, False, NEXT),
        (403, {}, False, NEXT),
        (502, {}, False, LOST),
        (504, {}, False, LOST),
        (502, {}, True, NEXT),
    ],
)
def test_replies_of_a_router_are_the_callers_and_errors_of_a_platform_are_not(
    status: int, headers: dict[str, str], repeatable: bool, verdict: Verdict
) -> None:
    """After 502 and 504 the function may have run."""
    assert after_reply(status, headers, repeatable=repeatable) == verdict
