"""Tests of the classification of reply heads: tables of status, fields and what follows from them."""

from __future__ import annotations

import pytest

from router.core.health.fleet import Outcome
from router.core.request.classify import (
    LOAD_HEADER,
    Classification,
    Responder,
    ResponseKind,
    classify,
    is_not_charged,
    is_ordinary,
    parse_load,
    parse_retry_after,
    responder,
    unless_refused,
)
from skyfleet.asgi import Header

pytestmark = pytest.mark.pure

LOAD = (LOAD_HEADER, b"TEXT application_utilization=1")
JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream")
NOW = 1_700_000_000.0


def of(status: int, *headers: Header, bodiless: bool = False) -> Classification:
    return classify(status, dict(headers), bodiless=bodiless, identified=True, now=NOW)


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ([JSON], ResponseKind.BUFFER),
        ([(b"content-type", b"Application/Problem+JSON; charset=utf-8")], ResponseKind.BUFFER),
        ([(b"content-type", b"application/x-ndjson")], ResponseKind.PASS),
        ([], ResponseKind.PASS),
        ([JSON, (b"content-length", b"65536")], ResponseKind.BUFFER),
        ([JSON, (b"content-length", b"65537")], ResponseKind.PASS),
        ([JSON, (b"content-length", b"999999")], ResponseKind.PASS),
        ([JSON, (b"content-length", b"-1")], ResponseKind.PASS),
        ([EVENTS], ResponseKind.STREAM),
        ([EVENTS, (b"content-encoding", b"gzip")], ResponseKind.PASS),
    ],
)
def test_the_kind_of_a_good_reply_follows_from_its_length_and_type(
    headers: list[Header], kind: ResponseKind
) -> None:
    """Small replies and JSON documents are buffered, readable event streams are streams, others pass."""
    found = of(200, LOAD, *headers)
    assert (found.kind, found.outcome, found.at_end) == (kind, None, Outcome.SUCCESS)
    assert found.events is (kind is ResponseKind.STREAM)
    assert found.sized is any(name == b"content-length" for name, _ in headers)


def test_the_reply_to_head_passes_and_a_cold_start_is_noted() -> None:
    """A reply to HEAD has no body to wait for, whatever its length says."""
    assert of(200, LOAD, JSON, bodiless=True).kind is ResponseKind.PASS
    assert of(200, LOAD, (b"x-skyfleet-cold", b"true")).at_end is Outcome.COLD


@pytest.mark.parametrize(
    ("status", "headers", "kind", "outcome"),
    [
        (200, [(b"x-skyfleet-outcome", b"error")], ResponseKind.SERVER_ERROR, Outcome.AGENT_ERROR),
        (500, [], ResponseKind.SERVER_ERROR, Outcome.AGENT_ERROR),
        (502, [], ResponseKind.SERVER_ERROR, Outcome.AGENT_ERROR),
        (503, [], ResponseKind.NOT_PROCESSED, Outcome.AGENT_ERROR),
        (504, [], ResponseKind.SERVER_ERROR, Outcome.AGENT_ERROR),
        (501, [], ResponseKind.PASS, Outcome.AGENT_ERROR),
        (429, [], ResponseKind.NOT_PROCESSED, Outcome.RATE_LIMITED),
        (503, [(b"retry-after", b"7")], ResponseKind.NOT_PROCESSED, Outcome.RATE_LIMITED),
        (503, [(b"retry-after", b"soon")], ResponseKind.NOT_PROCESSED, Outcome.AGENT_ERROR),
    ],
)
def test_an_error_of_the_agent_counts_at_its_head(
    status: int, headers: list[Header], kind: ResponseKind, outcome: Outcome
) -> None:
    """With the load header, each status has one kind and one outcome."""
    found = of(status, LOAD, *headers)
    assert (found.kind, found.outcome, found.at_end) == (kind, outcome, outcome)
    assert found.backoff_s == (7.0 if (b"retry-after", b"7") in headers else None)
    assert str(status) in found.why or "called its reply an error" in found.why


@pytest.mark.parametrize("status", [200, 400, 401, 404, 408, 413, 422, 429, 500, 501, 502, 503, 504, 529])
def test_the_answer_of_a_dependency_is_forwarded_and_counts_for_nothing(status: int) -> None:
    """Another cloud would get the same answer, so there is no second attempt, no failure and no backoff."""
    told = (b"x-skyfleet-outcome", b"dependency")
    found = of(status, LOAD, JSON, told, (b"retry-after", b"7"))
    assert (found.kind, found.outcome, found.at_end) == (ResponseKind.BUFFER, None, Outcome.NEUTRAL)
    assert (found.backoff_s, found.why) == (None, "")
    assert of(status, LOAD, told).kind is ResponseKind.PASS
    assert of(status, LOAD, told, EVENTS).kind is ResponseKind.STREAM


@pytest.mark.parametrize("status", [429, 502, 503])
def test_an_unknown_outcome_changes_nothing(status: int) -> None:
    """A value of a later release is read as if it were absent."""
    assert of(status, LOAD, (b"x-skyfleet-outcome", b"weather")) == of(status, LOAD)


@pytest.mark.parametrize(
    ("status", "identified", "later", "expected"),
    [
        (401, False, False, Responder.FRONTEND),
        (403, False, False, Responder.FRONTEND),
        (404, False, False, Responder.FRONTEND),
        (421, False, False, Responder.FRONTEND),
        (413, False, False, Responder.LIMIT),
        (414, True, False, Responder.LIMIT),
        (431, False, False, Responder.LIMIT),
        (302, True, False, Responder.FRONTEND),
        (302, False, False, Responder.AGENT),
        (503, True, False, Responder.FRONTEND),
        (503, True, True, Responder.AGENT),
        (503, False, False, Responder.AGENT),
        (200, True, False, Responder.UNKNOWN),
        (200, False, False, Responder.AGENT),
        (500, True, False, Responder.UNKNOWN),
        (502, True, False, Responder.UNKNOWN),
        (400, True, False, Responder.LIMIT),
        (405, True, False, Responder.LIMIT),
        (400, False, False, Responder.AGENT),
        (429, True, False, Responder.AGENT),
    ],
)
def test_the_sender_of_a_reply_without_the_load_header(
    status: int, identified: bool, later: bool, expected: Responder
) -> None:
    """Denials never come from an agent; the other rules hold once the fleet has sent the header."""
    assert responder(status, identified=identified, later=later) is expected


@pytest.mark.parametrize(
    ("status", "kind", "outcome", "charged"),
    [
        (413, ResponseKind.NOT_PROCESSED, None, True),
        (404, ResponseKind.FRONTEND, Outcome.FAILURE, True),
        (503, ResponseKind.FRONTEND, Outcome.FAILURE, False),
        (502, ResponseKind.UNKNOWN, Outcome.FAILURE, True),
    ],
)
def test_a_reply_of_another_component_is_never_forwarded(
    status: int, kind: ResponseKind, outcome: Outcome | None, charged: bool
) -> None:
    """It is NEUTRAL at its end; a 5xx of a front end means that nothing can have executed."""
    found = of(status)
    assert (found.kind, found.outcome, found.at_end) == (kind, outcome, Outcome.NEUTRAL)
    assert is_not_charged(found.kind, status) is not charged


def test_a_client_error_without_the_load_header_says_nothing_about_health() -> None:
    """An agent that is no function may send a 400 without the header."""
    found = of(400)
    assert (found.outcome, found.at_end) == (None, Outcome.NEUTRAL)


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("POST", b"/invoke", True),
        ("GET", b"/a?x=%2F//.", True),
        ("TRACE", b"/invoke", False),
        ("GET", b"/robots.txt", True),
        ("GET", b"/Admin/host", False),
        ("GET", b"/runtime/webhooks", False),
        ("GET", b"/a%2Fb", False),
        ("GET", b"/a//b", False),
        ("GET", b"/a/../b", False),
        ("GET", b"/a\\b", False),
        ("GET", b"/a?q=%22&b=c+d", True),
        ("GET", b"/a?q=it's", False),
        ("GET", b'/a?q="', False),
        ("GET", b"/a?q={x}", False),
    ],
)
def test_only_an_ordinary_request_blames_a_target_for_a_rejection(
    method: str, target: bytes, expected: bool
) -> None:
    """Front ends answer or rewrite the others themselves."""
    assert is_ordinary(method, target) is expected


def test_octets_beyond_ascii_in_a_field_blame_no_target() -> None:
    """Some front ends refuse them, or change them."""
    assert is_ordinary("GET", b"/a", [(b"x", b"caf%C3%A9")])
    assert not is_ordinary("GET", b"/a", [(b"x", b"1"), (b"y", b"caf\xe9")])


@pytest.mark.parametrize(
    ("status", "cloud", "value", "kind"),
    [
        (502, "azure", b"caf\xe9", ResponseKind.FRONTEND),
        (502, "azure", b"cafe", ResponseKind.UNKNOWN),
        (502, "gcp", b"caf\xe9", ResponseKind.UNKNOWN),
        (500, "azure", b"caf\xe9", ResponseKind.UNKNOWN),
    ],
)
def test_the_host_of_azure_sends_no_request_with_octets_beyond_ascii(
    status: int, cloud: str, value: bytes, kind: ResponseKind
) -> None:
    """So its 502 was sent before the agent."""
    found = classify(status, {}, bodiless=False, identified=True, now=0.0)
    assert found.kind is ResponseKind.UNKNOWN
    assert unless_refused(found, status, cloud, [(b"x", value)]).kind is kind


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (b"TEXT application_utilization=0.5", 0.5),
        (b"TEXT cpu_utilization=1,application_utilization=2,x=3", 2.0),
        (b"TEXT cpu_utilization=1", None),
        (b"TEXT application_utilization=much", None),
        (b"TEXT application_utilization=-1", None),
        (b"TEXT application_utilization=inf", None),
        (b"TEXT application_utilization=nan", None),
    ],
)
def test_the_load_is_a_finite_number_from_0(metrics: bytes, expected: float | None) -> None:
    """Anything else counts as no report."""
    assert parse_load(metrics) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (b"7", 7.0),
        (b" 7 ", 7.0),
        (b"9" * 400, 999_999_999_999.0),
        (b"Tue, 14 Nov 2023 22:14:00 GMT", 40.0),
        (b"Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        (b"Tue, 14 Nov 99999 22:13:00 GMT", None),
        (b"soon", None),
        (b"", None),
        (b"-1", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: bytes | None, expected: float | None) -> None:
    """A date in the past is 0 s; what is neither is no Retry-After."""
    assert parse_retry_after(value, NOW) == expected
