"""The manager's server: slow and silent clients, its one lock, its port, how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from infra.manager import bodies
from infra.manager.access.audited import AuditedFleet, AuditedJobs
from infra.manager.app import create_app
from infra.manager.page.routes import routes
from infra.manager.server import Protocol, listening, single
from infra.manager.stream import Listeners
from infra.operations.errors import CommandFailed
from infra.operations.http import session
from infra.operations.manager import process
from infra.operations.paths import STACK, Layout
from tests.infra.manager.fakes import Setup
from tests.infra.manager.serving import Running, running, wait_until

HEALTH = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
EVENTS = b"GET /api/jobs/j1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


class Impatient(Protocol):
    """Aborts what is not read at once."""

    unread_s = 0.05


class Hasty(Protocol):
    """Gives a head little time."""

    head_s = 0.05


class Narrow(Protocol):
    """Serves few connections, and closes none because of its age."""

    most = 3
    head_s = 3600.0

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.timeout_keep_alive = 3600
        super().connection_made(transport)


class Lingering(Narrow):
    """Is among the server's connections for longer than it lasts."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.loop.call_later(1, super().connection_lost, exc)


def submit(one: Running) -> None:
    """Have a job that runs."""
    with session(one.url) as http:
        body = {"cloud": "aws", "region": "us-east-1"}
        assert http.post(f"{one.url}/api/create-resource", json=body, timeout=20).status_code == 202


def stream(one: Running) -> socket.socket:
    """A connection with an open stream."""
    made = one.connect()
    made.sendall(EVENTS)
    assert made.recv(15) == b"HTTP/1.1 200 OK"
    return made


def read_reply(connection: socket.socket) -> bytes:
    """One reply with a content-length; its head."""
    reply = b""
    while b"\r\n\r\n" not in reply:
        reply += (got := connection.recv(1))
        assert got, "the connection ended"
    size = int(reply.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while size:
        size -= len(connection.recv(size))
    return reply


def test_listeners_are_bounded_and_block_no_other_request(tmp_path: Path) -> None:
    """Of 100 listeners that never read, as many as may get a stream, and the others 429 with a reason.

    Meanwhile each other request is answered, and the places are free when they leave."""
    setup = Setup(tmp_path, listeners=Listeners(most=20))
    with running(tmp_path, setup) as one:
        submit(one)
        silent = [one.connect(receive_buffer=4096) for _ in range(100)]
        for connection in silent:
            connection.sendall(EVENTS)
        heads = [connection.recv(15) for connection in silent]
        with session(one.url) as http:
            status = http.get(f"{one.url}/api/status", timeout=20)
            refused = http.get(f"{one.url}/api/jobs/j1/events", timeout=20)
        assert sorted(heads) == [b"HTTP/1.1 200 OK"] * 20 + [b"HTTP/1.1 429 To"] * 80
        assert status.status_code == 200
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        for connection in silent:
            connection.close()
        wait_until(lambda: one.in_loop(lambda: setup.listeners.open) == 0)


def test_a_listener_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    """What it has not read is bounded by the buffers; others go on."""
    setup = Setup(tmp_path)
    with running(tmp_path, setup, Impatient) as one:
        submit(one)
        silent = one.connect(receive_buffer=4096)
        silent.sendall(EVENTS)
        assert silent.recv(15) == b"HTTP/1.1 200 OK"
        text = "x" * 100_000

        def say_more() -> bool:
            one.in_loop(lambda: setup.jobs.say("j1", text))
            return one.in_loop(lambda: setup.listeners.open) == 0

        wait_until(say_more)
        assert len(setup.jobs.known["j1"].events) < 200
        silent.close()


def test_a_client_without_a_head_is_cut_off(tmp_path: Path) -> None:
    """A connection that sends half a head is closed."""
    with running(tmp_path, Setup(tmp_path), Hasty) as one, one.connect() as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nhos")
        with contextlib.suppress(ConnectionResetError):
            assert slow.recv(100) == b""


@pytest.mark.parametrize("path", ["/api/drain", "/login", "/action/drain"])
def test_a_body_that_does_not_come_ends_the_request(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """408, and the place of the connection is free for another."""
    monkeypatch.setattr(bodies, "ARRIVAL_S", 0.05)
    setup = Setup(tmp_path)
    page = routes(AuditedFleet(setup.fleet), AuditedJobs(setup.jobs), stack="local")
    setup.app = create_app(replace(setup.parts, page=page))
    media = "application/json" if path.startswith("/api") else "application/x-www-form-urlencoded"
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {media}\r\ncontent-length: 9\r\n\r\n"
    with running(tmp_path, setup) as one, one.connect() as slow:
        slow.sendall(head.encode())
        assert read_reply(slow).startswith(b"HTTP/1.1 408 ")


def test_a_request_beyond_the_connections_is_told_so(tmp_path: Path) -> None:
    """When all of them have a request: 503 as a problem document, and when to come again.

    The place is free when another one leaves."""
    with running(tmp_path, Setup(tmp_path), Narrow) as one, contextlib.ExitStack() as held:
        submit(one)
        streams = [held.enter_context(stream(one)) for _ in range(Narrow.most)]
        with session(one.url) as http:
            refused = http.get(f"{one.url}/health", timeout=20)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["x-frame-options"] == "DENY"
        streams[0].close()
        wait_until(lambda: len(one.server.server_state.connections) < Narrow.most)
        with session(one.url) as http:
            assert http.get(f"{one.url}/health", timeout=20).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /health HTTP/1.1\r\nhos", HEALTH, HEALTH * 2],
    ids=["silent", "half a head", "kept alive", "pipelined"],
)
def test_the_connection_that_is_idle_longest_makes_way(sent: bytes, tmp_path: Path) -> None:
    """A stream stays, and so do the newer ones of those that are idle."""
    with running(tmp_path, Setup(tmp_path), Narrow) as one, contextlib.ExitStack() as held:
        submit(one)
        streaming = held.enter_context(stream(one))
        idle: list[socket.socket] = []
        for _ in range(Narrow.most - 1):
            connection = held.enter_context(one.connect())
            idle.append(connection)
            connection.sendall(sent)
            for _ in range(sent.count(HEALTH)):
                assert read_reply(connection).startswith(b"HTTP/1.1 200 OK")
            wait_until(lambda: len(one.server.server_state.connections) > len(idle))
        with session(one.url) as http:
            assert http.get(f"{one.url}/health", timeout=20).status_code == 200
        with contextlib.suppress(ConnectionResetError):
            assert idle[0].recv(100) == b""
        idle[1].sendall(b"t: x\r\n\r\n" if sent.endswith(b"hos") else HEALTH)
        assert read_reply(idle[1]).startswith(b"HTTP/1.1 ")
        one.in_loop(lambda: one.setup.jobs.say("j1", "on"))
        streamed = b""
        while b"data: " not in streamed:
            streamed += (got := streaming.recv(65_536))
            assert got, "the stream ended"


def test_a_connection_that_made_way_is_not_counted(tmp_path: Path) -> None:
    """The request of the one in its place is served in the same turn of the event loop."""
    with running(tmp_path, Setup(tmp_path), Lingering) as one, contextlib.ExitStack() as held:
        for _ in range(Narrow.most):
            held.enter_context(one.connect())
        for _ in range(2):
            with session(one.url) as http:
                assert http.get(f"{one.url}/health", timeout=20).status_code == 200


def test_a_crowd_of_idle_connections_locks_no_client_out(tmp_path: Path) -> None:
    """Each of some hundred connections takes the place of the one before, and requests are answered."""
    with running(tmp_path, Setup(tmp_path), Narrow) as one, contextlib.ExitStack() as held:
        for _ in range(10):
            for _ in range(30):
                held.enter_context(one.connect()).sendall(b"GET")
            with session(one.url) as http:
                assert http.get(f"{one.url}/health", timeout=20).status_code == 200
        assert len(one.server.server_state.connections) <= Narrow.most


def test_streams_end_when_the_manager_stops(tmp_path: Path) -> None:
    """It does not wait for listeners."""
    with running(tmp_path, Setup(tmp_path)) as one:
        submit(one)
        with (
            session(one.url) as http,
            http.get(f"{one.url}/api/jobs/j1/events", stream=True, timeout=20) as reply,
        ):
            one.server.should_exit = True
            assert b"".join(reply.iter_content(None)).endswith(b": heartbeat\n\n")


def test_heartbeats_keep_a_silent_stream_open(tmp_path: Path) -> None:
    """A comment is sent when nothing else is."""
    setup = Setup(tmp_path, listeners=Listeners(heartbeat_s=0.02))
    with running(tmp_path, setup) as one:
        submit(one)
        with (
            session(one.url) as http,
            http.get(f"{one.url}/api/jobs/j1/events", stream=True, timeout=20) as reply,
        ):
            lines = reply.iter_lines()
            assert [next(lines) for _ in range(6)] == [b": heartbeat", b""] * 3


def test_the_port_of_the_last_run_is_taken_again(tmp_path: Path) -> None:
    """Unless another program has it, or the file says nothing useful."""
    memory = tmp_path / "port"
    with listening(memory, None) as first:
        port = first.getsockname()[1]
        with listening(memory, None) as second:
            assert second.getsockname()[1] != port
    memory.write_text(f"{port}\n")
    with listening(memory, None) as again:
        assert again.getsockname()[1] == port
    for damaged in ("x", "0", "99999", "\N{ARABIC-INDIC DIGIT ONE}"):
        memory.write_text(damaged)
        with listening(memory, None) as other:
            assert other.getsockname()[1] > 0


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """`--port` of another program ends with a reason."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(CommandFailed, match=f"port {port} cannot be used"),
            listening(tmp_path / "p", port),
        ):
            pytest.fail("the port was bound twice")


def test_a_second_manager_is_refused_with_the_first(tmp_path: Path) -> None:
    """The message has URL and pid."""
    layout = Layout(tmp_path)
    with single(layout, STACK):
        ticks = process.start_ticks(os.getpid())
        assert ticks is not None
        process.write(layout, STACK, process.ManagerInfo("http://127.0.0.1:1", os.getpid(), 1.0, ticks, "c"))
        said = rf"runs already at http://127.0.0.1:1 \(pid {os.getpid()}\)"
        with pytest.raises(CommandFailed, match=said), single(layout, STACK):
            pytest.fail("two managers")
    with single(layout, STACK):
        assert layout.manager(STACK).stat().st_mode & 0o77 == 0


@pytest.mark.parametrize(
    ("stored", "found"),
    [("{}", False), ("not JSON", False), ("", False), ("same", True), ("other process", False)],
)
def test_only_the_process_that_wrote_the_file_is_the_manager(
    tmp_path: Path, stored: str, found: bool
) -> None:
    """A pid counts with the start time of its process."""
    layout = Layout(tmp_path)
    layout.home.mkdir()
    ticks = process.start_ticks(os.getpid()) or 0
    info = process.ManagerInfo("http://x", os.getpid(), 1.0, ticks + (stored != "same"), "c")
    process.write(layout, STACK, info)
    if stored not in ("same", "other process"):
        layout.manager_file().write_text(stored)
    assert (process.running(layout) == info) is found


def test_a_process_that_has_ended_has_no_start_time() -> None:
    """Also as a zombie."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        wait_until(lambda: process.start_ticks(child.pid) is None)
    finally:
        child.wait()
    assert process.start_ticks(child.pid) is None


def test_ctrl_c_stops_and_a_second_one_at_once(tmp_path: Path) -> None:
    """The first lets requests end."""
    with running(tmp_path, Setup(tmp_path)) as one:
        one.server.handle_exit(signal.SIGINT, None)
        assert (one.server.should_exit, one.server.force_exit) == (True, False)
        one.server.handle_exit(signal.SIGINT, None)
        assert one.server.force_exit


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health\r\n\r\n",
        b"NOT HTTP AT ALL\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n",
        b"POST /api/drain HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
    ],
)
def test_what_is_no_request_is_a_problem_too(sent: bytes, tmp_path: Path) -> None:
    """400 with a document and the headers of security, and the connection ends."""
    with running(tmp_path, Setup(tmp_path)) as one, one.connect() as raw:
        raw.sendall(sent)
        reply = b""
        while part := raw.recv(65_536):
            reply += part
    head, _, content = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert b"x-frame-options: DENY" in head
    assert json.loads(content)["status"] == 400


def test_a_request_of_a_browser_has_no_server_header(tmp_path: Path) -> None:
    """Nothing says which server it is, and every reply has the headers of security."""
    with running(tmp_path, Setup(tmp_path)) as one, requests.Session() as http:
        http.trust_env = False
        reply = http.get(f"{one.url}/health", timeout=20)
    assert "server" not in reply.headers
    assert reply.headers["x-frame-options"] == "DENY"
