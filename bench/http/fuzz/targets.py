"""What must hold for all bytes: each target takes some and raises AssertionError when a rule is broken.

Rules
- A head or body is accepted only if the independent strict reader of `bench.http.wire` accepts it, with the
  same meaning. The reverse does not hold: limits, for example, are narrower than the grammar.
- How bytes are split into reads changes nothing.
- The upstream client reports one head, then data, then one end or failure, and nothing more.
- No input raises anything but the parser's own error.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bench.http.corpus import REPLIES, REQUESTS
from bench.http.wire import read_chunks, read_request
from router.net.connection import Connection
from router.net.errors import TransportError
from skyfleet.asgi import Header
from skyfleet.http1.body import ChunkedDecoder
from skyfleet.http1.errors import MalformedMessage
from skyfleet.http1.head import CHUNKED, ResponseHead, check_beginning, parse_request

_MOST_SEED: Final = 1_000
_REQUEST: Final = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def request_head(data: bytes) -> None:
    """The head of a request, up to its empty line."""
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end:
        return
    try:
        found = parse_request(head + b"\r\n")
    except MalformedMessage:
        return
    framing = (
        b"0\r\n\r\n" if found.length == CHUNKED else b"" if found.length > 10_000 else b"x" * found.length
    )
    if found.length <= 10_000:
        seen, rest = read_request(head + b"\r\n\r\n" + framing)
        assert (seen.method, rest) == (found.method, b"")
        assert list(seen.fields) == found.fields
        assert seen.target.endswith(found.target) or found.target.startswith(b"/?") or found.target == b"/"
    assert found.target.startswith(b"/")
    assert not any(byte <= 0x20 or byte >= 0x7F for byte in found.target)
    for cut in range(0, len(head), max(1, len(head) // 50)):
        check_beginning(head[:cut])


def chunked_body(data: bytes) -> None:
    """A chunked body; the first byte says how it is split."""
    step, data = (data[0] % 7) + 1 if data else 1, data[1:]
    whole, parts = _decoded(data, max(1, len(data))), _decoded(data, step)
    assert whole == parts, (whole, parts)
    if whole is not None and whole[1]:
        content, trailers, rest = read_chunks(data)
        assert (content, list(trailers), rest) == (whole[0], whole[2], whole[3])


def _decoded(data: bytes, step: int) -> tuple[bytes, bool, list[Any], bytes] | None:
    """Content, whether it is complete, trailers, and what follows; None: it is malformed."""
    decoder, content = ChunkedDecoder(), b""
    try:
        for at in range(0, len(data), step):
            content += decoder.feed(data[at : at + step])
            if decoder.done:
                return content, True, decoder.trailers, decoder.rest + data[at + step :]
    except MalformedMessage:
        return None
    return content, False, [], b""


class _Handler:
    """Notes what the upstream client reports."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.over = False

    def on_informational(self, status: int, headers: list[Header], /) -> None:
        assert not self.events
        assert 100 < status < 200
        self._check(headers)

    def on_whole(self, head: ResponseHead, data: bytes, /) -> None:
        self.on_head(head)
        if data:
            self.on_data(data)
        self.on_end(())

    def on_head(self, head: ResponseHead, /) -> None:
        assert not self.events
        assert 200 <= head.status <= 599
        self._check(head.fields)
        self.events.append((head.status, head.reason, tuple(head.fields)))

    def on_data(self, data: bytes, /) -> None:
        assert self.events
        assert not self.over
        if len(self.events) > 1:
            data = self.events.pop() + data
        self.events.append(data)

    def on_end(self, trailers: Sequence[Header], /) -> None:
        assert self.events
        self._check(trailers)
        self._end("end")

    def on_failure(self, error: TransportError, why: str, /) -> None:
        self._end(f"failure {error}")

    def _end(self, how: str) -> None:
        assert not self.over
        self.over = True
        if how != "end" and len(self.events) > 1:
            self.events.pop()  # how much of a broken body was reported depends on the reads
        self.events.append(how)

    def _check(self, headers: Sequence[Header]) -> None:
        for name, value in headers:
            assert name == name.lower()
            assert not any(byte in name + value for byte in b"\r\n\x00")


class _Socket:
    """What the upstream client wants of a socket: it is polled, and takes options of TCP."""

    def __init__(self, one: socket.socket) -> None:
        self.fileno = one.fileno

    def setsockopt(self, *_: object) -> None:
        return


class _Transport(asyncio.Transport):
    """Takes a request and is closed."""

    def __init__(self, one: socket.socket) -> None:
        super().__init__()
        self._socket = _Socket(one)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._socket if name == "socket" else default

    def is_closing(self) -> bool:
        return False

    def write(self, data: object) -> None:
        return

    def abort(self) -> None:
        return

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return 0


def reply(data: bytes) -> None:
    """A reply to the router's upstream client; the first byte says how it is split, and whether it ends."""
    first, data = data[0] if data else 0, data[1:]
    whole = replied(data, max(1, len(data)), closes=first & 64 == 0)
    parts = replied(data, (first % 7) + 1, closes=first & 64 == 0)
    assert whole == parts, (whole, parts)


def replied(data: bytes, step: int, *, closes: bool) -> list[Any]:
    """What the upstream client reports of a reply in reads of `step` bytes. closes: its connection ends."""
    handler = _Handler()
    near, far = socket.socketpair()
    with near, far:
        connection = Connection(lambda _one, _reusable: None)
        connection.connection_made(_Transport(near))
        connection.start(handler, _REQUEST, head_only=False)
        for at in range(0, len(data), step):
            if handler.over:
                break
            connection.data_received(data[at : at + step])
        if not handler.over and closes:
            connection.connection_lost(None)
            assert handler.over
    return handler.events


def seeds(name: str) -> list[bytes]:
    """Inputs of a target from the corpus, small enough to be varied."""
    if name == "reply":
        found = [b"".join(case.writes) for case in REPLIES]
        every = [bytes([first]) + one for one in found for first in (0, 65)]
    else:
        every = [case.sent for cases in REQUESTS.values() for case in cases]
        if name == "chunked_body":
            every = [b"\x01" + one.partition(b"\r\n\r\n")[2] for one in every]
    return sorted({one for one in every if len(one) <= _MOST_SEED})


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "request_head": request_head,
    "chunked_body": chunked_body,
    "reply": reply,
}
