"""Claims about what the board's client and targets say to each other."""

from __future__ import annotations

import json

import pytest

from bench.failover import shapes

pytestmark = pytest.mark.pure

STREAM = b"".join(shapes.events("7-00001"))


def test_the_id_travels_in_the_body() -> None:
    """Not every router hands on unknown header fields."""
    body = shapes.request_body("7-00001", stream=True, repeatable=True)
    assert shapes.ident_of(body) == "7-00001"


@pytest.mark.parametrize(
    "body", [None, [], {}, {"messages": []}, {"messages": [{"content": "are you there?"}]}]
)
def test_a_health_check_is_no_request_of_the_load(body: object) -> None:
    """It counts as nobody's attempt."""
    assert shapes.ident_of(body) == ""


def test_only_what_may_be_repeated_carries_a_key() -> None:
    """And what may not says so in the words that LiteLLM reads."""
    assert shapes.request_headers("a", repeatable=True) == {"idempotency-key": "a"}
    assert "idempotency-key" not in shapes.request_headers("a", repeatable=False)
    assert shapes.request_body("a", stream=False, repeatable=False)["disable_fallbacks"] is True


def test_a_whole_reply_is_good() -> None:
    """Plain or as a stream."""
    assert shapes.fault_of_reply("7-00001", json.dumps(shapes.reply("7-00001")).encode()) == ""
    assert shapes.fault_of_stream("7-00001", STREAM) == ""


@pytest.mark.parametrize("kept", range(shapes.PIECES + 2))
def test_a_stream_without_its_final_events_is_lost(kept: int) -> None:
    """Wherever it was cut."""
    assert shapes.fault_of_stream("7-00001", b"".join(shapes.events("7-00001")[:kept])) != ""


def test_a_stream_that_was_patched_up_is_not_whole() -> None:
    """A router that hides a cut behind a final event, or begins anew in the middle, does not get away."""
    events = shapes.events("7-00001")
    assert shapes.fault_of_stream("7-00001", b"".join([*events[:2], *events[-2:]])) != ""
    assert shapes.fault_of_stream("7-00001", b"".join([*events[:2], *events])) != ""
    assert shapes.fault_of_stream("7-00001", events[0] + b'data: {"error": {}}\n\n' + events[-1]) != ""


def test_another_requests_reply_is_not_good() -> None:
    """Mixed-up replies are lost ones."""
    assert shapes.fault_of_reply("7-00002", json.dumps(shapes.reply("7-00001")).encode()) != ""
    assert shapes.fault_of_stream("7-00002", STREAM) != ""
    assert shapes.fault_of_reply("7-00001", b"<html>") != ""


def test_service_times_are_those_that_the_document_tells() -> None:
    """Half within 50 ms, one in a hundred about twice as long, the same for the same request."""
    times = sorted(shapes.service_s(1, str(number)) for number in range(4000))
    assert times[2000] == pytest.approx(shapes.MEDIAN_S, rel=0.05)
    assert times[3960] == pytest.approx(2 * shapes.MEDIAN_S, rel=0.1)
    assert shapes.service_s(1, "9") == shapes.service_s(1, "9")
