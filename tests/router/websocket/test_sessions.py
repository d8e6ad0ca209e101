"""Claims about answers and sessions: order, bounds, back-pressure, resuming. Without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from router.websocket.answer import Answer
from router.websocket.limits import Limits
from router.websocket.sessions import Session, Sessions
from skyfleet.asgi import Header

JSON: list[Header] = [(b"content-type", b"application/json")]
EVENTS: list[Header] = [(b"content-type", b"text/event-stream; charset=utf-8")]


@dataclass
class Forwarding:
    """A forwarder that notes what it is told."""

    told: list[str] = field(default_factory=list[str])

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def gone(self) -> None:
        self.told.append("gone")


@dataclass
class Client:
    """A connection that notes what happens to it."""

    woken: int = 0
    over: bool = False

    def wake(self) -> None:
        self.woken += 1

    def taken_over(self) -> None:
        self.over = True


@dataclass
class Timers:
    """What is to be called later."""

    waiting: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    cancelled: int = 0

    def later(self, _seconds: float, then: Callable[[], None]) -> Timers:
        self.waiting.append(then)
        return self

    def cancel(self) -> None:
        self.cancelled += 1


def store(timers: Timers | None = None, **limits: Any) -> Sessions:  # noqa: ANN401 - fields of Limits
    """Sessions whose ids are counted."""
    drawn = iter(range(1, 1_000))
    return Sessions(
        Limits(**limits), lambda size: next(drawn).to_bytes(size, "big"), (timers or Timers()).later
    )


def begun(session: Session, ident: str) -> tuple[Answer, Forwarding]:
    """A request that is under way."""
    answer, forwarding = session.new(ident), Forwarding()
    answer.upstream = forwarding
    session.add(answer)
    return answer, forwarding


def sent(session: Session) -> list[dict[str, Any]]:
    """Everything that a client gets now."""
    found: list[dict[str, Any]] = []
    while (message := session.take()) is not None:
        found.append(json.loads(message))
    return found


def kinds(messages: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(one["id"], one["type"], one["seq"]) for one in messages]


def stream(answer: Answer, *events: str) -> None:
    answer.head(200, EVENTS)
    for one in events:
        answer.body(f"data: {one}\n\n".encode())


def test_a_reply_is_a_response_and_its_end() -> None:
    """An error status is a whole answer too."""
    session = store().begin(Client())
    answer, forwarding = begun(session, "a")
    answer.head(503, JSON)
    answer.body(b'{"error"')
    answer.body(b': {"code": "no-target"}}')
    assert sent(session) == []
    answer.end()
    messages = sent(session)
    assert kinds(messages) == [("a", "response", 1), ("a", "complete", 2)]
    assert (messages[0]["status"], messages[0]["body"]) == (503, {"error": {"code": "no-target"}})
    assert forwarding.told == ["gone"]
    assert not session.busy


def test_streams_take_turns() -> None:
    """Each event is a message at once; a long answer does not hold up another."""
    session = store().begin(Client())
    one, _ = begun(session, "a")
    two, _ = begun(session, "b")
    stream(one, "1", "2", "3")
    stream(two, '"x"')
    two.end()
    assert kinds(sent(session)) == [
        ("a", "response", 1),
        ("b", "response", 1),
        ("a", "event", 2),
        ("b", "event", 2),
        ("a", "event", 3),
        ("b", "complete", 3),
        ("a", "event", 4),
    ]


def test_an_answer_that_breaks_off_says_so() -> None:
    """A cut, an error event of the agent or the router, a reply beyond the limit: `error` is the last
    message."""
    session = store(body_bytes=10).begin(Client())
    cut, _ = begun(session, "cut")
    stream(cut, "1")
    cut.abort("the connection to aws broke")
    event, _ = begun(session, "event")
    event.head(200, EVENTS)
    event.body(b'event: error\ndata: {"error": {"code": "truncated", "message": "why"}}\n\n')
    event.end()
    of_openai, _ = begun(session, "openai")
    stream(of_openai, '{"error": "a text"}')
    of_openai.end()
    large, forwarding = begun(session, "large")
    large.head(200, JSON)
    large.body(b"x" * 11)
    large.body(b"y")
    large.end()
    binary, _ = begun(session, "binary")
    binary.head(200, JSON)
    binary.body(b"\xff")
    binary.end()
    last = {one["id"]: one for one in sent(session)}
    assert {ident: (one["type"], one["error"]["code"]) for ident, one in last.items()} == {
        "cut": ("error", "truncated"),
        "event": ("error", "truncated"),
        "openai": ("error", "stream-error"),
        "large": ("error", "reply-too-large"),
        "binary": ("error", "reply-not-text"),
    }
    assert forwarding.told == ["gone"]
    assert not session.busy


def test_a_slow_client_pauses_the_target() -> None:
    """Above the bound it is paused, and goes on once half of it is sent."""
    session = store(answer_bytes=1_000).begin(Client())
    answer, forwarding = begun(session, "a")
    stream(answer, *(f'"{"x" * 100}"' for _ in range(12)))
    assert forwarding.told == ["pause"]
    for _ in range(5):
        session.take()
    assert forwarding.told == ["pause"]
    sent(session)
    assert forwarding.told == ["pause", "resume"]


def test_a_client_that_comes_back_gets_what_it_lacks() -> None:
    """By the last number that it has; requests run on in between."""
    timers = Timers()
    sessions = store(timers)
    first, second = Client(), Client()
    session = sessions.begin(first)
    one, _ = begun(session, "a")
    two, _ = begun(session, "b")
    stream(one, "1", "2")
    stream(two, "1")
    sent(session)
    sessions.leave(session, first)
    one.body(b"data: 3\n\n")
    one.end()
    found = sessions.resume(session.id, second)
    assert found is session
    assert timers.cancelled == 1
    assert session.rewind({"a": 2, "b": 2}) == []
    assert kinds(sent(session)) == [("a", "event", 3), ("a", "event", 4), ("a", "complete", 5)]
    two.end()
    assert kinds(sent(session)) == [("b", "complete", 3)]
    assert second.woken == 1


def test_a_complete_answer_is_held_too() -> None:
    """Sending is not receiving: the connection may have broken before the client had it."""
    sessions = store()
    session = sessions.begin(Client())
    answer, _ = begun(session, "a")
    answer.head(200, JSON)
    answer.body(b"{}")
    answer.end()
    assert len(sent(session)) == 2
    assert session.rewind({"a": 0}) == []
    assert kinds(sent(session)) == [("a", "response", 1), ("a", "complete", 2)]
    assert session.rewind({"a": 2}) == []
    assert sent(session) == []
    assert session.rewind({}) == []
    assert session.rewind({"a": 2}) == ["a"]


def test_what_is_not_held_is_told() -> None:
    """Unknown ids, numbers that were never sent, messages beyond the bound, requests that were not named."""
    sessions = store(kept_bytes=500)
    session = sessions.begin(Client())
    long, forwarding = begun(session, "long")
    stream(long, *(f'"{"x" * 100}"' for _ in range(12)))
    sent(session)
    other, stopped = begun(session, "unnamed")
    stream(other, "1")
    assert session.rewind({"long": 2, "never": 0}) == ["long", "never"]
    assert forwarding.told[-1] == "gone"
    assert stopped.told == ["gone"]
    assert not session.busy
    fresh, _ = begun(session, "fresh")
    stream(fresh, "1")
    assert session.rewind({"fresh": 3}) == ["fresh"]
    assert sessions.held == 0


def test_another_connection_takes_a_session_over() -> None:
    """The former one is told, and its end changes nothing."""
    timers = Timers()
    sessions = store(timers)
    first, second = Client(), Client()
    session = sessions.begin(first)
    assert sessions.resume(session.id, second) is session
    assert first.over
    sessions.leave(session, first)
    assert timers.waiting == []
    assert sessions.resume("unknown", second) is None


def test_a_session_ends_some_time_after_its_connection() -> None:
    """What runs for it is cancelled, and no byte of it stays."""
    timers = Timers()
    sessions = store(timers)
    client = Client()
    session = sessions.begin(client)
    answer, forwarding = begun(session, "a")
    stream(answer, "1")
    sessions.leave(session, client)
    assert forwarding.told == []
    timers.waiting[0]()
    assert forwarding.told == ["gone"]
    assert sessions.held == 0
    assert sessions.resume(session.id, Client()) is None
    answer.body(b"data: late\n\n")
    answer.end()
    assert sessions.held == 0


def test_a_session_without_an_answer_ends_with_its_connection() -> None:
    """So connections that come and go leave nothing."""
    timers = Timers()
    sessions = store(timers)
    client = Client()
    session = sessions.begin(client)
    sessions.leave(session, client)
    assert timers.waiting == []
    assert sessions.resume(session.id, client) is None


def test_answers_of_all_sessions_are_bounded() -> None:
    """First goes what was sent, then sessions without a connection; a client's unsent messages stay."""
    sessions = store(held_bytes=3_000)
    clients = [Client() for _ in range(3)]
    old, away, here = (sessions.begin(client) for client in clients)
    for session in (old, away, here):
        answer, _ = begun(session, "a")
        stream(answer, f'"{"x" * 500}"')
    sent(old)
    sessions.leave(away, clients[1])
    held = sessions.held
    more, _ = begun(here, "b")
    stream(more, f'"{"x" * 700}"')
    assert sessions.held < held + 700
    assert old.rewind({"a": 1}) == ["a"]
    assert sessions.resume(away.id, Client()) is away
    stream(more, f'"{"x" * 2_000}"')
    assert kinds(sent(here))[:2] == [("a", "response", 1), ("b", "response", 1)]
    sessions.close()
    assert sessions.held == 0


def test_complete_answers_of_a_session_are_bounded() -> None:
    """Only the latest are held."""
    session = store(held_answers=2).begin(Client())
    for number in range(4):
        answer, _ = begun(session, str(number))
        answer.head(200, JSON)
        answer.end()
        sent(session)
    assert session.rewind({str(number): 0 for number in range(4)}) == ["0", "1"]


def test_requests_at_once_are_bounded() -> None:
    """An answer that the client has not taken counts too."""
    session = store(in_flight=2).begin(Client())
    one, _ = begun(session, "a")
    begun(session, "b")
    assert session.full
    one.head(200, JSON)
    one.end()
    assert session.full
    sent(session)
    assert not session.full
