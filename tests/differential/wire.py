"""HTTP/1.1 on blocking sockets for the differential suite: nothing is repaired, nothing is hidden.

Rules
- A reader keeps what came: names in lower case, since names have no case (RFC 9110, section 5.1), values
  without the white space around them, everything else octet by octet, in order.
- A message is read by the framing that RFC 9112, section 6.3, gives it. What breaks that is `Malformed`.
- One class reads both directions, so that both are judged alike.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Final

from tests.differential.model import Framing, Header

READ: Final = 65_536
MOST_HEAD: Final = 1 << 20


class Malformed(Exception):
    """These bytes are not a message of HTTP/1.1."""


class Closed(Exception):
    """The other side has closed the connection before a message began."""


@dataclass(slots=True)
class Message:
    """One message as it was read. start: its first line. body: without its framing."""

    start: bytes
    fields: list[Header]
    body: bytes = b""
    framing: Framing = "none"
    trailers: list[Header] = field(default_factory=list[Header])

    def values(self, name: bytes) -> list[bytes]:
        """The values of a field."""
        return [value for key, value in self.fields if key == name]


class Stream:
    """One side of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = bytearray()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.connection.sendall(data)

    def head(self) -> Message:
        """Read a head. Raises Closed before its first byte, Malformed within it."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MOST_HEAD:
                raise Malformed("the head does not end")
            if not self._more():
                raise Malformed(bytes(self._buffer)) if self._buffer else Closed
        start, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        return Message(start, [_field(line) for line in lines])

    def body(self, message: Message, *, bodiless: bool, until_close: bool) -> None:
        """Read the rest of a message. until_close: without a framing its end is that of the connection."""
        codings, lengths = message.values(b"transfer-encoding"), message.values(b"content-length")
        if bodiless:
            return
        if codings:
            if codings != [b"chunked"] or lengths:
                raise Malformed(f"codings {codings} and lengths {lengths}")
            message.framing = "chunked"
            self._chunks(message)
        elif lengths:
            if len(lengths) > 1 or not lengths[0].isdigit():
                raise Malformed(f"lengths {lengths}")
            message.framing = "length"
            message.body = self._exactly(int(lengths[0]))
        elif until_close:
            message.framing = "close"
            while self._more():
                pass
            message.body, self._buffer = bytes(self._buffer), bytearray()

    def _chunks(self, message: Message) -> None:
        parts: list[bytes] = []
        while size := int(self._line().partition(b";")[0], 16):
            parts.append(self._exactly(size))
            if self._exactly(2) != b"\r\n":
                raise Malformed("a chunk does not end with its size")
        while line := self._line():
            message.trailers.append(_field(line))
        message.body = b"".join(parts)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._more():
                raise Malformed("the connection ended within a line")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            if not self._more():
                raise Malformed(f"the connection ended after {len(self._buffer)} of {count} bytes")
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _more(self) -> bool:
        data = self.connection.recv(READ)
        self._buffer += data
        return bool(data)


def _field(line: bytes) -> Header:
    name, colon, value = line.partition(b":")
    if not colon or not name or name != name.strip():
        raise Malformed(line)
    return name.lower(), value.strip(b" \t")
