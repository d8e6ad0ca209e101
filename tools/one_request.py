"""Which router files one keyless request executes, and how often it goes from file to file.

`python -m tools.one_request PORT` prints JSON. The application is called in process as a server calls it,
with warm connections. The target at PORT is another process. A hop is a call from a function of one router
file into a function of another, also through functions that are not the router's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, cast

from bench.router.calls import one, serve
from bench.router.shapes import router_environ
from router.app import create
from skyfleet.http1.direct import Accept

ROUTER: Final = f"{Path(__file__).parents[1] / 'router'}/"
WARM: Final = 300
# A hedge, a probe or a snapshot may fall into one request; the least of several is the request alone.
REQUESTS: Final = 50


class Trace:
    """The router files that were entered, and the hops between them."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.hops: list[tuple[str, str]] = []
        self._names: dict[CodeType, str] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """For `sys.setprofile`."""
        if event != "call" or not (into := self._name(frame.f_code)):
            return
        self.files.add(into)
        caller = frame.f_back
        while caller is not None and not self._name(caller.f_code):
            caller = caller.f_back
        if caller is not None and (out_of := self._name(caller.f_code)) != into:
            self.hops.append((out_of, into))

    def _name(self, code: CodeType) -> str:
        """A router file's path below the package; empty for all other code."""
        name = self._names.get(code)
        if name is None:
            path = code.co_filename
            name = self._names[code] = path.removeprefix(ROUTER) if path.startswith(ROUTER) else ""
        return name


async def traced(accept: Accept) -> Trace:
    """The shortest of several requests."""
    await serve(accept, WARM)
    traces: list[Trace] = []
    for _ in range(REQUESTS):
        trace = Trace()
        sys.setprofile(cast("Callable[[FrameType, str, Any], None]", trace))
        try:
            await one(accept)
        finally:
            sys.setprofile(None)
        traces.append(trace)
    return min(traces, key=lambda trace: len(trace.hops))


async def counted(port: int) -> dict[str, object]:
    """Files, hops, and crossings between attempt and forward."""
    app = create(router_environ([port]))
    try:
        trace = await traced(app.accept)
    finally:
        await app.close()
    pair = {("attempt", "forward"), ("forward", "attempt")}
    crossings = sum((Path(a).stem, Path(b).stem) in pair for a, b in trace.hops)
    return {"files": sorted(trace.files), "hops": len(trace.hops), "crossings": crossings}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(counted(int(sys.argv[1])))))  # noqa: T201 - its output
