"""The form of the corpus: what a client or an upstream sends, and what must come of it.

Rules
- A case has the exact bytes, one element for each write, and names the source of its expectation: a section
  of an RFC, or a public advisory.
- `expected` lists what happens to the requests of one connection, in order.
- What the router passes on although a peer refuses it or reads it in another way is a finding, unless
  `although` says why it can do no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Field = tuple[bytes, bytes]

CRLF: Final = b"\r\n"
# The part of most cases that is not under test.
HOST: Final = b"Host: agent.example"


@dataclass(frozen=True, slots=True)
class Passed:
    """The agent gets exactly this request.

    fields: lower-case names with the values that it must see, in order for each name. absent: names that it
    must not see, in no spelling that a CGI server folds into them."""

    method: str
    target: bytes
    body: bytes = b""
    fields: tuple[Field, ...] = ()
    absent: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The router refuses the request and closes the connection."""

    status: int


@dataclass(frozen=True, slots=True)
class Local:
    """The router answers the request itself; the connection may stay open."""

    status: int


Expected = Passed | Refused | Local


@dataclass(frozen=True, slots=True)
class HostileRequest:
    """What a client writes on one connection.

    writes: one element for each write. expected: empty when the request is incomplete, so that nothing may
    happen. rests_on: the source. although: why the router passes on what a peer refuses or reads in another
    way."""

    name: str
    writes: tuple[bytes, ...]
    expected: tuple[Expected, ...]
    rests_on: str
    although: str = ""

    @property
    def sent(self) -> bytes:
        """All bytes of the client."""
        return b"".join(self.writes)


@dataclass(frozen=True, slots=True)
class Reaches:
    """The client gets the reply. fields: that it must see. absent: names that it must not see."""

    status: int
    body: bytes = b""
    fields: tuple[Field, ...] = ()
    absent: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Fails:
    """The client gets an error of the router. agents_fault: the reply is whole but wrong, so that each agent
    would send the same and no other is asked; otherwise the connection broke, and another target is asked."""

    agents_fault: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """The client gets the head and sees that the body is truncated."""

    status: int


@dataclass(frozen=True, slots=True)
class HostileReply:
    """What an upstream writes instead of a reply. close: it closes the connection afterwards. method: of the
    request."""

    name: str
    writes: tuple[bytes, ...]
    expected: Reaches | Fails | Cut
    rests_on: str
    close: bool = False
    method: str = "GET"
    although: str = ""


def message(*lines: bytes, body: bytes = b"") -> bytes:
    """A head of these lines, ended as RFC 9112 says, and a body."""
    return CRLF.join([*lines, b"", b""]) + body


def post(*lines: bytes, body: bytes = b"", target: bytes = b"/x") -> bytes:
    """A POST with a Host field and these fields."""
    return message(b"POST " + target + b" HTTP/1.1", HOST, *lines, body=body)


def get(*lines: bytes, target: bytes = b"/x") -> bytes:
    """A GET with a Host field and these fields."""
    return message(b"GET " + target + b" HTTP/1.1", HOST, *lines)


def chunked(body: bytes, *lines: bytes) -> bytes:
    """A POST whose body is written as it stands, after the head of a chunked message."""
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


def request(
    name: str, sent: bytes | Sequence[bytes], rests_on: str, *expected: Expected, although: str = ""
) -> HostileRequest:
    """A case. sent: bytes of one write, or of several."""
    writes = (sent,) if isinstance(sent, bytes) else tuple(sent)
    return HostileRequest(name, writes, expected, rests_on, although)


def split(data: bytes, *marks: bytes) -> tuple[bytes, ...]:
    """The bytes in writes, each of which begins at the next of these marks."""
    parts: list[bytes] = []
    for mark in marks:
        before, found, after = data.partition(mark)
        parts.append(before)
        data = found + after
    return (*parts, data)


def each_byte(data: bytes) -> tuple[bytes, ...]:
    """Each byte in a write of its own."""
    return tuple(data[n : n + 1] for n in range(len(data)))
