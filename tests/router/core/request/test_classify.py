"""Claims about the class of a reply: what caused it, which component it is about, how a stream ended."""

from __future__ import annotations

import pytest

from router.core.outcomes import Outcome
from router.core.request.classify import (
    AgentTraits,
    Classification,
    ResponseKind,
    agent_traits,
    classify,
    is_not_charged,
    stream_blame,
)
from skyfleet import contract
from skyfleet.orca import LOAD_HEADER
from skyfleet.sse import LastEvent

pytestmark = pytest.mark.pure

LOAD = (LOAD_HEADER, b"TEXT application_utilization=1")


def reading(status: int, *headers: tuple[bytes, bytes]) -> Classification:
    return classify(status, dict([LOAD, *headers]), bodiless=False, identified=True, now=0.0)


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_that_is_about_the_caller_counts_against_no_target(status: int) -> None:
    """It goes elsewhere, and the target takes no rest for the others."""
    one = reading(status, (b"x-skyfleet-outcome", b"caller"), (b"retry-after", b"3600"))
    assert (one.kind, one.outcome, one.at_end, one.backoff_s) == (
        ResponseKind.NOT_PROCESSED,
        None,
        Outcome.NEUTRAL,
        None,
    )
    other = reading(status, (b"retry-after", b"3600"))
    assert other.outcome is Outcome.RATE_LIMITED


def test_an_instance_that_ends_is_like_a_refused_connection() -> None:
    """Of any request, with and without a load report; a 503 alone says that."""
    ending = (b"x-skyfleet-outcome", b"draining")
    for headers in ([LOAD, ending], [ending, (b"retry-after", b"1")]):
        one = classify(503, dict(headers), bodiless=False, identified=True, now=0.0)
        assert (one.kind, one.outcome, one.backoff_s) == (ResponseKind.FRONTEND, Outcome.NEUTRAL, None)
        assert is_not_charged(one.kind, 503)
    assert reading(200, ending).outcome is None


@pytest.mark.parametrize("status", [200, 400, 500, 503])
def test_a_kept_reply_says_nothing_of_its_target_now(status: int) -> None:
    """Neither that it failed nor how fast it is; it is worth the same."""
    kept = reading(status, (b"idempotency-replayed", b"true"), (b"content-length", b"2"))
    assert (kept.outcome, kept.at_end) == (None, Outcome.NEUTRAL)
    assert kept.kind is reading(status, (b"content-length", b"2")).kind


@pytest.mark.parametrize(
    ("path", "end", "sound"),
    [
        ("/invoke", b'event: done\ndata: {"output": "x"}\n\n', True),
        ("/invoke", b'event: error\ndata: {"error": {}}\n\n', False),
        ("/invoke", b'event: error\r\ndata: {"error": {}}\r\n\r\n', False),
        ("/invoke", b'data: {"error": {"message": "no"}}\n\n', False),
        ("/invoke", b"event: delta\ndata: the error is mine\n\n", True),
        ("/v1/chat/completions", b'data: {"choices": []}\n\ndata: [DONE]\n\n', True),
        ("/v1/chat/completions", b'data: {"choices": []}\n\n', False),
        ("/v1/chat/completions", b'data: {"error": {"message": "no"}}\n\n', False),
        ("/other", b"data: anything\n\n", True),
        ("/invoke", b"event: done\r\rdata: x\r\revent: error\rdata: {}\r\r", False),
        ("/invoke", b"event: error\ndata: x\n\n\n\n\ndata: and on\n\n", True),
        ("/invoke", b"event: error\ndata: " + b"x" * 5000 + b"\n\n", False),
        ("/v1/chat/completions", b"data: " + b"x" * 5000 + b"\n\ndata: [DONE]\n\n", True),
        ("/v1/chat/completions", b"data: [DONE]\n\n: bye\n\n", True),
        ("/v1/chat/completions", b"data: [DONE]\r\n\r\n\n: one\n\n: two\r\r", True),
        ("/v1/chat/completions", b": one\n\n: two\n\n", False),
        ("/invoke", b"event: error\ndata: x\n\n: bye\n\n", False),
        ("/invoke", b"event: error\ndata: x\n\n: and on\n\ndata: y\n\n", True),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_a_stream_that_ends_in_an_error_is_one(path: str, end: bytes, sound: bool, size: int) -> None:
    """However it arrives."""
    last = LastEvent()
    data = b"event: delta\ndata: one\n\n" * 400 + end
    for at in range(0, len(data), size):
        last.feed(data[at : at + size])
    assert (AgentTraits().stream_fault(last, path) == "") is sound


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (b'data: {"error": {"message": "no", "outcome": "dependency"}}', Outcome.NEUTRAL),
        (b'event: error\ndata: {"error":{"outcome":"dependency","message":"no"}}', Outcome.NEUTRAL),
        (b'event: error\ndata: {"error":{"outcome":"error"}}', Outcome.AGENT_ERROR),
        (b'event: error\ndata: {"error":{"message":"\\"outcome\\":\\"dependency\\""}}', Outcome.AGENT_ERROR),
        (b'data: {"choices": []}', Outcome.AGENT_ERROR),
    ],
)
def test_an_error_event_names_a_dependency_as_its_cause(event: bytes, outcome: Outcome) -> None:
    """A text of the message cannot imitate the member."""
    last = LastEvent()
    last.feed(b"data: {}\n\n" + event + b"\n\n")
    assert AgentTraits().stream_fault(last, "/v1/chat/completions") != ""
    assert stream_blame(last) is outcome


def test_a_stream_without_its_last_event_is_broken_where_agents_send_one() -> None:
    """An agent of another kind may end as it likes."""
    done, short = LastEvent(), LastEvent()
    done.feed(b"event: done\ndata: {}\n\n")
    short.feed(b"event: delta\ndata: {}\n\n")
    for kind in ("function", "generator"):
        assert agent_traits(kind).stream_fault(done, "/invoke") == ""
        assert agent_traits(kind).stream_fault(short, "/invoke") != ""
    for kind in ("asgi", ""):
        assert agent_traits(kind).stream_fault(short, "/invoke") == ""


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_the_event_that_ends_a_stream_may_be_long(size: int) -> None:
    """It has the whole reply in it; a target that says much is not broken for it."""
    agents, long = agent_traits("function"), LastEvent()
    data = b"event: delta\ndata: x\n\nevent: done\ndata: " + b"x" * 70_000 + b"\n\n"
    for at in range(0, len(data), size):
        long.feed(data[at : at + size])
    assert agents.stream_fault(long, "/invoke") == ""


def test_deployed_agents_are_identified_from_the_first_request_on() -> None:
    """Each has the middleware, which marks its replies. Of a target that was listed by hand nothing is
    known."""
    assert all(agent_traits(kind).identified for kind in contract.AGENT_KINDS)
    assert not agent_traits("").identified


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        (ResponseKind.FRONTEND, 503, True),
        (ResponseKind.FRONTEND, 500, True),
        (ResponseKind.FRONTEND, 404, False),
        (ResponseKind.UNKNOWN, 502, False),
        (ResponseKind.NOT_PROCESSED, 503, False),
    ],
)
def test_only_a_platform_without_an_agent_is_not_charged(
    kind: ResponseKind, status: int, expected: bool
) -> None:
    """A platform's 502 may come from an agent that died while it executed."""
    assert is_not_charged(kind, status) is expected
