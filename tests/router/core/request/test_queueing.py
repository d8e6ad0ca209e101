"""Claims about requests that wait in the queue for a target, and about forwarded bodies that break off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.core.policy import DEFAULT
from router.core.request import actions as a
from router.core.request.budget import AttemptReason
from router.core.request.classify import ResponseKind
from router.core.request.failures import AttemptError, Fail
from router.core.targets import Choice
from tests.router.core.request.driving import KEYS, NOW, Driven, choices, limits

pytestmark = pytest.mark.pure

RESET, CONNECT, UNRESPONSIVE = AttemptError.RESET, AttemptError.CONNECT, AttemptError.UNRESPONSIVE
EVENT = b"data: one\n\n"


def after(
    *errors: AttemptError,
    repeatable: bool = True,
    client_s: float = 230.0,
    timeout_s: float = DEFAULT.queue_timeout_s,
) -> tuple[Driven, a.Actions]:
    """A request whose attempts ended so, one after another."""
    one = Driven(
        limits(repeatable=repeatable, client_s=client_s, policy=replace(DEFAULT, queue_timeout_s=timeout_s))
    )
    *_, actions = [one.error(number, error, 0.1) for number, error in enumerate(errors)]
    return one, actions


@pytest.mark.parametrize(
    ("errors", "repeatable"),
    [
        ((CONNECT, CONNECT, CONNECT), False),
        ((CONNECT, CONNECT, CONNECT), True),
        ((RESET, RESET, CONNECT), True),
        ((RESET, RESET, RESET), True),
        ((UNRESPONSIVE, CONNECT, CONNECT), True),
    ],
)
def test_a_request_is_queued_if_a_target_may_still_take_it(
    errors: tuple[AttemptError, ...], repeatable: bool
) -> None:
    """Nothing was sent, or a repeat is harmless and a target refused or reset the connection."""
    one, actions = after(*errors, repeatable=repeatable)
    assert [type(action) for action in actions] == [a.Queue]
    assert one.due_s == DEFAULT.queue_timeout_s
    (fail,) = one.time(DEFAULT.queue_timeout_s)
    assert isinstance(fail, Fail)
    assert fail.retry


@pytest.mark.parametrize("errors", [(UNRESPONSIVE, UNRESPONSIVE, UNRESPONSIVE)])
def test_a_request_that_executed_everywhere_is_not_queued(errors: tuple[AttemptError, ...]) -> None:
    """No target could take it once more."""
    _, (fail,) = after(*errors)
    assert isinstance(fail, Fail)


def test_a_request_is_not_queued_without_a_queue_timeout_or_beyond_its_deadline() -> None:
    """It ends at once, or at its own deadline."""
    _, (fail,) = after(CONNECT, CONNECT, CONNECT, timeout_s=0.0)
    assert isinstance(fail, Fail)
    one, _ = after(CONNECT, CONNECT, CONNECT, client_s=3.0)
    assert one.due_s == 3


def test_a_queued_request_is_not_resent_where_it_may_have_executed() -> None:
    """Nor beyond its budget, though a target is back."""
    one, _ = after(RESET, CONNECT, CONNECT)
    assert [one.machine.can_retry_on(key) for key in (*KEYS, "d")] == [False, True, True, False]
    *closed, send = one.retry_round(1)
    assert closed == [a.Abandon(number, a.Abandoned.UNUSED) for number in range(3)]
    assert send == a.Send(3, Choice("b"), AttemptReason.RETRY)
    assert one.machine.charged == 2


def test_a_queued_request_of_which_nothing_was_sent_goes_to_any_target() -> None:
    """Also to one that was not tried."""
    one, _ = after(CONNECT, CONNECT, CONNECT, repeatable=False)
    assert all(one.machine.can_retry_on(key) for key in (*KEYS, "d"))
    assert one.retry_round(1)[-1] == a.Send(3, Choice("a"))


def test_a_reset_target_may_be_tried_again_after_a_failed_probe() -> None:
    """It has restarted since, so a repeat is what the client would do."""
    one, _ = after(RESET, RESET, RESET)
    assert not one.machine.can_retry_on("a")
    one.machine.on_target_failed("a")
    assert one.machine.can_retry_on("a")
    assert one.retry_round(1)[-1] == a.Send(3, Choice("a"), AttemptReason.RETRY)


def test_an_unresponsive_target_is_never_tried_again() -> None:
    """It may still execute the request."""
    one, _ = after(UNRESPONSIVE, CONNECT, CONNECT)
    one.machine.on_target_failed("a")
    assert not one.machine.can_retry_on("a")


def test_a_request_whose_last_hope_never_restarted_fails_at_once() -> None:
    """A target that answered all the while reset the connection for another reason."""
    one, _ = after(RESET, RESET, RESET)
    assert one.machine.on_target_ok("a", NOW + 1) == ()
    assert one.machine.on_target_ok("b", NOW + 1) == ()
    (fail,) = one.machine.on_target_ok("c", NOW + 1)
    assert isinstance(fail, Fail)
    assert one.machine.over


def test_rounds_of_a_queued_request_are_bounded() -> None:
    """While targets come and go, each round may be refused again."""
    one, actions = after(CONNECT, CONNECT, CONNECT, repeatable=False)
    sent = 3
    while isinstance(actions[-1], a.Queue):
        actions = one.retry_round(0.1)
        while isinstance(actions[-1], a.Send):
            actions, sent = one.error(sent, CONNECT, 0.1), sent + 1
    assert isinstance(actions[-1], Fail)
    assert 20 <= sent < 23


def streaming(*, repeatable: bool = True) -> Driven:
    """A stream of which one event has been forwarded."""
    one = Driven(limits(repeatable=repeatable, client_s=60.0))
    one.head(0, 200, ResponseKind.STREAM, 0.1)
    if repeatable:
        assert one.ready(0, 0.2) == (a.Forward(0),)
    assert one.machine.stream is not None
    assert one.machine.stream.feed(EVENT) == EVENT
    return one


def test_a_truncated_stream_is_resumed_from_another_target() -> None:
    """Its head is not sent again."""
    one = streaming()
    assert one.truncated(0, 1) == (a.Send(1, Choice("b"), AttemptReason.RETRY),)
    assert one.head(1, 200, ResponseKind.STREAM, 1.1) == ()
    assert one.ready(1, 1.2)[-1] == a.Forward(1, resumed=True)


def test_a_stream_that_cannot_be_resumed_ends_in_an_error_event() -> None:
    """Without another target, or if the request must not be repeated."""
    for one in (streaming(repeatable=False), Driven(limits(repeatable=True), choices("a"))):
        if not one.machine.forwarded:
            one.head(0, 200, ResponseKind.STREAM, 0.1)
            one.ready(0, 0.2)
            assert one.machine.stream is not None
            one.machine.stream.feed(EVENT)
        (abort,) = one.truncated(0, 1)
        assert isinstance(abort, a.Abort)
        assert (abort.code, abort.as_event) == ("stream-cut", True)
        assert "The reply of a broke off: why." in abort.text


@pytest.mark.parametrize(("status", "kind"), [(200, ResponseKind.PASS), (400, ResponseKind.PASS)])
def test_a_stream_is_resumed_by_a_stream_only(status: int, kind: ResponseKind) -> None:
    """Any other reply ends it in an error event."""
    one = streaming()
    one.truncated(0, 1)
    (abort,) = one.head(1, status, kind, 1.1)
    assert isinstance(abort, a.Abort)
    assert "b gave another reply" in abort.text


def test_a_forwarded_body_that_is_not_a_stream_is_aborted() -> None:
    """So that no client takes it for complete."""
    one = Driven(limits(repeatable=True))
    assert one.head(0, 200, ResponseKind.PASS) == (a.Forward(0),)
    (abort,) = one.truncated(0, 1)
    assert isinstance(abort, a.Abort)
    assert not abort.as_event


def test_an_outrun_target_may_resume_the_stream() -> None:
    """It lost to a hedge, which is not a failure."""
    one = Driven(limits(repeatable=True, hedge_after_s=0.05))
    one.time(0.05)
    one.head(1, 200, ResponseKind.STREAM, 0.1)
    one.ready(1, 0.1)
    one.truncated(1, 1)
    assert one.picks[-1] == ("b",)


def test_the_clients_deadline_ends_a_body() -> None:
    """With the code `deadline`."""
    one = streaming()
    assert one.due_s == 60
    (abort,) = one.time(60)
    assert isinstance(abort, a.Abort)
    assert abort.code == "deadline"


def test_a_body_that_is_silent_for_too_long_is_truncated() -> None:
    """Counted from the last data; and not while the client reads slowly."""
    one = Driven(limits(repeatable=True, policy=replace(DEFAULT, deadline_s=5.0)))
    one.head(0, 200, ResponseKind.PASS)
    assert one.due_s == 5
    one.machine.data_at = NOW + 3
    assert one.time(5) == ()
    assert one.due_s == 8
    one.machine.on_pause()
    assert one.due_s == float("inf")
    one.machine.on_resume(NOW + 20)
    assert one.due_s == 25
    cancel, abort = one.time(25)
    assert isinstance(cancel, a.Cancel)
    assert "nothing came for 5 s" in cancel.why
    assert isinstance(abort, a.Abort)
