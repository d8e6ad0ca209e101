"""A client that sends a case as it stands and keeps all that comes back."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

from tests.differential.model import Framing, Header, Headers, Request
from tests.differential.wire import Closed, Malformed, Message, Stream

PATIENCE_S: Final = 20.0
# RFC 9110, section 10.1.1: a client does not wait for 100 Continue for ever.
CONTINUE_S: Final = 3.0
# On a connection that is kept, this shows that both sides agree on where the reply ended.
NEXT: Final = b"GET /health HTTP/1.1\r\nHost: %b\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Got:
    """What a client got. interim: heads with 1xx: first line and fields. reason: of the status line.

    in_step: the next request on this connection got its own reply; None: the connection was closed."""

    status: int
    reason: bytes
    fields: tuple[Header, ...]
    body: bytes
    framing: Framing
    trailers: tuple[Header, ...]
    interim: tuple[tuple[bytes, tuple[Header, ...]], ...]
    in_step: bool | None


def exchange(address: tuple[str, int], request: Request, authority: bytes, more: Headers = ()) -> Got:
    """Send a request and read its reply. more: further fields. Raises Malformed or OSError."""
    with socket.create_connection(address, PATIENCE_S) as connection:
        stream = Stream(connection)
        head, content = request.head(authority, more), request.content()
        interim: list[Message] = []
        if request.expects:
            stream.send(head)
            reply = _invitation(stream, interim)
            if reply is None:
                stream.send(content)
        else:
            stream.send(head + content)
            reply = None
        while reply is None or is_interim(reply):
            if reply is not None:
                interim.append(reply)
            reply = stream.head()
        bodiless = request.method == b"HEAD" or _status(reply) in (204, 304)
        stream.body(reply, bodiless=bodiless, until_close=True)
        return Got(
            _status(reply),
            reply.start.split(b" ", 2)[2],
            tuple(reply.fields),
            reply.body,
            reply.framing,
            tuple(reply.trailers),
            tuple((one.start, tuple(one.fields)) for one in interim),
            None if reply.framing == "close" else _in_step(stream, authority),
        )


def is_interim(message: Message) -> bool:
    """Whether another reply follows (RFC 9110, section 15.2)."""
    return 100 <= _status(message) < 200


def _invitation(stream: Stream, interim: list[Message]) -> Message | None:
    """Wait for 100 Continue. A final reply instead of it is returned."""
    stream.connection.settimeout(CONTINUE_S)
    try:
        found = stream.head()
    except TimeoutError:
        return None
    finally:
        stream.connection.settimeout(PATIENCE_S)
    if not is_interim(found):
        return found
    interim.append(found)
    return None


def _in_step(stream: Stream, authority: bytes) -> bool | None:
    try:
        stream.send(NEXT % authority)
        reply = stream.head()
        stream.body(reply, bodiless=False, until_close=False)
    except (Closed, ConnectionError):
        return None
    except Malformed:
        return False
    return reply.start.startswith(b"HTTP/1.1 200 ")


def _status(message: Message) -> int:
    version, _, rest = message.start.partition(b" ")
    if version != b"HTTP/1.1" or len(rest) < 4 or rest[3:4] != b" " or not rest[:3].isdigit():
        raise Malformed(message.start)
    return int(rest[:3])
