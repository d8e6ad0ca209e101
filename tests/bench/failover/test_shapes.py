"""Tests of the requests and replies of the failover bench."""

from __future__ import annotations

import json

import pytest

from bench.failover import shapes

pytestmark = pytest.mark.pure

STREAM = b"".join(shapes.events("7-00001"))


def test_the_id_travels_in_the_body() -> None:
    """Some routers drop unknown header fields."""
    body = shapes.request_body("7-00001", stream=True, repeatable=True)
    assert shapes.request_id_of(body) == "7-00001"


@pytest.mark.parametrize(
    "body", [None, [], {}, {"messages": []}, {"messages": [{"content": "are you there?"}]}]
)
def test_a_health_check_is_no_request_of_the_load(body: object) -> None:
    """A probe by a router is not counted as an attempt."""
    assert shapes.request_id_of(body) == ""


def test_only_retryable_requests_have_an_idempotency_key() -> None:
    """A request that must not be repeated has `disable_fallbacks`, which LiteLLM reads."""
    assert shapes.request_headers("a", repeatable=True)["idempotency-key"] == "a"
    assert "idempotency-key" not in shapes.request_headers("a", repeatable=False)
    assert shapes.request_body("a", stream=False, repeatable=False)["disable_fallbacks"] is True


def test_a_whole_reply_is_good() -> None:
    """This holds for a JSON reply and for a stream."""
    assert shapes.fault_of_reply("7-00001", json.dumps(shapes.reply("7-00001")).encode()) == ""
    assert shapes.fault_of_stream("7-00001", STREAM) == ""


@pytest.mark.parametrize("kept", range(shapes.PIECES + 2))
def test_a_stream_without_its_final_events_is_lost(kept: int) -> None:
    """A stream counts as lost after any truncation."""
    assert shapes.fault_of_stream("7-00001", b"".join(shapes.events("7-00001")[:kept])) != ""


def test_a_stream_that_was_patched_up_is_not_whole() -> None:
    """A stream that skips events, starts again in the middle or carries an error event counts as lost."""
    events = shapes.events("7-00001")
    assert shapes.fault_of_stream("7-00001", b"".join([*events[:2], *events[-2:]])) != ""
    assert shapes.fault_of_stream("7-00001", b"".join([*events[:2], *events])) != ""
    assert shapes.fault_of_stream("7-00001", events[0] + b'data: {"error": {}}\n\n' + events[-1]) != ""


def test_another_requests_reply_is_not_good() -> None:
    """A reply with the id of another request counts as lost."""
    assert shapes.fault_of_reply("7-00002", json.dumps(shapes.reply("7-00001")).encode()) != ""
    assert shapes.fault_of_stream("7-00002", STREAM) != ""
    assert shapes.fault_of_reply("7-00001", b"<html>") != ""


def test_service_times_are_distributed_as_documented() -> None:
    """The median is 50 ms and p99 about twice as long; equal requests take equal times."""
    times = sorted(shapes.service_s(1, str(number)) for number in range(4000))
    assert times[2000] == pytest.approx(shapes.MEDIAN_S, rel=0.05)
    assert times[3960] == pytest.approx(2 * shapes.MEDIAN_S, rel=0.1)
    assert shapes.service_s(1, "9") == shapes.service_s(1, "9")


def test_a_quarter_of_the_requests_is_poison_and_one_client_sends_a_quarter() -> None:
    """Both follow from the id alone, so each target and the scoreboard know them."""
    ids = [f"4-{number:05d}" for number in range(2_000)]
    for action in ("poison", "tenant"):
        share = sum(shapes.fails_everywhere(action, one) for one in ids) / len(ids)
        assert share == pytest.approx(0.25, abs=0.03)
    assert not any(shapes.fails_everywhere("build", one) for one in ids)
    assert shapes.request_headers(ids[0], repeatable=False)["x-api-key"] == shapes.client_of(ids[0])
