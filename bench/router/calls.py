"""Counts the function calls of one keyless request through the router, with Python's own profiler.

    python -m bench.router.calls UPSTREAM_PORT [--list]

Rules
- The application is called as a server calls it, in process; the upstream is another process. So what is
  counted is the router with its upstream client and the event loop's part of it, without any server.
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
from typing import Final, cast

from bench.router.shapes import BODY, HEADERS, router_environ
from router.app import create
from skyfleet.asgi import ASGIApp, Message, Receive, Send

_WARM: Final = 300
_COUNTED: Final = 1_000
_LISTED: Final = 120


def scope() -> Message:
    """A request as uvicorn tells of it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/invoke",
        "raw_path": b"/invoke",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8080"), *HEADERS, (b"content-length", b"%d" % len(BODY))],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }


class Channel:
    """A server's side of one request: the body is there, the reply is taken at once, the caller stays."""

    def __init__(self) -> None:
        self._asked = False
        self.status = 0

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": BODY, "more_body": False}
        return await asyncio.get_running_loop().create_future()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]


async def at_once(scope: Message, receive: Receive, send: Send) -> None:
    """The least that an application can do."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def serve(app: ASGIApp, times: int) -> None:
    """One request after another."""
    for _ in range(times):
        channel = Channel()
        await app(scope(), channel.receive, channel.send)
        if channel.status != 200:
            raise SystemExit(f"the application answered {channel.status}, so nothing is counted")
        await asyncio.sleep(0)


async def count(app: ASGIApp) -> tuple[float, cProfile.Profile]:
    """Calls of one request, and their profile."""
    await serve(app, _WARM)
    profile = cProfile.Profile()
    profile.enable()
    await serve(app, _COUNTED)
    profile.disable()
    return sum(entry.callcount for entry in profile.getstats()) / _COUNTED, profile


async def net(port: int) -> tuple[float, cProfile.Profile]:
    """Calls of one request, without what the count itself takes."""
    app = create(router_environ([port]))
    try:
        calls, profile = await count(cast("ASGIApp", app))
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
