"""Raw sockets on both sides: what a client sends and reads, and an upstream that records each byte.

Rules
- Neither side repairs anything. Requests are read by one strict reading, so what a router has sent can be
  compared with what was sent to it.
- After a case the client sends `SENTINEL`. A router that still waits for a body takes it for a part of that,
  so it shows whether both sides agree where the last request ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.http.cases import Field

SENTINEL: Final = b"GET /sentinel HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n"
SENTINEL_TARGET: Final = b"/sentinel"
# Apart enough that the kernel does not join two writes while the other side is being scheduled.
_APART_S: Final = 0.004
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PROBE: Final = b'{"status": "ok", "cold": false, "build": "b1", "inflight": 0}'
_DEFAULT: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Unreadable(Exception):
    """Bytes that no strict reading accepts; the message says why."""


class Incomplete(Exception):
    """More bytes are needed."""


class _Closed(Exception):
    """The script ends the connection."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived. fields: names in lower case. trailers: fields after a chunked body."""

    method: str
    target: bytes
    version: bytes
    fields: tuple[Field, ...]
    body: bytes = b""
    trailers: tuple[Field, ...] = ()

    def values(self, name: bytes) -> list[bytes]:
        """All values of a field."""
        return [value for key, value in self.fields if key == name]


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply as the client reads it. complete: it ended as it announced."""

    status: int
    fields: tuple[Field, ...]
    body: bytes
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a client read. closed: the other side ended the connection; reset: not in order."""

    raw: bytes
    closed: bool
    reset: bool = False

    def replies(self, methods: Sequence[str] = ()) -> list[Reply]:
        """The final replies, in order. methods: of the requests; GET when there are fewer."""
        found: list[Reply] = []
        data = self.raw
        while data:
            method = methods[len(found)] if len(found) < len(methods) else "GET"
            try:
                reply, data = read_reply(data, method, closed=self.closed and not self.reset)
            except Incomplete:
                found.append(Reply(0, (), data, complete=False))
                break
            except Unreadable:
                found.append(Reply(-1, (), data, complete=False))
                break
            if reply.status >= 200:
                found.append(reply)
        return found


def read_fields(lines: Sequence[bytes]) -> tuple[Field, ...]:
    """Field lines, strictly."""
    found: list[Field] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.translate(None, _TOKEN):
            raise Unreadable(f"a field line {line[:60]!r}")
        if any(byte in value for byte in b"\r\n\x00"):
            raise Unreadable(f"a value {value[:60]!r}")
        found.append((name.lower(), value.strip(b" \t")))
    return tuple(found)


def read_request(data: bytes) -> tuple[Seen, bytes]:
    """The first request of these bytes, and what follows it. Raises Incomplete or Unreadable."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        raise Incomplete
    start, *lines = head.split(b"\r\n")
    words = start.split(b" ")
    if len(words) != 3 or not words[0] or words[0].translate(None, _TOKEN):
        raise Unreadable(f"a request line {start[:80]!r}")
    fields = read_fields(lines)
    body, trailers, rest = _body(fields, rest, framed=True)
    return Seen(words[0].decode(), words[1], words[2], fields, body, trailers), rest


def read_reply(data: bytes, method: str, *, closed: bool) -> tuple[Reply, bytes]:
    """The first reply of these bytes, and what follows it. closed: no more will come."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        if closed:
            raise Unreadable("no head")
        raise Incomplete
    start, *lines = head.split(b"\r\n")
    words = start.split(b" ", 2)
    if not words[0].startswith(b"HTTP/1.") or len(words) < 2 or not words[1].isdigit():
        raise Unreadable(f"a status line {start[:80]!r}")
    status, fields = int(words[1]), read_fields(lines)
    if status < 200 or status in (204, 304) or method == "HEAD":
        return Reply(status, fields, b""), rest
    names = {name for name, _ in fields}
    if not names & {b"content-length", b"transfer-encoding"}:
        if not closed:
            raise Incomplete
        return Reply(status, fields, rest), b""
    try:
        body, _, rest = _body(fields, rest, framed=False)
    except Incomplete:
        if closed:
            return Reply(status, fields, rest, complete=False), b""
        raise
    return Reply(status, fields, body), rest


def _body(fields: tuple[Field, ...], rest: bytes, *, framed: bool) -> tuple[bytes, tuple[Field, ...], bytes]:
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    lengths = [value for name, value in fields if name == b"content-length"]
    if codings and lengths and framed:
        raise Unreadable("a length and a coding")
    if codings:
        if [value.lower() for value in codings] != [b"chunked"]:
            raise Unreadable(f"the codings {codings}")
        return read_chunks(rest)
    if not lengths:
        return b"", (), rest
    if len(lengths) > 1 or not lengths[0].isdigit():
        raise Unreadable(f"the lengths {lengths}")
    size = int(lengths[0])
    if len(rest) < size:
        raise Incomplete
    return rest[:size], (), rest[size:]


def read_chunks(rest: bytes) -> tuple[bytes, tuple[Field, ...], bytes]:
    parts: list[bytes] = []
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            raise Incomplete
        text = line.partition(b";")[0]
        if not text or text.translate(None, b"0123456789abcdefABCDEF"):
            raise Unreadable(f"a chunk size {line[:60]!r}")
        size = int(text, 16)
        if size == 0:
            break
        if len(rest) < size + 2:
            raise Incomplete
        if rest[size : size + 2] != b"\r\n":
            raise Unreadable("a chunk without its end")
        parts.append(rest[:size])
        rest = rest[size + 2 :]
    lines: list[bytes] = []
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            raise Incomplete
        if not line:
            return b"".join(parts), read_fields(lines), rest
        lines.append(line)


def converse(
    port: int, writes: Sequence[bytes], *, patience_s: float, methods: Sequence[str] = ()
) -> Conversation:
    """Send these writes, read a reply, send the sentinel, read to the end.

    patience_s: how long to wait when nothing comes. methods: of the requests."""
    raw = bytearray()
    reset = False
    with socket.create_connection(("127.0.0.1", port), timeout=max(patience_s, 5)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, data in enumerate(writes):
            if number:
                time.sleep(_APART_S)
            with contextlib.suppress(ConnectionError, TimeoutError):
                client.sendall(data)
        client.settimeout(patience_s)
        try:
            closed = _read(client, raw, methods, until_reply=True)
            if not closed and raw:
                if not _announces_close(raw, methods):
                    client.sendall(SENTINEL)
                closed = _read(client, raw, methods, until_reply=False)
        except ConnectionError:
            closed = reset = True
    return Conversation(bytes(raw), closed, reset)


def _announces_close(raw: bytearray, methods: Sequence[str]) -> bool:
    """Whether a reply says that its connection closes: the sentinel would only cause a reset."""
    replies = Conversation(bytes(raw), False).replies(methods)
    return any(
        value.lower() == b"close" for one in replies for name, value in one.fields if name == b"connection"
    )


def _read(client: socket.socket, raw: bytearray, methods: Sequence[str], *, until_reply: bool) -> bool:
    """Read more; whether the other side has ended the connection."""
    while not (
        until_reply and any(one.status >= 200 for one in Conversation(bytes(raw), False).replies(methods))
    ):
        try:
            data = client.recv(65_536)
        except TimeoutError:
            return False
        if not data:
            return True
        raw += data
    return False


@dataclass
class Script:
    """What the recorder answers. writes: one for each write. close: it closes the connection afterwards."""

    writes: tuple[bytes, ...] = (_DEFAULT,)
    close: bool = False


@dataclass
class Recorder:
    """An upstream in a thread of its own, which keeps the bytes of each connection.

    Probes of a router's health are answered and not kept."""

    script: Script = field(default_factory=Script)
    port: int = 0
    pending: int = 0  # connections with a part of a request
    _kept: list[Seen | Unreadable] = field(default_factory=list["Seen | Unreadable"])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])

    def take(self) -> list[Seen | Unreadable]:
        """What has arrived since the last call."""
        with self._lock:
            kept, self._kept = self._kept, []
        return kept

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        data, partial = b"", False
        try:
            while more := await reader.read(262_144):
                data += more
                with contextlib.suppress(Incomplete):
                    while data:
                        seen, data = read_request(data)
                        await self._answer(seen, writer)
                self.pending += bool(data) - partial
                partial = bool(data)
        except Unreadable as error:
            self._keep(error)
        except (ConnectionError, asyncio.CancelledError, _Closed):
            pass
        finally:
            self.pending -= partial
            writer.close()

    async def stop(self) -> None:
        """End every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.target == b"/health" and seen.method == "GET" and not seen.values(b"x-skyfleet-signature"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(_PROBE), _PROBE))
            return
        self._keep(seen)
        script = Script() if seen.target == SENTINEL_TARGET else self.script
        for number, data in enumerate(script.writes):
            if number:
                await asyncio.sleep(_APART_S)
            writer.write(data)
            await writer.drain()
        if script.close:
            raise _Closed

    def _keep(self, one: Seen | Unreadable) -> None:
        with self._lock:
            self._kept.append(one)


@contextlib.contextmanager
def recording() -> Generator[Recorder]:
    """A running recorder on a free port."""
    recorder, started, done = Recorder(), threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    stops: list[asyncio.Event] = []

    async def run() -> None:
        server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0)
        recorder.port = server.sockets[0].getsockname()[1]
        loops.append(asyncio.get_running_loop())
        stops.append(asyncio.Event())
        started.set()
        await stops[0].wait()
        server.close()
        await recorder.stop()

    thread = threading.Thread(target=lambda: (asyncio.run(run()), done.set()))
    thread.start()
    started.wait()
    try:
        yield recorder
    finally:
        loops[0].call_soon_threadsafe(stops[0].set)
        thread.join()
