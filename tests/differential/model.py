"""A differential case as data: what a client sends, and what the agent replies to it.

Rules
- A case does not say what is right. Its request is sent to the agent directly and through a router, and both
  sides of both exchanges are compared (`tests.differential.compare`).
- Octets are bytes: nothing is encoded, decoded or normalised between a case and the wire.
- `HOST` in a target or a value stands for the authority that the request is sent to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Header = tuple[bytes, bytes]
Headers = tuple[Header, ...]
# How the end of a body is found: no body, `content-length`, the chunked coding, or the end of the connection.
Framing = Literal["none", "length", "chunked", "close"]

HOST: Final = b"{host}"
# The field by which routers tell an agent's reply from a front end's.
LOAD: Final[Header] = (b"endpoint-load-metrics", b"TEXT application_utilization=0.5")
JSON: Final[Header] = (b"content-type", b"application/json")
TEXT: Final[Header] = (b"content-type", b"text/plain")


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sends. fields: without `host` and the fields of the framing. size: bytes of a chunk."""

    method: bytes = b"GET"
    target: bytes = b"/e"
    fields: Headers = ()
    body: bytes = b""
    framing: Framing = "none"
    trailers: Headers = ()
    version: bytes = b"HTTP/1.1"
    size: int = 7
    host: bytes = HOST

    def head(self, authority: bytes, more: Headers = ()) -> bytes:
        """The bytes of the head. authority: that the request is sent to. more: further fields."""
        fields: list[Header] = [(b"Host", self.host), *self.fields, *more]
        if self.framing == "length":
            fields.append((b"Content-Length", b"%d" % len(self.body)))
        elif self.framing == "chunked":
            fields.append((b"Transfer-Encoding", b"chunked"))
        lines = b"".join(b"%b: %b\r\n" % field for field in fields)
        start = b" ".join((self.method, self.target, self.version))
        return (start + b"\r\n" + lines + b"\r\n").replace(HOST, authority)

    def content(self) -> bytes:
        """The bytes after the head."""
        return framed(self.body, self.framing, self.trailers, self.size)

    @property
    def expects(self) -> bool:
        """Whether it asks for 100 Continue before its body."""
        return any(name.lower() == b"expect" for name, _ in self.fields)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the agent replies. interim: heads with 1xx before it. fields: without those of the framing.

    length: the value of `content-length` if it is not that of the body (HEAD, 304)."""

    status: int = 200
    reason: bytes = b"OK"
    fields: Headers = (TEXT,)
    body: bytes = b"fine"
    framing: Framing = "length"
    trailers: Headers = ()
    interim: tuple[tuple[int, bytes, Headers], ...] = ()
    length: int | None = None
    size: int = 7

    def head(self) -> bytes:
        """The bytes of all heads."""
        interim = b"".join(_head(status, reason, fields) for status, reason, fields in self.interim)
        fields: list[Header] = [LOAD, *self.fields]
        if self.framing == "length":
            fields.append(
                (b"content-length", b"%d" % (len(self.body) if self.length is None else self.length))
            )
        elif self.framing == "chunked":
            fields.append((b"transfer-encoding", b"chunked"))
        return interim + _head(self.status, self.reason, tuple(fields))

    def content(self) -> bytes:
        """The bytes after the head."""
        return framed(self.body, self.framing, self.trailers, self.size)


@dataclass(frozen=True, slots=True)
class Case:
    """One exchange. wire: it needs an agent that writes octets by itself, so it has no ASGI form."""

    name: str
    request: Request = Request()
    reply: Reply = Reply()
    wire: bool = False

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def framed(body: bytes, framing: Framing, trailers: Headers, size: int) -> bytes:
    """A body as it is sent. size: bytes of a chunk."""
    if framing != "chunked":
        return body
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return chunks + b"0\r\n" + b"".join(b"%b: %b\r\n" % field for field in trailers) + b"\r\n"


def _head(status: int, reason: bytes, fields: Headers) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, lines)
