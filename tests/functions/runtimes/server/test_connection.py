"""One connection: requests in order, refusals that arrive, and time limits."""

from __future__ import annotations

import pytest

from functions.runtimes.server import connection
from functions.runtimes.server.connection import (
    BODY_READ_S,
    BODY_S,
    HEAD_S,
    LINGER_READ_S,
    LINGER_S,
    WRITE_S,
)
from skyfleet.asgi import BODY_LIMIT
from tests.functions.runtimes.server.support import Server

GET = b"GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: D\r\n\r\nok"


@pytest.fixture
def server() -> Server:
    """A connection to a direct application."""
    return Server()


def test_a_request_is_answered_in_one_write_and_the_connection_stays(server: Server) -> None:
    """Also after an empty line before the request, and however the request is split."""
    server.read(GET)
    assert (server.direct.heads[0].target, server.direct.bodies) == (b"/a?b", [b""])
    server.direct.answer()
    assert (server.sent(), server.wire.writes, server.direct.said) == (OK, 1, ["gone"])
    server.read(b"\r\n" + POST)
    server.direct.answer()
    server.read(*[bytes([one]) for one in POST])
    server.direct.answer()
    assert (server.sent(), server.direct.bodies[1:]) == (OK + OK, [b"body", b"body"])
    assert not server.wire.closed


def test_pipelined_requests_wait_for_their_turn(server: Server) -> None:
    """The second is not even read before the first is answered."""
    server.read(GET + POST + GET)
    assert len(server.direct.heads) == 1
    for count in (2, 3, 3):
        server.direct.answer()
        server.clock.turn()
        assert len(server.direct.heads) == count
    assert server.sent() == OK * 3


def test_a_malformed_request_takes_no_answer_of_the_one_before_it(server: Server) -> None:
    """The first one ran, so its client is told its answer; the refusal follows and closes."""
    server.read(POST + b"GET / HTTP/1.1\r\n\r\n")
    assert server.sent() == b""
    server.direct.answer()
    server.clock.turn()
    sent = server.sent()
    assert sent.startswith(OK + b"HTTP/1.1 400 Bad Request\r\n")
    assert b"connection: close\r\n" in sent
    assert len(server.direct.heads) == 1
    assert server.wire.ended


def test_fields_behind_a_body_never_act_as_head(server: Server) -> None:
    """In one write with the head, too."""
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.read(head + b"4\r\nbody\r\n0\r\nX-Api-Key: stolen\r\nHost: other\r\n\r\n" + GET)
    assert server.direct.bodies == [b"body"]
    assert b"x-api-key" not in server.direct.heads[0].by_name
    assert server.direct.heads[0].by_name[b"host"] == b"h"
    server.direct.answer()
    server.clock.turn()
    assert len(server.direct.heads) == 2


def test_a_refused_body_is_read_over_until_the_client_has_the_answer(server: Server) -> None:
    """nginx does so (lingering_close): an early close would reset the connection, and the answer with it."""
    server.read(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 1000)
    server.direct.answer(status=413)
    assert b"connection: close\r\n" in server.sent()
    assert (server.wire.ended, server.wire.closed) == (True, False)
    for _ in range(int(LINGER_S / (LINGER_READ_S - 1)) - 1):
        server.clock.pass_time(LINGER_READ_S - 1)
        server.read(b"x" * 100_000)
        assert not server.wire.closed
    server.clock.pass_time(LINGER_READ_S)
    assert (server.wire.closed, server.direct.bodies) == (True, [])


def test_a_body_beyond_the_limit_is_not_collected(server: Server) -> None:
    """The application gets more than the limit, once, and refuses it."""
    server.read(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n%b\r\n" % (b"x" * 0x100000)
    for _ in range(8):
        server.read(chunk)
    assert [len(body) > BODY_LIMIT for body in server.direct.bodies] == [True]
    assert len(server.direct.bodies[0]) < BODY_LIMIT + 2 * 0x100000


@pytest.mark.parametrize(
    ("request_bytes", "interim"),
    [
        (b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 4\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbo", False),
        (b"POST / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n", False),
    ],
)
def test_100_continue_is_sent_for_a_body_that_is_awaited(
    server: Server, request_bytes: bytes, interim: bool
) -> None:
    """RFC 9110, section 10.1.1."""
    server.read(request_bytes)
    assert server.sent() == (b"HTTP/1.1 100 Continue\r\n\r\n" if interim else b"")


@pytest.mark.parametrize(
    ("parts", "wait_s", "status"),
    [
        ([b"GET / HT"], HEAD_S, b"408"),
        ([b"GET / HTTP/1.1\r\nHost: h\r\n"], HEAD_S, b"408"),
        ([POST[:-1]], BODY_READ_S, b"408"),
        ([b""], HEAD_S, b""),
    ],
)
def test_what_does_not_arrive_is_not_awaited(
    server: Server, parts: list[bytes], wait_s: float, status: bytes
) -> None:
    """A client that has begun a request is told so."""
    if parts != [b""]:
        server.read(*parts)
    server.clock.pass_time(wait_s - 0.1)
    assert not server.wire.closed
    assert not server.wire.ended
    server.clock.pass_time(0.2)
    assert server.sent()[9:12] == status
    assert server.wire.ended or server.wire.closed
    server.clock.pass_time(LINGER_S)
    assert server.wire.closed


def test_a_slow_head_and_a_slow_body_end_however_steadily_they_come(server: Server) -> None:
    """A byte a second keeps neither open for long (Slowloris)."""
    head = b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 100
    for one in head[: int(HEAD_S) + 1]:
        server.read(bytes([one]))
        server.clock.pass_time(1)
    assert server.sent()[9:12] == b"408"
    other = Server()
    other.read(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(int(BODY_S / 10) + 1):
        other.read(b"x")
        other.clock.pass_time(10)
    assert other.sent()[9:12] == b"408"


def test_bytes_that_come_one_by_one_cost_no_look_at_the_whole_head_each(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look costs as much as the head: with one for each byte a slow client takes a whole core."""
    looks: list[bytes] = []

    def look(data: bytes, *, routed: bool) -> None:
        assert not routed  # the application is a router
        looks.append(data)

    monkeypatch.setattr(connection, "check_beginning", look)
    head = b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: %b\r\n" % (b"y" * 15_000)
    for one in head:
        server.read(bytes([one]))
    assert len(looks) < 20


def test_an_idle_connection_closes_after_its_time_and_a_busy_one_does_not() -> None:
    """uvicorn's option timeout_keep_alive. A request takes as long as the application takes."""
    server = Server(keep_alive_s=7)
    server.read(GET)
    server.clock.pass_time(1000)
    assert not server.wire.closed
    server.direct.answer()
    server.clock.pass_time(6.9)
    assert not server.wire.closed
    server.clock.pass_time(0.2)
    assert server.wire.closed


def test_a_client_that_takes_nothing_of_its_response_is_left(server: Server) -> None:
    """As long as it takes something, the application waits for it."""
    server.read(GET)
    server.wire.unsent = 300_000
    server.connection.pause_writing()
    assert server.direct.said == ["pause"]
    server.clock.pass_time(WRITE_S - 1)
    server.wire.unsent = 290_000
    server.clock.pass_time(2)
    assert not server.wire.aborted
    server.clock.pass_time(WRITE_S)
    assert server.wire.aborted


def test_a_client_that_reads_on_is_served_on(server: Server) -> None:
    """The time limit ends with the pause."""
    server.read(GET)
    server.connection.pause_writing()
    server.connection.resume_writing()
    server.clock.pass_time(2 * WRITE_S)
    assert (server.direct.said, server.wire.closed) == (["pause", "resume"], False)


def test_a_client_that_leaves_ends_its_request(server: Server) -> None:
    """Nothing is written to it any more, whatever the application says."""
    server.read(GET)
    server.connection.connection_lost(None)
    assert server.direct.said == ["gone"]
    server.direct.answer()
    assert (server.sent(), server.state.connections) == (b"", set())


def test_what_is_pipelined_is_bounded(server: Server) -> None:
    """Reading goes on once the first request is answered."""
    server.read(GET + GET * 100, GET * 5000)
    assert server.wire.reading_paused
    server.direct.answer()
    server.clock.turn()
    assert not server.wire.reading_paused


@pytest.mark.parametrize("late", [False, True])
def test_a_server_that_ends_answers_what_runs(server: Server, late: bool) -> None:
    """The answer says that the connection closes. A request that was on its way gets one too."""
    if not late:
        server.read(GET)
    server.connection.shutdown()
    if late:
        server.read(GET)
    server.clock.pass_time(1)
    assert not server.wire.closed
    server.direct.answer()
    assert b"connection: close\r\n" in server.sent()
    assert server.wire.closed


def test_a_server_that_ends_closes_idle_connections(server: Server) -> None:
    """Within the time that uvicorn waits for all of them at least."""
    server.connection.shutdown()
    assert not server.wire.closed
    server.clock.pass_time(0.06)
    assert server.wire.closed
    assert server.sent() == b""
