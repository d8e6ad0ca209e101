"""A small exchange whose response is read whole: health probes and snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from router.net.errors import FetchError, TransportError
from router.net.fields import request_head
from router.net.pool import Pool
from skyfleet.asgi import Header
from skyfleet.http1.head import ResponseHead
from skyfleet.http1.lines import lines_of
from skyfleet.origin import Origin
from skyfleet.values import frozen


@frozen
class FetchRequest:
    """A request of this function itself."""

    origin: Origin
    method: str
    path: str
    headers: tuple[Header, ...] = ()
    body: bytes = b""


@frozen
class FetchResponse:
    """A small response, read whole."""

    status: int
    headers: list[Header]
    body: bytes


class _Collector:
    """A response handler that reads a small response into one future."""

    def __init__(self, limit: int) -> None:
        self.future: asyncio.Future[FetchResponse] = asyncio.get_running_loop().create_future()
        self._limit = limit
        self._status = 0
        self._headers: list[Header] = []
        self._body = bytearray()

    def on_informational(self, status: int, headers: list[Header]) -> None: ...

    def on_whole(self, head: ResponseHead, data: bytes) -> None:
        self.on_head(head)
        self.on_data(data)
        self.on_end(())

    def on_head(self, head: ResponseHead) -> None:
        self._status, self._headers = head.status, head.fields

    def on_data(self, data: bytes) -> None:
        if len(self._body) + len(data) > self._limit:
            self._fail(f"its reply is larger than {self._limit} bytes")
        self._body += data[: self._limit]

    def on_end(self, trailers: Sequence[Header]) -> None:
        if not self.future.done():
            self.future.set_result(FetchResponse(self._status, self._headers, bytes(self._body)))

    def on_failure(self, error: TransportError, why: str) -> None:
        self._fail(f"{error}: {why}")

    def _fail(self, why: str) -> None:
        if not self.future.done():
            self.future.set_exception(FetchError(why))


async def fetch(
    pool: Pool, request: FetchRequest, *, timeout_s: float, limit: int = 1_048_576, limited: bool = True
) -> FetchResponse:
    """Send a request and read its response; FetchError says why there is none.

    timeout_s: of the whole exchange, in seconds. limit: bytes of the body. limited: the pool's limit of
    connections applies.
    """
    collector = _Collector(limit)
    length = len(request.body)
    head = request_head(
        request.method, request.path.encode(), request.origin, lines_of(request.headers), length
    )
    exchange = pool.send(request.origin, head + request.body, collector, limited=limited)
    try:
        async with asyncio.timeout(timeout_s):
            return await collector.future
    except TimeoutError:
        raise FetchError(f"no answer within {timeout_s:g} s") from None
    finally:
        exchange.cancel()
