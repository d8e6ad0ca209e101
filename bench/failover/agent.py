"""One emulated target: an agent on loopback with the faults of all scenarios.

    python -m bench.failover.agent NAME PORT CONTROL_PORT JOURNAL SEED [closed]

`closed`: it accepts no connection before it is healed.

Rules
- The journal has a line for each request that is received, executed or abandoned by its client. It is written
  at once, so that a kill loses none: `SECONDS EVENT ID`, on the monotonic clock that all processes share.
- The side effect of a request happens when its work begins; the event is `executed`.
- A client that leaves stops the work.
- `PUT /fault {"action", "amount"}` on the control port sets the fault and replies when it is in effect.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from bench.failover import shapes

_LOAD_FIELD: Final = "endpoint-load-metrics"
# With a full accept queue the kernel drops further connections, as a dead network does.
_FILLERS: Final = 3


class Agent:
    """The target: its fault, its connections and its journal."""

    def __init__(self, name: str, port: int, journal: Path, seed: int) -> None:
        self._name, self._port, self._seed = name, port, seed
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._action, self._amount = "heal", 1.0
        self._inflight = 0
        self._ready_at: float | None = None
        self._listener: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._accepting: asyncio.Task[None] | None = None
        self._transports: set[asyncio.BaseTransport] = set()
        self._server = web.Server(self._serve, handler_cancellation=True)

    # Connections.

    def listen(self) -> None:
        """Accept connections."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(512)
        self._listener = listener
        self._accepting = asyncio.create_task(self._accept(listener))

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, _ = await loop.connect_accepted_socket(self._server, connection)
            self._transports = {one for one in self._transports if not one.is_closing()} | {transport}

    def _stop_accepting(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()

    def _close_listener(self) -> None:
        self._stop_accepting()
        for one in (*self._fillers, *([self._listener] if self._listener else [])):
            one.close()
        self._listener, self._fillers = None, []

    def _abort_all(self) -> None:
        for transport in self._transports:
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        self._transports = set()

    def _let_hang(self) -> None:
        """Let new connections hang: none is accepted, and the accept queue is full."""
        self._stop_accepting()
        if self._listener is not None:
            self._listener.listen(0)
        for _ in range(_FILLERS):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self._port))
            self._fillers.append(filler)

    # Faults.

    def set_fault(self, action: str, amount: float) -> None:
        """Set the fault. amount: as in `Step`."""
        before, self._action, self._amount = self._action, action, amount
        if before in ("refuse", "blackhole"):
            self._close_listener()
            self._abort_all()
            self.listen()
        if action == "refuse":
            self._close_listener()
            self._abort_all()
        elif action == "blackhole":
            self._let_hang()
        self._ready_at = None

    async def control(self, request: web.Request) -> web.Response:
        """Handle `PUT /fault`; all requests are answered with the current action."""
        if request.method == "PUT":
            fault = await request.json()
            self.set_fault(str(fault["action"]), float(fault["amount"]))
        return web.json_response({"action": self._action})

    # Requests.

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/health":
            return await self._health()
        try:
            request_id = shapes.request_id_of(json.loads(await request.read()))
        except ValueError:
            request_id = ""
        self._record("received", request_id)
        self._inflight += 1
        finished = False
        try:
            response = await self._reply(request, request_id)
            finished = True
            return response
        finally:
            self._inflight -= 1
            if not finished:
                self._record("abandoned", request_id)

    async def _health(self) -> web.Response:
        await self._wait_for_fault()
        if self._action == "slow":
            await asyncio.sleep(shapes.MEDIAN_S * self._amount)
        status = 500 if self._action == "error" and self._amount >= 1 else 200
        report = {"status": "ok", "cold": False, "build": "bench", "inflight": self._inflight}
        return web.json_response(report, status=status)

    async def _reply(self, request: web.BaseRequest, request_id: str) -> web.StreamResponse:
        cold = await self._wait_for_fault()
        if self._action == "throttle":
            return self._error(429, {"retry-after": f"{self._amount:g}"})
        self._record("executed", request_id)
        slower = self._amount if self._action in ("slow", "gray") else 1.0
        await asyncio.sleep(shapes.service_s(self._seed, request_id) * slower)
        draw = random.Random(f"{self._seed} {self._name} {request_id}")
        if self._action == "error" and draw.random() < self._amount:
            return self._error(500, {})
        if self._action == "build" or shapes.fails_everywhere(self._action, request_id):
            return self._error(500, {})
        cut = draw.random() if self._action == "cut" and draw.random() < self._amount else None
        body = json.loads(await request.read() or b"{}")
        headers = {_LOAD_FIELD: self._load(), **({"x-skyfleet-cold": "true"} if cold else {})}
        if body.get("stream"):
            return await self._stream(request, request_id, headers, slower, cut)
        return await self._json(request, request_id, headers, cut)

    async def _json(
        self, request: web.BaseRequest, request_id: str, headers: dict[str, str], cut: float | None
    ) -> web.StreamResponse:
        data = json.dumps(shapes.reply(request_id)).encode()
        known = {"content-type": "application/json", "content-length": str(len(data))}
        response = web.StreamResponse(headers={**headers, **known})
        await response.prepare(request)
        if cut is not None:
            await response.write(data[: int(cut * len(data))])
            self._cut(request)
        else:
            await response.write(data)
        return response

    async def _stream(
        self,
        request: web.BaseRequest,
        request_id: str,
        headers: dict[str, str],
        slower: float,
        cut: float | None,
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={**headers, "content-type": "text/event-stream"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        events = shapes.events(request_id)
        last = int(cut * len(events)) if cut is not None else len(events)
        for event in events[:last]:
            await response.write(event)
            await asyncio.sleep(shapes.GAP_S * slower)
        if cut is not None:
            self._cut(request)
        return response

    def _cut(self, request: web.BaseRequest) -> None:
        """Close the connection after what was written."""
        if request.transport is not None:
            request.transport.close()

    async def _wait_for_fault(self) -> bool:
        """Wait as long as the target does not reply; returns whether that was a cold start."""
        if self._action == "blackhole":
            await asyncio.Event().wait()
        if self._action != "cold":
            return False
        now = time.monotonic()
        if self._ready_at is None:
            self._ready_at = now + self._amount
        if now >= self._ready_at:
            return False
        await asyncio.sleep(self._ready_at - now)
        return True

    def _load(self) -> str:
        return f"TEXT application_utilization={self._inflight:.3f},rps_fractional=0.000"

    def _error(self, status: int, headers: dict[str, str]) -> web.Response:
        error = {"error": {"message": "injected fault", "type": "server_error", "code": str(status)}}
        return web.json_response(error, status=status, headers={_LOAD_FIELD: self._load(), **headers})

    def _record(self, event: str, request_id: str) -> None:
        if request_id:
            os.write(self._journal, f"{time.monotonic():.6f} {event} {request_id}\n".encode())


async def serve(arguments: Sequence[str]) -> None:
    """Serve until the process ends. arguments: those of the command."""
    name, port, control_port, journal, seed, *closed = arguments
    agent = Agent(name, int(port), Path(journal), int(seed))
    control = web.Application()
    control.router.add_route("*", "/fault", agent.control)
    runner = web.AppRunner(control)
    await runner.setup()
    if closed:
        agent.set_fault("refuse", 1.0)
    else:
        agent.listen()
    await web.TCPSite(runner, "127.0.0.1", int(control_port)).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
