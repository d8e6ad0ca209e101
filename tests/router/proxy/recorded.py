"""A client's side that keeps what it is given, and a router that forwards to it without a server in front."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from router.app import App
from router.core.policy import Policy
from router.proxy.context import Request
from router.proxy.forward import Forwarder
from skyfleet.asgi import Header
from skyfleet.http1.lines import fields_of
from tests.router.support import CALM, settings


@dataclass
class Recorded:
    """A `ClientResponse`. over: the reply has ended, in whatever way."""

    interim: list[tuple[int, list[Header]]] = field(default_factory=list[tuple[int, list[Header]]])
    status: int = 0
    headers: list[Header] = field(default_factory=list[Header])
    reason: bytes = b""
    data: bytes = b""
    trailers: list[Header] | None = None
    aborted: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def informational(self, status: int, headers: Iterable[Header]) -> None:
        assert not self.status, "an interim response comes before the head"
        self.interim.append((status, [*headers]))

    def head(self, status: int, headers: list[Header], reason: bytes = b"") -> None:
        assert not self.status, "the client gets one head"
        self.status, self.headers, self.reason = status, headers, reason

    def body(self, data: bytes) -> None:
        assert self.status
        assert not self.over.is_set()
        self.data += data

    def end(self, trailers: Iterable[Header] = ()) -> None:
        self.trailers = [*trailers]
        self.over.set()

    def abort(self, why: str) -> None:
        self.aborted = why
        self.over.set()

    def whole(self, status: int, fields: bytes, body: bytes, reason: bytes, /, *, dated: bool) -> None:
        headers = fields_of(fields)
        assert dated == (b"date" in dict(headers))
        assert dict(headers)[b"content-length"] == b"%d" % len(body)
        self.head(status, headers, reason)
        self.body(body)
        self.end()

    def listen(self) -> None: ...

    def flush(self) -> None: ...

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]


Ask = Callable[[Request], Recorded]


@contextlib.asynccontextmanager
async def forwarding(
    urls: Sequence[str], *, policy: Policy = CALM, repeatable: bool = True
) -> AsyncGenerator[Ask]:
    """What begins a request at a router over these targets."""
    app = App(settings(urls, policy=policy, repeatable=repeatable))

    def ask(request: Request) -> Recorded:
        downstream = Recorded()
        Forwarder(app._context, request, downstream).start()  # pyright: ignore[reportPrivateUsage]
        return downstream

    try:
        yield ask
    finally:
        await app.close()


def request(method: str = "GET", *headers: Header, body: bytes = b"") -> Request:
    return Request(method, b"/e", "/e", b"", [*headers], dict(headers), body, b"id")
