"""Clients that are slow, idle, or gone: nothing of them stays, and the others are served.

Rule: counters, objects of the server and of the router, and descriptors return to where they were. Times are
shortened where a test would wait for them; none is measured.
"""

from __future__ import annotations

import contextlib
import gc
import resource
import socket
import struct
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from bench.http.cases import get, post
from bench.http.wire import Script, converse
from functions.runtimes.server import connection
from functions.runtimes.server.connection import HttpConnection
from router.proxy.forward import Forwarder
from skyfleet.asgi import BODY_LIMIT
from tests.functions.support import until
from tests.http.support import Setup, running

IDLE = 5_000
VANISHING = 500
_HALF = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENT = b"10\r\ndata: an event\n\n\r\n"


@pytest.fixture
def setup() -> Generator[Setup]:
    """A router that has served a request. Its target has two names, since connections to one are limited."""
    with running(hosts=("127.0.0.1", "localhost")) as one:
        _served(one)
        yield one


def _served(setup: Setup) -> None:
    """It still answers."""
    talk = converse(setup.port, (get(b"Connection: close"),), patience_s=60)
    assert [reply.status for reply in talk.replies()] == [200]


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _held() -> int:
    """Objects that belong to one connection or one request."""
    gc.collect()
    return sum(isinstance(one, HttpConnection | Forwarder) for one in gc.get_objects())


@contextlib.contextmanager
def _nothing_stays(setup: Setup) -> Generator[None]:
    """All that the block opens is gone after it."""
    until(lambda: _held() == 0, "the first request's end")
    descriptors = _descriptors()
    yield
    until(lambda: _held() == 0, "the server's and the router's objects to go")
    # Of the router's connections to the agent some may stay open, idle: each is one descriptor at either end.
    until(lambda: _descriptors() <= descriptors + 4, "descriptors to be closed")
    until(lambda: _inflight(setup) == 0, "the counter of active requests")
    _served(setup)


def _inflight(setup: Setup) -> int:
    balancer = setup.app._context.balancer  # pyright: ignore[reportPrivateUsage]
    return sum(balancer.inflight.values())


@contextlib.contextmanager
def _connected(setup: Setup, count: int, sent: bytes = b"") -> Generator[list[socket.socket]]:
    """Connections on which these bytes were sent; closed at the end."""
    with contextlib.ExitStack() as stack:
        clients: list[socket.socket] = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", setup.port), timeout=20)
            clients.append(stack.enter_context(client))
            client.sendall(sent)
        yield clients


def _reset(clients: list[socket.socket]) -> None:
    """Vanish without a word."""
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()


@pytest.fixture
def many_descriptors() -> Generator[None]:
    """Both ends of all connections are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_idle_connections_keep_no_request_from_being_served(setup: Setup, many_descriptors: None) -> None:
    """5,000 of them, half with a request behind them."""
    with (
        _nothing_stays(setup),
        _connected(setup, IDLE // 2),
        _connected(setup, IDLE // 2, get(target=b"/health")) as clients,
    ):
        _served(setup)
        for client in clients:
            assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        _served(setup)


@pytest.mark.parametrize("sent", [b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: b", _HALF], ids=["head", "body"])
def test_slow_heads_and_slow_bodies_are_answered_with_408(
    sent: bytes, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slowloris: bytes that come now and then keep no connection, and no request waits for them."""
    for name in ("HEAD_S", "BODY_READ_S", "BODY_S"):
        monkeypatch.setattr(connection, name, 0.5)
    with _nothing_stays(setup), _connected(setup, 200, sent) as clients:
        _served(setup)
        for client in clients:
            reply = b""
            client.settimeout(0.05)
            while not reply:
                with contextlib.suppress(TimeoutError):
                    reply = client.recv(65_536)
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"b")
            assert reply.startswith(b"HTTP/1.1 408 ")
    assert not [one for one in setup.upstream.take() if getattr(one, "method", "") == "POST"]


def _streaming(setup: Setup) -> None:
    setup.upstream.script = Script((_STREAM + _EVENT, _EVENT))


def _silent(setup: Setup) -> None:
    setup.upstream.script = Script(())


VANISHED: dict[str, tuple[bytes, Callable[[Setup], None], bytes]] = {
    "before a byte": (b"", _silent, b""),
    "in the head": (b"GET /x HTTP/1.1\r\nHost: a\r\nX-A:", _silent, b""),
    "in the body": (_HALF, _silent, b""),
    "while the agent works": (get(), _silent, b""),
    "while a POST runs": (post(b"Content-Length: 3", body=b"abc"), _silent, b""),
    "with a request behind it": (get() + get(target=b"/y"), _silent, b""),
    "in the stream": (get(b"Accept: text/event-stream"), _streaming, b"data: an event"),
}


@pytest.mark.parametrize(("sent", "script", "awaited"), VANISHED.values(), ids=VANISHED)
def test_nothing_stays_of_clients_that_vanish(
    sent: bytes,
    script: Callable[[Setup], None],
    awaited: bytes,
    setup: Setup,
    many_descriptors: None,
) -> None:
    """500 at once, each with a reset."""
    with _nothing_stays(setup):
        script(setup)
        with _connected(setup, VANISHING, sent) as clients:
            for client in clients if awaited else ():
                reply = b""
                while awaited not in reply:
                    part = client.recv(65_536)
                    assert part
                    reply += part
            _reset(clients)
        setup.upstream.script = Script()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(BODY_LIMIT, 200), (BODY_LIMIT + 1, 413)])
def test_a_body_up_to_the_limit_is_forwarded(size: int, status: int, chunked: bool, setup: Setup) -> None:
    """One byte more is refused, announced or not."""
    setup.upstream.take()
    body = b"x" * size
    sent = post(b"Content-Length: %d" % size, body=body)
    if chunked:
        sent = post(b"Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (size, body))
    talk = converse(setup.port, (sent,), patience_s=60)
    assert talk.replies()[0].status == status
    seen = [one for one in setup.upstream.take() if getattr(one, "method", "") == "POST"]
    assert [getattr(one, "body", b"") for one in seen] == ([body] if status == 200 else [])
