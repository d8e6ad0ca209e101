"""Claims about heartbeats: the comments that the client of a silent event stream gets."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.policy import DEFAULT, parse
from router.core.request import actions as a
from router.core.request.classify import ResponseKind, classify
from router.core.request.limits import RequestLimits, request_limits
from router.core.request.options import RequestOptions, parse_options
from router.core.request.stream import ResumableStream
from skyfleet.sse import LONGEST_EVENT, PING
from tests.router.core.request.driving import NOW, Driven, limits

pytestmark = pytest.mark.pure

EVERY_S = 16.0  # a step is one second, and NOW is a whole number of them
EVENT = b"data: one\n\n"


def asked(*, repeatable: bool = True, deadline_s: float = 230.0, client_s: float = math.inf) -> RequestLimits:
    """Limits of a request whose client takes heartbeats."""
    return limits(repeatable=repeatable, deadline_s=deadline_s, client_s=client_s, heartbeat_s=EVERY_S)


def streaming(limits: RequestLimits | None = None, data: bytes = EVENT) -> Driven:
    """A stream whose first bytes came at once."""
    one = Driven(limits or asked())
    one.head(0, 200, ResponseKind.STREAM)
    if one.machine.forwarded is None:
        one.ready(0)
    if data:
        one.machine.on_data(0, data, NOW)
    return one


def pings(actions: a.Actions) -> int:
    return sum(isinstance(one, a.Ping) for one in actions)


def test_a_silent_stream_gets_a_comment_in_each_interval() -> None:
    """The machine asks to be called for it, and each comment begins the interval again."""
    one = streaming()
    assert one.due_s == EVERY_S
    assert [type(action) for action in one.time(EVERY_S)] == [a.Ping]
    assert one.due_s == 2 * EVERY_S
    assert pings(one.time(2 * EVERY_S)) == 1


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (EVENT, False),  # the client got an event
        (b": the agent's own comment\n\n", False),
        (b"data: half", True),  # held until it is whole, so the client got nothing
        (b"", True),
    ],
)
def test_silence_is_what_the_client_sees(data: bytes, sent: bool) -> None:
    """Not what the agent sends: an event that comes in small parts is silence for the client's proxies."""
    one = streaming()
    if data:
        one.machine.on_data(0, data, NOW + 10)
    assert pings(one.time(EVERY_S)) == sent
    assert one.due_s == (2 * EVERY_S if sent else 10 + EVERY_S)


def test_a_comment_never_comes_within_an_event() -> None:
    """A part of an event that is longer than what is held was sent: the next comment waits for its end."""
    one = streaming(data=b"data: " + b"x" * LONGEST_EVENT)
    assert pings(one.time(EVERY_S)) == 0
    one.machine.on_data(0, b"x\n\n", NOW + EVERY_S)
    assert pings(one.time(2 * EVERY_S)) == 1


@pytest.mark.parametrize("kind", [ResponseKind.PASS, ResponseKind.BUFFER])
def test_another_reply_gets_none(kind: ResponseKind) -> None:
    """No byte is added to what is no event stream."""
    one = Driven(asked())
    one.head(0, 200, kind)
    if kind is ResponseKind.BUFFER:
        one.ready(0)
    assert one.machine.forwarded is not None
    assert one.due_s > EVERY_S
    assert pings(one.time(EVERY_S)) == 0


@pytest.mark.parametrize(
    ("fields", "events"),
    [
        ([(b"content-type", b"text/event-stream")], True),
        ([(b"content-type", b"text/event-stream"), (b"content-encoding", b"gzip")], False),
        ([(b"content-type", b"application/x-ndjson")], False),
    ],
)
def test_a_compressed_stream_is_no_readable_one(fields: list[tuple[bytes, bytes]], events: bool) -> None:
    """The router does not know where its events end."""
    assert classify(200, dict(fields), bodiless=False, identified=False, now=0).events == events


def test_before_the_head_was_forwarded_nothing_is_sent() -> None:
    """A held stream has no head at the client yet; a stream that is not held has, also before its events."""
    one = Driven(asked())
    assert pings(one.time(EVERY_S)) == 0
    one.head(0, 200, ResponseKind.STREAM, at=20)
    one.probe_ok(0, at=21)
    assert pings(one.time(21 + EVERY_S)) == 0
    unheld = streaming(asked(repeatable=False), data=b"")
    assert pings(unheld.time(EVERY_S)) == 1


def test_a_held_stream_is_forwarded_for_its_heartbeats() -> None:
    """When its head is here for an interval and its target is alive; not for a client without heartbeats."""
    for found, forwarded in ((asked(), True), (limits(repeatable=True), False)):
        one = Driven(found)
        one.head(0, 200, ResponseKind.STREAM, at=1)
        one.time(2)
        assert one.probe_ok(0, at=EVERY_S) == ()
        one.time(EVERY_S + 30)
        got = one.probe_ok(0, at=EVERY_S + 30)
        assert got == ((a.Forward(0),) if forwarded else ())


@pytest.mark.parametrize("second_at", [None, 5.0, 20.0])
def test_of_a_hedged_stream_one_is_forwarded_when_both_are_silent(second_at: float | None) -> None:
    """The request itself is slow then. As long as the hedge may still be quicker, nothing is forwarded."""
    one = Driven(limits(repeatable=True, heartbeat_s=EVERY_S, hedge_after_s=3.0))
    one.head(0, 200, ResponseKind.STREAM, at=1)
    one.time(3)
    one.probe_ok(0, at=3.5)
    if second_at is not None:
        one.head(1, 200, ResponseKind.STREAM, at=second_at)
    one.time(30)
    got = one.probe_ok(0, at=30)
    assert [type(action) for action in got] == ([a.Abandon, a.Forward] if second_at == 5.0 else [])


def test_a_comment_is_no_sign_of_the_agent() -> None:
    """A silent agent is given up after `deadlineS` of its silence, whatever the client got meanwhile."""
    one = streaming(asked(repeatable=False))
    at, got = 0.0, ()
    while at < DEFAULT.deadline_s:
        at = min(one.due_s, DEFAULT.deadline_s)
        got = one.time(at)
    assert [type(action) for action in got] == [a.Cancel, a.Abort]


def test_a_slow_client_gets_no_comments() -> None:
    """Its connection is full of what it has not read."""
    one = streaming()
    one.machine.on_pause()
    assert one.due_s == math.inf
    one.machine.on_resume(NOW + 40)
    assert one.due_s == 40 + EVERY_S
    assert pings(one.time(40 + EVERY_S)) == 1


def test_a_client_that_reads_slowly_from_the_begin_gets_no_comments() -> None:
    """Nor while its stream is resumed; once it reads on, its silence begins."""
    one = Driven(asked())
    one.machine.on_pause()
    one.head(0, 200, ResponseKind.STREAM)
    one.ready(0)
    assert one.due_s == math.inf
    one.truncated(0, at=1)
    assert pings(one.time(EVERY_S + 1)) == 0
    one.probe_ok(1, at=EVERY_S + 1)
    one.machine.on_resume(NOW + 20)
    assert one.due_s <= 20 + EVERY_S
    assert pings(one.time(20 + EVERY_S)) == 1


def test_a_stream_that_is_resumed_gets_comments_meanwhile() -> None:
    """Its client has the head, and the next target may think for a minute."""
    one = streaming()
    one.truncated(0, at=1)
    assert one.due_s <= EVERY_S
    one.time(3)
    one.probe_ok(1, at=3.5)
    got = one.time(EVERY_S)
    assert pings(got) == 1
    one.head(1, 200, ResponseKind.STREAM, at=20)
    one.ready(1, at=20)
    assert one.machine.on_data(1, EVENT + EVENT, NOW + 20) == EVENT
    assert pings(one.time(20 + EVERY_S)) == 1


def test_the_deadline_of_the_client_ends_the_stream_all_the_same() -> None:
    """A comment does not extend it."""
    one = streaming(asked(client_s=20))
    assert pings(one.time(EVERY_S)) == 1
    assert one.due_s == 20
    assert isinstance(one.time(20)[-1], a.Abort)


def test_comments_of_many_streams_share_their_wake_ups() -> None:
    """Within a sixteenth of the interval."""
    due = set[float]()
    for number in range(1, 101):
        one = streaming()
        one.machine.on_data(0, EVENT, NOW + number / 100)
        one.time(EVERY_S)
        due.add(one.due_s)
        assert EVERY_S <= one.due_s - number / 100 <= EVERY_S + 1
    assert len(due) == 1


@pytest.mark.parametrize(
    ("config", "field", "every_s"),
    [
        ({}, b"", 15.0),
        ({"heartbeatS": 5}, b"", 5.0),
        ({"heartbeatS": 5}, b"on", 5.0),
        ({}, b"off", math.inf),
        ({"heartbeatS": 0}, b"", math.inf),
        ({"heartbeatS": 0}, b"on", math.inf),
    ],
)
def test_config_and_header_field_switch_them_off(
    config: dict[str, object], field: bytes, every_s: float
) -> None:
    """The config for all, the field for one request."""
    policy, mistakes = parse(config)
    assert mistakes == []
    options = parse_options([(b"x-skyfleet-heartbeat", field)] if field else [], policy)
    found = request_limits("POST", options, policy, 3, 0.0, math.inf)
    assert found.heartbeat_s == every_s
    assert options == RequestOptions(heartbeat=field != b"off")


@given(
    st.lists(st.sampled_from([b"data: one\n\n", b": own\n\n", b"id: 7\r\ndata: two\r\n\r\n"]), max_size=20),
    st.lists(st.integers(0, 400)),
    st.data(),
)
def test_without_its_comments_the_stream_is_what_the_agent_sent(
    events: list[bytes], cuts: list[int], data: st.DataObject
) -> None:
    """Wherever comments come, the same events arrive, and another target may resume the stream."""
    text = b"".join(events)
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    stream, out, plain = ResumableStream(may_resume=True), b"", b""
    for begin, end in pairwise(places):
        if data.draw(st.booleans()) and stream.ping():
            out += PING
        ready = stream.feed(text[begin:end])
        assert ready is not None
        out, plain = out + ready, plain + ready
    assert out.replace(PING, b"") == plain
    rest = stream.finish()
    assert plain + (rest or b"") == text
    stream.restart()
    assert stream.feed(text + EVENT) == text[len(plain) :] + EVENT


@pytest.mark.parametrize("silent", [True, False])
def test_a_byte_order_mark_stays_at_the_begin(silent: bool) -> None:
    """After a comment it would be a part of a field's name, and the event would be lost."""
    stream = ResumableStream(may_resume=True)
    if silent:
        assert stream.ping()
    assert stream.feed(b"\xef\xbb\xbf" + EVENT) == (EVENT if silent else b"\xef\xbb\xbf" + EVENT)
    assert stream.feed(b"\xef\xbb\xbf" + EVENT) == b"\xef\xbb\xbf" + EVENT
