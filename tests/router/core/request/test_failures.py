"""Tests of the errors and the response headers that the router itself gives to clients."""

from __future__ import annotations

import json

import pytest

from router.core.outcomes import Outcome
from router.core.request.failures import (
    ERROR_RULES,
    AttemptError,
    ErrorRule,
    Fail,
    error_reply,
    invalid_response,
    may_have_run,
    no_reply,
    response_lines,
    retry_advice,
    too_late,
)
from router.core.targets import Choice
from skyfleet.asgi import Header
from skyfleet.http1.lines import fields_of

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("fail", "status", "code", "retry"),
    [
        (no_reply(["a: reset"], slow=False, sent=True), 503, "no-target", True),
        (no_reply([], slow=True, sent=False), 504, "no-answer", True),
        (too_late([], [], 60, safe=False), 504, "deadline", True),
        (too_late(["a: reset"], ["b"], 60, safe=True), 504, "deadline", True),
        (too_late([], ["b"], 60, safe=False), 504, "deadline", False),
        (may_have_run("a", "reset"), 502, "may-have-run", False),
        (may_have_run("a", "unresponsive", slow=True), 504, "may-have-run", False),
        (invalid_response("a", "a status of 600"), 502, "invalid-response", False),
    ],
)
def test_each_end_without_a_reply_has_one_error(fail: Fail, status: int, code: str, retry: bool) -> None:
    """Only a request that may be repeated gets a Retry-After; SDKs are told not to repeat any other."""
    assert (fail.status, fail.code, fail.retry) == (status, code, retry)
    headers, body = error_reply(fail, 5)
    assert json.loads(body)["error"] == {
        "code": code,
        "message": fail.reason,
        "type": "server_error",
        "param": None,
    }
    assert (b"content-length", str(len(body)).encode()) in headers
    assert ((b"retry-after", b"5") in headers) is retry
    assert (b"x-should-retry", b"true" if retry else b"false") in headers


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (too_late([], [], -0.5, safe=True), b"1"),
        (too_late([], ["b"], 0.3, safe=True), b"1"),
        (too_late([], ["b"], 4.4, safe=True), b"5"),
        (too_late([], ["b"], 60.0, safe=True), b"10"),
        (no_reply([], slow=False, sent=True), b"10"),
        (no_reply([], slow=True, sent=True), b"10"),
    ],
)
def test_a_client_waits_for_no_longer_than_its_own_deadline(fail: Fail, expected: bytes) -> None:
    """The targets were too slow for it, but may well serve. Where none does, it waits until one may."""
    headers, _ = error_reply(fail, 10)
    assert dict(headers)[b"retry-after"] == expected


@pytest.mark.parametrize(
    ("error", "sent", "elsewhere", "returns", "outcome"),
    [
        (AttemptError.CONNECT, False, True, False, Outcome.SILENCE),
        (AttemptError.OVERFLOW, False, True, False, Outcome.NEUTRAL),
        (AttemptError.RESET, True, True, True, Outcome.SILENCE),
        (AttemptError.TRUNCATED, True, True, True, Outcome.FAILURE),
        (AttemptError.UNRESPONSIVE, True, True, False, Outcome.UNRESPONSIVE),
        (AttemptError.INVALID, True, False, False, Outcome.AGENT_ERROR),
    ],
)
def test_each_error_of_an_attempt_has_one_rule(
    error: AttemptError, sent: bool, elsewhere: bool, returns: bool, outcome: Outcome
) -> None:
    """Missing bytes lead to another target; wrong bytes are the agent's, and are compared like its errors."""
    assert ERROR_RULES[error] == ErrorRule(sent, elsewhere, returns, outcome)
    assert set(ERROR_RULES) == set(AttemptError)


TRUE, FALSE = b"true", b"false"


@pytest.mark.parametrize(
    ("status", "plain", "repeatable", "keyed"),
    [
        (200, None, None, None),
        (400, None, None, None),
        (404, None, None, None),
        (408, FALSE, TRUE, FALSE),
        (409, FALSE, TRUE, FALSE),
        (422, None, None, None),
        (429, TRUE, TRUE, TRUE),
        (500, FALSE, TRUE, FALSE),
        (501, FALSE, TRUE, FALSE),
        (502, FALSE, TRUE, FALSE),
        (503, TRUE, TRUE, TRUE),
        (504, FALSE, TRUE, FALSE),
        (529, FALSE, TRUE, FALSE),
    ],
)
def test_sdks_are_told_of_each_error_whether_to_repeat_it(
    status: int, plain: bytes | None, repeatable: bytes | None, keyed: bytes | None
) -> None:
    """A keyed request would get the stored reply again; with 429 and 503 the agent has done nothing."""

    def advice(*fields: Header, repeatable: bool = False, keyed: bool = False) -> bytes | None:
        return dict(retry_advice(status, fields, repeatable=repeatable, keyed=keyed)).get(b"x-should-retry")

    assert advice() == plain
    assert advice(repeatable=True) == repeatable
    assert advice(repeatable=True, keyed=True) == keyed
    assert advice((b"x-should-retry", b"true"), repeatable=True) is None


def test_an_error_tells_whether_the_request_may_have_run() -> None:
    """The message names every target and each cause."""
    assert "may be repeated" in too_late(["a: reset"], ["b"], 60, safe=True).reason
    assert "may have run" in too_late([], ["b"], 60, safe=False).reason
    assert "nothing was sent" in too_late([], [], 60, safe=True).reason
    assert "no target may be tried" in no_reply([], slow=False, sent=False).reason
    assert "a: reset; b: reset" in no_reply(["a: reset", "b: reset"], slow=False, sent=True).reason


@pytest.mark.parametrize(
    ("choice", "hedged", "expected"),
    [
        (None, False, []),
        (Choice("aws/r", False), False, [(b"x-skyfleet-target", b"aws/r")]),
        (
            Choice("aws/r", False, panic=True),
            True,
            [
                (b"x-skyfleet-hedged", b"true"),
                (b"x-skyfleet-target", b"aws/r"),
                (b"x-skyfleet-panic", b"true"),
            ],
        ),
    ],
)
def test_a_reply_names_its_target_its_attempts_and_its_times(
    choice: Choice | None, hedged: bool, expected: list[Header]
) -> None:
    """Fields that say nothing are left out."""
    found = fields_of(response_lines(b"id", 2, (12.0, 10.0), choice, hedged=hedged))
    assert found[:3] == [
        (b"x-request-id", b"id"),
        (b"x-skyfleet-attempts", b"2"),
        (b"server-timing", b"upstream;dur=10.0, router;dur=2.0"),
    ]
    assert found[3:] == expected


def test_the_routers_share_of_the_time_is_never_negative() -> None:
    """The attempt's clock may have been read later."""
    found = dict(fields_of(response_lines(b"id", 1, (9.0, 10.0), None, hedged=False)))
    assert found[b"server-timing"] == b"upstream;dur=10.0, router;dur=0.0"
