"""Claims about a forwarded body: what the client gets of it, and a resumed stream that differs."""

from __future__ import annotations

import pytest

from router.core.request import actions as a
from router.core.request.classify import ResponseKind
from tests.router.core.request.driving import NOW, Driven, limits

pytestmark = pytest.mark.pure

ONE, TWO = b"data: one\n\n", b"data: two\n\n"


def forwarded(kind: ResponseKind) -> Driven:
    """The reply of attempt 0 goes to the client."""
    one = Driven(limits(repeatable=True))
    one.head(0, 200, kind)
    assert one.ready(0) == (a.Forward(0),)
    return one


def resumed() -> Driven:
    """A stream that broke off after `ONE` goes on with that of attempt 1."""
    one = forwarded(ResponseKind.STREAM)
    assert one.machine.on_data(0, ONE, NOW) == ONE
    (sent,) = one.truncated(0)
    assert isinstance(sent, a.Send)
    one.head(1, 200, ResponseKind.STREAM)
    assert one.ready(1)[-1] == a.Forward(1, resumed=True)
    return one


def test_a_plain_body_passes_as_it_comes() -> None:
    """Nothing is held, and its end is the end of the request."""
    one = forwarded(ResponseKind.BUFFER)
    assert one.machine.on_data(0, b"half", NOW) == b"half"
    assert one.machine.on_end(0) == b""
    assert one.machine.over


def test_a_silent_body_is_waited_for_from_its_last_part() -> None:
    """Each part of it begins the wait again."""
    one = forwarded(ResponseKind.BUFFER)
    first = one.due_s
    one.machine.on_data(0, b"half", NOW + 200)
    assert one.time(first) == ()
    assert one.due_s == first + 200


def test_an_event_is_held_until_it_is_whole() -> None:
    """A truncated stream never ends in half an event; an orderly end gives the rest."""
    one = forwarded(ResponseKind.STREAM)
    assert one.machine.on_data(0, ONE + b"data: t", NOW) == ONE
    assert one.machine.on_end(0) == b"data: t"


def test_a_resumed_stream_goes_on_after_what_the_client_has() -> None:
    """The bytes that were forwarded are not sent again."""
    one = resumed()
    assert one.machine.on_data(1, ONE + TWO, NOW) == TWO
    assert one.machine.on_end(1) == b""


@pytest.mark.parametrize("data", [TWO, b""])
def test_another_stream_is_no_continuation(data: bytes) -> None:
    """One that differs or ends too early ends the reply with an error event."""
    one = resumed()
    got = one.machine.on_data(1, data, NOW) if data else one.machine.on_end(1)
    assert isinstance(got, tuple)
    (abort,) = got
    assert isinstance(abort, a.Abort)
    assert abort.code == "stream-cut"
    assert abort.as_event
    assert one.machine.over
