"""The body of a message: of a known length, in the chunked coding, or up to the end of the connection.

Rules
- A decoder takes what was read and returns what of it is content, so a read is one call. `done` says that
  the body is complete; `rest` is then what was read beyond it.
- A chunk's size is 1 to 8 hexadecimal digits (RFC 9112, section 7.1). An extension is read over, within a
  bound: a body of tiny chunks with long extensions costs more than it carries (CVE-2023-39326).
- Fields behind a chunked body are kept apart from those of the head and never replace them (RFC 9110, section
  6.5.1).
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from skyfleet.asgi import Header
from skyfleet.http1.errors import MalformedMessage
from skyfleet.http1.head import BARE, CHUNKED, MAX_LINE, parse_trailers

# A size line is rarely more than 10 bytes; signed chunks of AWS's SigV4 have extensions of 85.
_MAX_SIZE_LINE: Final = 256
_MAX_EXTENSIONS: Final = 65_536
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_SIZE_PREFIX: Final = re.compile(rb"[0-9A-Fa-f]{0,8}(?:;[\t\x20-\x7e\x80-\xff]*)?\r?")


class Decoder(Protocol):
    """The body of one message."""

    done: bool
    rest: bytes
    trailers: list[Header]

    def feed(self, data: bytes, /) -> bytes:
        """Take what was read; return the content in it. Raises MalformedMessage."""
        ...


class LengthDecoder:
    """A body of `length` bytes."""

    __slots__ = ("_left", "done", "rest", "trailers")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = not length
        self.rest = b""
        self.trailers: list[Header] = []

    def feed(self, data: bytes, /) -> bytes:
        left = self._left = self._left - len(data)
        if left > 0:
            return data
        self.done = True
        if not left:
            return data
        self.rest = data[left:]
        return data[:left]


class UntilCloseDecoder:
    """A body that ends with the connection."""

    __slots__ = ("done", "rest", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.trailers: list[Header] = []

    def feed(self, data: bytes, /) -> bytes:
        return data


class ChunkedDecoder:
    """A body in the chunked coding."""

    __slots__ = ("_extensions", "_held", "_last", "_left", "_opened", "_searched", "done", "rest", "trailers")

    def __init__(self) -> None:
        self._held: bytes = b""  # the beginning of a line
        self._left = 0  # bytes of the current chunk that are to come
        self._opened = False  # the CRLF behind a chunk's bytes is to come
        self._last = False  # only trailers are to come
        self._searched = 0  # bytes behind the last chunk in which there is no end
        self._extensions = 0
        self.done = False
        self.rest = b""
        self.trailers: list[Header] = []

    def feed(self, data: bytes, /) -> bytes:
        if len(data) < self._left:
            self._left -= len(data)
            return data
        data = self._held + data if self._held else data
        self._held = b""
        parts: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self._last:
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
            elif self._opened:
                if end - at < 2 and data[at] == 0x0D:
                    break
                if data[at : at + 2] != b"\r\n":
                    raise MalformedMessage("A chunk of the body is longer than its size.")
                self._opened = False
                at += 2
            else:
                match = _SIZE.match(data, at, at + _MAX_SIZE_LINE)
                if match is None:
                    self._check_size_line(data[at:])
                    break
                at = self._begin(match, data, parts)
        if self._last:
            self._end(data[at:])
        elif at < end:
            self._held = data[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _begin(self, match: re.Match[bytes], data: bytes, parts: list[bytes]) -> int:
        """A chunk begins. Returns how far `data` is read: to the chunk's end, if that is here."""
        size, extension = match.groups()
        if extension:
            self._extensions += len(extension)
            if self._extensions > _MAX_EXTENSIONS:
                raise MalformedMessage("The extensions of the body's chunks are too large.")
        at, left = match.end(), int(size, 16)
        stop = at + left
        if left and data[stop : stop + 2] == b"\r\n":
            parts.append(data[at:stop])
            return stop + 2
        self._left, self._opened, self._last = left, left > 0, not left
        return at

    def _check_size_line(self, line: bytes) -> None:
        if len(line) >= _MAX_SIZE_LINE or not _SIZE_PREFIX.fullmatch(line):
            raise MalformedMessage("The size of a chunk of the body is malformed.")

    def _end(self, data: bytes) -> None:
        """The last chunk is here. data: what follows it."""
        if data.startswith(b"\r\n"):
            self.done, self.rest = True, data[2:]
            return
        end = data.find(b"\r\n\r\n", max(0, self._searched - 2))
        if end < 0 and BARE.search(data, self._searched):
            raise MalformedMessage("A field behind the body is malformed.")
        if end > MAX_LINE or (end < 0 and len(data) > MAX_LINE + 3):
            raise MalformedMessage("The fields behind the body are too large.")
        if end < 0:
            self._held, self._searched = data, max(0, len(data) - 1)
            return
        self.trailers = parse_trailers(data[: end + 2])
        self.done, self.rest = True, data[end + 4 :]


def decoder(length: int | None) -> Decoder:
    """The decoder of a body. length: in bytes, `CHUNKED`, or None: up to the end of the connection."""
    if length is None:
        return UntilCloseDecoder()
    return ChunkedDecoder() if length == CHUNKED else LengthDecoder(length)
