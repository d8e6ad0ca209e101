"""What happens while an exchange is under way: its pace, the memory it takes, an end before the end."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Generator

import pytest

from tests.differential.client import PATIENCE_S
from tests.differential.model import Header, Reply, Request
from tests.differential.recorder import Recorder, Seen, recording
from tests.differential.routers import Form, Running, started
from tests.differential.wire import Malformed, Message, Stream
from tests.functions.support import until

pytestmark = [pytest.mark.xdist_group("differential")]

FORMS = ("aws", pytest.param("gcp", marks=pytest.mark.emulator))
AUTHORITY = b"agent.example.net"
MB = 1024 * 1024
PIECE = bytes(range(256)) * 256
LARGE = 100 * MB
# In the kernel's buffers of both connections and in the router's own.
MOST_ON_THE_WAY = LARGE // 2
MOST_MEMORY_KB = 16 * 1024


@pytest.fixture(scope="module")
def recorder() -> Generator[Recorder]:
    with recording() as one:
        yield one


@pytest.fixture(scope="module", params=FORMS)
def router(
    request: pytest.FixtureRequest, recorder: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Running]:
    form: Form = request.param
    with started(form, tmp_path_factory.mktemp(form), f"http://127.0.0.1:{recorder.port}") as one:
        yield one


@contextlib.contextmanager
def sent(address: tuple[str, int], request: Request) -> Generator[Stream]:
    """A request on its way."""
    with socket.create_connection(address, PATIENCE_S) as connection:
        stream = Stream(connection)
        stream.send(request.head(AUTHORITY) + request.content())
        yield stream


class Producer:
    """Sends a large reply and counts what it could send."""

    def __init__(self, *, chunked: bool) -> None:
        self.sent, self.digest, self._chunked = 0, hashlib.sha256(), chunked

    def __call__(self, stream: Stream, _: Seen) -> bool:
        framing: Header = (
            (b"transfer-encoding", b"chunked") if self._chunked else (b"content-length", b"%d" % LARGE)
        )
        stream.send(Reply(fields=(framing,), framing="none").head())
        while self.sent < LARGE:
            stream.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if self._chunked else PIECE)
            self.sent += len(PIECE)
            self.digest.update(PIECE)
        if self._chunked:
            stream.send(b"0\r\n\r\n")
        return True


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_reply_is_as_slow_as_its_client(
    recorder: Recorder, router: Running, *, chunked: bool
) -> None:
    """The agent waits while the client does not read, and the router holds only what is on the way."""
    producer = recorder.script = Producer(chunked=chunked)
    before = router.memory_kb()
    with sent(router.address, Request()) as stream:
        reply = stream.head()
        until(standing_still(lambda: producer.sent), "the agent to wait")
        assert producer.sent < MOST_ON_THE_WAY
        stream.body(reply, bodiless=False, until_close=False)
    assert hashlib.sha256(reply.body).digest() == producer.digest.digest()
    assert reply.framing == ("chunked" if chunked else "length")
    assert router.peak_kb() - before < MOST_MEMORY_KB


def standing_still(count: Callable[[], int]) -> Callable[[], bool]:
    """Whether a count has begun and stays the same for a hundred looks, half a second."""
    last, looks = -1, 0

    def look() -> bool:
        nonlocal last, looks
        last, looks = (last, looks + 1) if count() == last else (count(), 0)
        return last > 0 and looks >= 100

    return look


@pytest.mark.parametrize("begun", [False, True])
def test_a_client_that_leaves_ends_the_agents_connection(
    recorder: Recorder, router: Running, *, begun: bool
) -> None:
    """Before the reply and within it."""
    arrived, left = threading.Event(), threading.Event()

    def work(stream: Stream, _: Seen) -> bool:
        if begun:
            stream.send(Reply(framing="chunked").head() + b"5\r\nbegun\r\n")
        arrived.set()
        with contextlib.suppress(OSError):
            stream.connection.recv(1)
        left.set()
        return False

    recorder.script = work
    with sent(router.address, Request(b"POST", framing="length")) as stream:
        assert arrived.wait(PATIENCE_S)
        if begun:
            assert stream.head().start == b"HTTP/1.1 200 OK"
    assert left.wait(PATIENCE_S)


def test_an_interim_reply_is_passed_on_while_the_agent_works(recorder: Recorder, router: Running) -> None:
    """A hint is of use before the reply only."""
    hinted = threading.Event()

    def work(stream: Stream, _: Seen) -> bool:
        stream.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
        assert hinted.wait(PATIENCE_S)
        stream.send(Reply().head() + Reply().content())
        return True

    recorder.script = work
    with sent(router.address, Request()) as stream:
        hint = stream.head()
        assert (hint.start, hint.values(b"link")) == (
            b"HTTP/1.1 103 Early Hints",
            [b"</a.css>; rel=preload"],
        )
        hinted.set()
        assert stream.head().start == b"HTTP/1.1 200 OK"


BROKEN = {
    "of known length": Reply(length=1000, body=b"x" * 300),
    "in chunks": Reply(framing="none", fields=((b"transfer-encoding", b"chunked"),), body=b"5\r\nbegun\r\n"),
    "in a chunk": Reply(framing="none", fields=((b"transfer-encoding", b"chunked"),), body=b"5\r\nbe"),
    "large": Reply(length=LARGE, body=PIECE * 4),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
def test_a_reply_that_breaks_off_is_never_complete(reply: Reply, recorder: Recorder, router: Running) -> None:
    """Its client sees that the end is missing, as directly, or the router's own error."""

    def work(stream: Stream, _: Seen) -> bool:
        stream.send(reply.head() + reply.body)
        return False

    recorder.script = work
    assert outcome(recorder.address) == "broken"
    assert outcome(router.address) in ("broken", "502", "503")


def outcome(address: tuple[str, int]) -> str:
    """How an exchange ended."""
    with sent(address, Request(b"POST", framing="length")) as stream:
        try:
            reply: Message = stream.head()
            stream.body(reply, bodiless=False, until_close=True)
        except Malformed:
            return "broken"
    return reply.start.split(b" ")[1].decode()
