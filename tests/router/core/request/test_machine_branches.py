"""Tests of the request machine's rare branches: late events and a client that reads slowly."""

from __future__ import annotations

import math

import pytest

from router.core.policy import DEFAULT
from router.core.request import actions as a
from router.core.request.classify import ResponseKind
from router.core.request.failures import AttemptError, Fail
from router.core.request.stream import ResumableStream
from tests.router.core.request.driving import ALL, NOW, Driven, choices, limits, reply

pytestmark = pytest.mark.pure


def test_an_event_of_an_attempt_that_is_over_is_a_defect_of_the_driver() -> None:
    """The head of a failed attempt raises, and so does its second error."""
    one = Driven(limits(repeatable=True), choices("a", "b"))
    one.error(0, AttemptError.RESET)
    with pytest.raises(ValueError, match="0"):
        one.machine.on_head(0, 200, reply(ResponseKind.PASS), NOW)
    with pytest.raises(ValueError, match="not running"):
        one.error(0, AttemptError.CONNECT)


def test_the_break_of_a_reply_that_nothing_needs_has_no_effect() -> None:
    """Its attempt has failed already and is not kept."""
    one = Driven(limits(repeatable=True), choices("a", "b"))
    one.error(0, AttemptError.RESET)
    assert one.truncated(0) == ()


def test_a_pause_before_the_reply_counts_once_it_is_forwarded() -> None:
    """While the client does not read, silence of the target is no fault; when it reads on, it is."""
    one = Driven(limits(), choices("a"))
    wake_at = one.machine.wake_at
    one.machine.on_pause()
    assert one.machine.wake_at == wake_at
    one.head(0, 200, ResponseKind.PASS, at=1.0)
    assert one.machine.wake_at == math.inf
    one.machine.on_resume(NOW + 400.0)
    assert one.due_s == 400.0 + DEFAULT.deadline_s


def test_reading_on_before_the_reply_changes_no_deadline() -> None:
    """Pause and resume may both come before there is anything to read."""
    one = Driven(limits(), choices("a"))
    wake_at = one.machine.wake_at
    one.machine.on_pause()
    one.machine.on_resume(NOW + 1.0)
    assert one.machine.wake_at == wake_at
    assert one.head(0, 200, ResponseKind.PASS, at=2.0) == (a.Forward(0, False),)


def test_a_reply_that_is_being_buffered_is_not_hedged() -> None:
    """Its head is good, so only a short body is awaited."""
    one = Driven(limits(repeatable=True, parallel=2, hedge_after_s=1.0), choices("a", "b"))
    one.head(0, 200, ResponseKind.BUFFER)
    one.error(1, AttemptError.RESET)
    assert one.time(1.5) == ()


def test_a_stream_that_may_not_resume_keeps_no_digest() -> None:
    """Its events are forwarded all the same."""
    stream = ResumableStream(may_resume=False)
    assert stream.feed(b"data: one\n\ndata") == b"data: one\n\n"
    assert not stream.may_resume


def test_only_the_beginning_of_a_stream_is_kept_as_it_is() -> None:
    """The rest of a long stream is compared by length and digest."""
    events = [b"data: %s\n\n" % (b"x" * 3000) for _ in range(3)]
    stream = ResumableStream(may_resume=True)
    assert [stream.feed(one) for one in events] == events
    stream.restart()
    assert stream.feed(b"".join(events) + b"data: more\n\n") == b"data: more\n\n"


def test_an_unresponsive_target_may_have_executed_the_request() -> None:
    """Neither a reply nor an answer to the probe: the request is not sent again, and the client is told."""
    one = Driven(limits(), choices("a", "b"))
    assert one.time(2.0) == (a.Probe(0),)
    cancel, fail = one.time(4.0)
    assert isinstance(cancel, a.Cancel)
    assert isinstance(fail, Fail)
    assert (cancel.number, fail.status, fail.code) == (0, 504, "may-have-run")


@pytest.mark.parametrize(
    ("repeatable", "sent", "retry"), [(True, True, True), (False, True, False), (False, False, True)]
)
def test_a_request_that_outlives_its_router_is_told_so(repeatable: bool, sent: bool, retry: bool) -> None:
    """Before its reply began: 503, and whether a repeat is harmless."""
    one = Driven(limits(repeatable=repeatable), ALL if sent else ())
    (fail,) = one.machine.on_expire()
    assert isinstance(fail, Fail)
    assert (fail.status, fail.code, fail.retry) == (503, "draining", retry)
    assert one.machine.on_expire() == ()


@pytest.mark.parametrize("kind", [ResponseKind.STREAM, ResponseKind.PASS])
def test_a_reply_that_outlives_its_router_never_looks_complete(kind: ResponseKind) -> None:
    """A stream ends in an error event, any other reply breaks off."""
    one = Driven(limits(repeatable=True))
    one.head(0, 200, kind)
    if kind is ResponseKind.STREAM:
        one.ready(0)
    (abort,) = one.machine.on_expire()
    assert isinstance(abort, a.Abort)
    assert (abort.code, abort.as_event) == ("draining", kind is ResponseKind.STREAM)


@pytest.mark.parametrize(
    ("kind", "repeatable", "expected"),
    [
        (ResponseKind.STREAM, True, True),
        (ResponseKind.STREAM, False, False),
        (ResponseKind.PASS, True, False),
    ],
)
def test_only_a_stream_of_a_repeatable_request_may_be_resumed(
    kind: ResponseKind, repeatable: bool, expected: bool
) -> None:
    """Any other body is not needed once its reply is forwarded."""
    one = Driven(limits(repeatable=repeatable))
    assert not one.machine.may_resume
    one.head(0, 200, kind)
    if one.machine.forwarded is None:
        one.ready(0)
    assert one.machine.may_resume is expected
