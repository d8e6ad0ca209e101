"""The response to one request, written to its connection.

Rules
- The framing is decided here and nowhere else: a length if the fields have one, no body for HEAD, 204 and
  304, otherwise the chunked coding, or the end of the connection for HTTP/1.0 (RFC 9112, section 6.3). What
  the application says of hop-by-hop fields is not written, but for `connection: close`.
- The head waits for the first part of the body or for `flush`, so that most responses are one write.
- A response that is shorter than its length, or left without its end, closes the connection.
- Where the platform takes one value for each name, repeated fields are joined with a comma, which has the
  same meaning (RFC 9110, section 5.3). `set-cookie` stays repeated.
- A missing `date` is added (RFC 9110, section 6.6.1); a name or value that does not belong in a head is an
  error of the application.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Final, Protocol

from skyfleet.asgi import Header
from skyfleet.http1.body import Decoder
from skyfleet.http1.head import CHUNKED, FIELD_LINES, RequestHead
from skyfleet.http1.lines import lines_of

LOG: Final = logging.getLogger("skyfleet.server")
# Of a body whose end is the connection's.
_UNKNOWN: Final = -2
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_HOP_BY_HOP: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_DATE: Final = b"date"


class Connection(Protocol):
    """What a response needs of its connection. body: the decoder of a request's body that is to come.
    joins_fields: the platform takes one value for each name."""

    body: Decoder | None
    joins_fields: bool

    @property
    def default_fields(self) -> Sequence[Header]: ...

    def write(self, data: bytes, /) -> None: ...

    def response_over(self, *, complete: bool) -> None: ...


class InvalidResponse(Exception):
    """The application's response breaks the rules of HTTP."""


class Response:
    """The response to the request with this head. It is written once."""

    __slots__ = (
        "_connection",
        "_held",
        "_left",
        "_minor",
        "_no_body",
        "keep_alive",
        "over",
        "started",
    )

    def __init__(self, connection: Connection, request: RequestHead) -> None:
        self._connection = connection
        self._no_body = request.method == "HEAD"
        self._minor = request.minor
        self.keep_alive = request.keep_alive
        self._held = b""
        self._left = 0  # bytes of the body that are to come
        self.started = self.over = False

    def informational(self, status: int, headers: Iterable[Header] = (), /) -> None:
        """Write an interim response, such as 100 or 103. A client of HTTP/1.0 gets none (RFC 9110, section
        15.2)."""
        if not self.started and self._minor:
            self._connection.write(_head(status, _REASONS.get(status, b""), headers))

    def whole(self, status: int, fields: bytes, body: bytes, reason: bytes, /, *, dated: bool) -> None:
        """Write a response that is here as a whole (`skyfleet.http1.direct.ClientResponse`)."""
        if self.over:
            return
        connection = self._connection
        if not dated:
            fields += lines_of(connection.default_fields)
        if not self.keep_alive or connection.body is not None:
            self.keep_alive = False
            fields += b"connection: close\r\n"
        elif not self._minor:
            fields += b"connection: keep-alive\r\n"
        self.started = True
        reason = reason or _REASONS.get(status, b"")
        connection.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, reason, fields, body))
        self._finish(complete=self.keep_alive)

    def head(self, status: int, headers: Sequence[Header], reason: bytes = b"", /) -> None:
        """Take the head. Raises InvalidResponse."""
        if self.over:
            return
        names = dict(headers)
        fields = list(headers)
        if len(names) != len(fields) and self._connection.joins_fields:
            fields = joined(fields)
        if not _HOP_BY_HOP.isdisjoint(names):
            fields = self._end_to_end(fields)
        bodiless = self._no_body or status in (204, 304)
        if b"content-length" in names:
            if status == 204:
                fields = [field for field in fields if field[0] != b"content-length"]
            self._left = 0 if bodiless else _length(names[b"content-length"])
        elif not bodiless:
            if self._minor:
                self._left = CHUNKED
                fields.append((b"transfer-encoding", b"chunked"))
            else:
                self._left, self.keep_alive = _UNKNOWN, False
        self._no_body = bodiless
        if _DATE not in names:
            fields += self._connection.default_fields
        if not self.keep_alive or self._connection.body is not None:
            self.keep_alive = False
            fields.append((b"connection", b"close"))
        elif not self._minor:
            fields.append((b"connection", b"keep-alive"))
        self._held = _head(status, reason or _REASONS.get(status, b""), fields)
        self.started = True

    def body(self, data: bytes, /) -> None:
        """Write a part of the body. Raises InvalidResponse if it is longer than its length."""
        if self.over:
            return
        if not self._no_body and data:
            if self._left >= 0:
                self._left -= len(data)
                if self._left < 0:
                    raise InvalidResponse("The body is longer than its content-length.")
            elif self._left == CHUNKED:
                data = b"%x\r\n%b\r\n" % (len(data), data)
        else:
            data = b""
        if self._held:
            held, self._held = self._held, b""
            self._connection.write(held + data)
        elif data:
            self._connection.write(data)

    def end(self, trailers: Iterable[Header] = (), /) -> None:
        """The response is complete. trailers: fields behind a chunked body. Raises InvalidResponse."""
        if self.over:
            return
        complete = True
        if not self._no_body:
            if self._left == CHUNKED:
                last = b"0\r\n%b\r\n" % _fields(trailers)
                held, self._held = self._held, b""
                self._connection.write(held + last)
            elif self._left > 0:
                complete = False
        self.flush()
        self._finish(complete=complete and self.keep_alive)
        if not complete:
            raise InvalidResponse("The body is shorter than its content-length.")

    def abort(self, why: str = "", /) -> None:
        """Leave the response without its end. why: for the log."""
        if why:
            LOG.warning("%s The client sees it truncated.", " ".join(why.split()))
        if not self.over:
            self.flush()
            self._finish(complete=False)

    def flush(self) -> None:
        """Write the head if it is still held."""
        if self._held:
            held, self._held = self._held, b""
            self._connection.write(held)

    def listen(self) -> None:
        """A connection always notices that its client leaves."""

    def lost(self) -> None:
        """The connection is lost: nothing more is written."""
        self.over, self._held = True, b""

    def _finish(self, *, complete: bool) -> None:
        self.over = True
        self._connection.response_over(complete=complete)

    def _end_to_end(self, fields: list[Header]) -> list[Header]:
        for name, value in fields:
            if name == b"connection" and b"close" in [part.strip() for part in value.lower().split(b",")]:
                self.keep_alive = False
        return [field for field in fields if field[0] not in _HOP_BY_HOP]


def joined(fields: Iterable[Header]) -> list[Header]:
    """One field for each name, at the place of the first; `set-cookie` stays repeated."""
    values: dict[bytes, bytes] = {}
    cookies: list[Header] = []
    for name, value in fields:
        if name == b"set-cookie":
            cookies.append((name, value))
        else:
            values[name] = values[name] + b", " + value if name in values else value
    return [*values.items(), *cookies]


def _head(status: int, reason: bytes, fields: Iterable[Header]) -> bytes:
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, _fields(fields))


def _fields(fields: Iterable[Header]) -> bytes:
    each = [b"%b: %b\r\n" % field for field in fields]
    lines = b"".join(each)
    # A value with a line end can look like two fields, so the lines are counted.
    if not FIELD_LINES.fullmatch(lines) or lines.count(b"\n") != len(each):
        raise InvalidResponse("A header field has bytes that may not be in it.")
    return lines


def _length(value: bytes) -> int:
    if not value.isdigit():
        raise InvalidResponse("The content-length is no number.")
    return int(value)
