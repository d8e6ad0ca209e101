"""Claims about replies that are not valid HTTP/1.1: the agent's bug, told once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.core.policy import DEFAULT
from router.core.request import actions as a
from router.core.request.classify import ResponseKind
from router.core.request.failures import AttemptError, Fail
from tests.router.core.request.driving import ALL, NOW, Driven, choices, limits

pytestmark = pytest.mark.pure

INVALID = AttemptError.INVALID
POLICY = replace(DEFAULT, queue_timeout_s=0.0)


def begun(*, repeatable: bool, parallel: int = 1) -> Driven:
    return Driven(limits(policy=POLICY, repeatable=repeatable, parallel=parallel), ALL)


def invalid(one: Driven, number: int) -> a.Actions:
    return one.run(one.machine.on_error(number, INVALID, NOW, "a status of 600"), NOW)


def ends(actions: a.Actions) -> Fail:
    (fail,) = actions
    assert isinstance(fail, Fail)
    return fail


@pytest.mark.parametrize("repeatable", [True, False])
def test_an_invalid_reply_is_told_after_one_attempt(repeatable: bool) -> None:
    """Whether a repeat would be harmless or not; the message says what is wrong, and at which target."""
    one = begun(repeatable=repeatable)
    fail = ends(invalid(one, 0))
    assert (fail.status, fail.code, fail.retry) == (502, "invalid-response", False)
    assert "at a sent a reply that is not valid HTTP/1.1: a status of 600." in fail.reason
    assert len(one.machine.attempts) == 1


def test_what_runs_beside_it_goes_on() -> None:
    """Of two redundant attempts one reply is invalid: no third is sent, and the other reply is forwarded."""
    one = begun(repeatable=True, parallel=2)
    assert invalid(one, 0) == ()
    assert one.machine.wake_at > NOW
    one.head(1, 200, ResponseKind.BUFFER)
    assert one.ready(1) == (a.Abandon(0, a.Abandoned.UNUSED), a.Forward(1))


def test_a_broken_connection_beside_it_is_retried_as_always() -> None:
    """The invalid reply is no reason against another attempt for the other failure."""
    one = begun(repeatable=True, parallel=2)
    invalid(one, 0)
    (sent,) = one.error(1, AttemptError.RESET)
    assert isinstance(sent, a.Send)
    assert (sent.number, sent.choice.key) == (2, "c")


@pytest.mark.parametrize("repeatable", [True, False])
def test_an_earlier_refusal_is_forwarded_where_nothing_can_have_run_twice(repeatable: bool) -> None:
    """A 429 of the first target, then an invalid reply: the client gets the 429 if a repeat is harmless."""
    one = begun(repeatable=repeatable)
    one.head(0, 429, ResponseKind.NOT_PROCESSED)
    last = invalid(one, 1)[-1]
    assert isinstance(last, a.Forward if repeatable else Fail)


def test_a_stream_that_another_target_should_resume_ends_with_its_own_error() -> None:
    """The client has a part of it already, so it gets no 502."""
    one = Driven(limits(policy=POLICY, repeatable=True), choices("a", "b"))
    one.head(0, 200, ResponseKind.STREAM)
    one.ready(0)
    one.machine.on_data(0, b"data: 1\n\n", NOW)
    one.truncated(0)
    (end,) = invalid(one, 1)
    assert isinstance(end, a.Abort)
    assert (end.code, end.as_event) == ("stream-cut", True)
