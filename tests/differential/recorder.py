"""An agent on a raw socket: it records each request as it came and replies with the octets of the case.

It runs in threads, so that a test is plain code. Requests for /health are answered and not recorded, since
routers probe their targets whenever they like.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final

from tests.differential.model import Header, Reply
from tests.differential.wire import Closed, Malformed, Message, Stream

HEALTH: Final = b'{"status": "ok", "cold": false, "build": "b1", "inflight": 0}'
ALIVE: Final = Reply(fields=((b"content-type", b"application/json"),), body=HEALTH)
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the agent read it. problem: why it could not be read to its end."""

    method: bytes
    target: bytes
    version: bytes
    fields: tuple[Header, ...]
    body: bytes
    framing: str
    trailers: tuple[Header, ...]
    problem: str = ""


Script = Callable[[Stream, Seen], bool]


@dataclass(slots=True)
class Recorder:
    """The agent. reply: to the next request. script: replies instead of that; True keeps the connection."""

    port: int
    reply: Reply = field(default_factory=Reply)
    script: Script | None = None
    seen: list[Seen] = field(default_factory=list[Seen])
    _open: set[socket.socket] = field(default_factory=set[socket.socket])

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def accept(self, listener: socket.socket) -> None:
        """Serve connections until the listener is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_S)
        stream = Stream(connection)
        try:
            with connection, contextlib.suppress(OSError, Closed, Malformed):
                while self._one(stream):
                    pass
        finally:
            self._open.discard(connection)

    def _one(self, stream: Stream) -> bool:
        request = stream.head()
        method, target, version = [*request.start.split(b" ", 2), b"", b""][:3]
        if target == b"/health":
            stream.send(ALIVE.head() + ALIVE.content())
            return True
        problem = ""
        if request.values(b"expect"):
            stream.send(CONTINUE)
        try:
            stream.body(request, bodiless=False, until_close=False)
        except Malformed as error:
            problem = str(error)
        seen = _seen(method, target, version, request, problem)
        self.seen.append(seen)
        if problem:
            return False
        if self.script is not None:
            return self.script(stream, seen)
        reply = self.reply
        bodiless = method == b"HEAD" or reply.status in (204, 304)
        stream.send(reply.head() + (b"" if bodiless else reply.content()))
        return reply.framing != "close"


@contextlib.contextmanager
def recording() -> Generator[Recorder]:
    """A recorder on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        recorder = Recorder(listener.getsockname()[1])
        thread = threading.Thread(target=recorder.accept, args=(listener,), daemon=True)
        thread.start()
        try:
            yield recorder
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            recorder.close()


def _seen(method: bytes, target: bytes, version: bytes, request: Message, problem: str) -> Seen:
    return Seen(
        method,
        target,
        version,
        tuple(request.fields),
        request.body,
        request.framing,
        tuple(request.trailers),
        problem,
    )
