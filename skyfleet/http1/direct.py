"""How a server calls an application that needs no ASGI: a router.

Rules
- `accept` is called with a head. It returns None for a request that the application takes by ASGI, else what
  is called with the whole body.
- The application answers on the response that it was given. It calls nothing on it after `end` or `abort`.
- The server calls `gone` once: when the response is over, or when the client has left before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from skyfleet.asgi import Header
from skyfleet.http1.head import RequestHead


class Refusal(Exception):
    """The request is answered with this and goes no further. body: JSON."""

    def __init__(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        super().__init__(status)
        self.status, self.headers, self.body = status, headers, body


class ClientResponse(Protocol):
    """The response to one request, as the server writes it."""

    def whole(self, status: int, fields: bytes, body: bytes, reason: bytes, /, *, dated: bool) -> None:
        """A response that is here as a whole, to a request other than HEAD. fields: as lines, all valid and
        end-to-end, each name once, `content-length` among them. dated: `date` is among them."""
        ...

    def head(self, status: int, headers: list[Header], reason: bytes = b"", /) -> None:
        """The head, which may wait for the next call."""
        ...

    def body(self, data: bytes, /) -> None:
        """A part of the body."""
        ...

    def end(self, trailers: Iterable[Header] = (), /) -> None:
        """The response is complete."""
        ...

    def abort(self, why: str, /) -> None:
        """It ends without its end, so that no client takes it for complete."""
        ...

    def flush(self) -> None:
        """Nothing follows at once."""
        ...

    def listen(self) -> None:
        """From now on `gone` is called as soon as the client leaves, if it was not before."""
        ...

    def informational(self, status: int, headers: Iterable[Header], /) -> None:
        """An interim response."""
        ...


class Handler(Protocol):
    """What serves one request."""

    def pause(self) -> None:
        """The client reads slowly."""
        ...

    def resume(self) -> None:
        """The client reads on."""
        ...

    def gone(self) -> None:
        """The client has left, or the response is over."""
        ...


class Begin(Protocol):
    """A request whose body is to come."""

    def __call__(self, body: bytes, /) -> Handler:
        """Begin it with the whole body, or with more than `BODY_LIMIT` bytes of a larger one.

        Raises Refusal."""
        ...

    def reading(self, size: int, /) -> None:
        """So many bytes of the body are here, and more are to come. Raises Refusal."""
        ...

    def gone(self) -> None:
        """It will not begin."""
        ...


# Called with the head, the address of the client and the response. Raises Refusal.
Accept = Callable[[RequestHead, str, ClientResponse], Begin | None]
