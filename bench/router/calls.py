"""Counts the function calls of one keyless request through the router, with Python's own profiler.

    python -m bench.router.calls UPSTREAM_PORT [--list]

Rules
- The application is called in process, as the server on AWS and Google calls it; the upstream is another
  process. So what is counted is the router with its upstream client and the event loop's part of it, without
  any server.
- Every call that cProfile sees counts: Python functions, and those of C that Python code calls. What the same
  loop takes for an application that answers at once is subtracted.
- Connections are open and the router has learned before the count begins. The count hardly varies: it needs
  no quiet machine.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import pstats
import sys
from collections.abc import Iterable
from typing import Final

from bench.router.shapes import BODY, HEADERS, router_environ
from router.app import create
from skyfleet.asgi import Header
from skyfleet.http1.direct import Accept, Begin, ClientResponse
from skyfleet.http1.head import RequestHead

_WARM: Final = 300
_COUNTED: Final = 1_000
_LISTED: Final = 120


def head() -> RequestHead:
    """The head of a request; each request has one of its own, since the router takes its fields along."""
    fields = [(b"host", b"127.0.0.1:8080"), *HEADERS, (b"content-length", b"%d" % len(BODY))]
    return RequestHead("POST", b"/invoke", 1, fields, dict(fields), len(BODY), keep_alive=True)


class Client:
    """A server's side of one response, which is taken at once."""

    def __init__(self) -> None:
        self.status = 0
        self.over = asyncio.get_running_loop().create_future()

    def whole(self, status: int, _fields: bytes, _body: bytes, _reason: bytes, /, *, dated: bool) -> None:
        self.status = status
        self.end()

    def head(self, status: int, _headers: list[Header], _reason: bytes = b"", /) -> None:
        self.status = status

    def body(self, _data: bytes, /) -> None: ...

    def end(self, _trailers: Iterable[Header] = (), /) -> None:
        self.over.set_result(None)

    def abort(self, _why: str, /) -> None:
        self.end()

    def flush(self) -> None: ...

    def listen(self) -> None: ...

    def informational(self, _status: int, _headers: Iterable[Header], /) -> None: ...


class AtOnce:
    """The least that an application can do."""

    def __init__(self, client: ClientResponse) -> None:
        self._client = client

    def __call__(self, _body: bytes, /) -> AtOnce:
        self._client.whole(200, b"", b"", b"", dated=False)
        return self

    def reading(self, _size: int, /) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def gone(self) -> None: ...


def at_once(_head: RequestHead, _peer: str, client: ClientResponse) -> Begin:
    """Answer at once."""
    return AtOnce(client)


async def serve(accept: Accept, times: int) -> None:
    """One request after another."""
    for _ in range(times):
        await one(accept)


async def one(accept: Accept) -> None:
    """One request."""
    client = Client()
    begin = accept(head(), "127.0.0.1", client)
    if begin is None:
        raise SystemExit("the application does not forward the request, so nothing is counted")
    handler = begin(BODY)
    await client.over
    handler.gone()
    if client.status != 200:
        raise SystemExit(f"the application answered {client.status}, so nothing is counted")


async def count(accept: Accept) -> tuple[float, cProfile.Profile]:
    """Calls of one request, and their profile."""
    await serve(accept, _WARM)
    profile = cProfile.Profile()
    profile.enable()
    await serve(accept, _COUNTED)
    profile.disable()
    return sum(entry.callcount for entry in profile.getstats()) / _COUNTED, profile


async def net(port: int) -> tuple[float, cProfile.Profile]:
    """Calls of one request, without what the count itself takes."""
    app = create(router_environ([port]))
    try:
        calls, profile = await count(app.accept)
        return calls - (await count(at_once))[0], profile
    finally:
        await app.close()


def main() -> None:
    calls, profile = asyncio.run(net(int(sys.argv[1])))
    if "--list" in sys.argv:
        pstats.Stats(profile).sort_stats("ncalls").print_stats(_LISTED)
    print(json.dumps({"calls": round(calls, 1)}))


if __name__ == "__main__":
    main()
