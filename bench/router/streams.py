"""1,000 event streams at once: the upstream that sends them, and the caller that reads and times them.

    python -m bench.router.streams serve PORT...
    python -m bench.router.streams read PORT STREAMS WARM_S SECONDS    prints {"events", "p50", …}

Rules
- Every stream sends an event of about 100 bytes ten times a second, at a phase of its own; the event carries
  when it was sent. Both sides read the same clock, so the delay is that of the way between.
- Delays in microseconds. A stream that ends or breaks is lost.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Final

from bench.quantiles import quantile
from bench.router.shapes import BODY, HEADERS, LOAD

_EVERY_S: Final = 0.1
_HEAD: Final = (
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    f"endpoint-load-metrics: {LOAD}\r\n\r\n"
).encode()
_HEALTH: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n"
_FILL: Final = b"x" * 70


class _Sender(asyncio.Protocol):
    """One stream to one caller."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        if data.startswith(b"GET /health"):
            self._transport.write(_HEALTH + b'{"status":"ok"}')
        elif self._timer is None:
            self._transport.write(_HEAD)
            loop = asyncio.get_running_loop()
            self._due = loop.time() + random.random() * _EVERY_S
            self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        if self._transport is None:
            return
        event = b"data: %d %s\n\n" % (time.monotonic_ns(), _FILL)
        self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))
        self._due += _EVERY_S
        self._timer = asyncio.get_running_loop().call_at(self._due, self._tick)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None


class _Reader(asyncio.Protocol):
    """One caller: notes the delay of every event."""

    def __init__(self, delays: list[int]) -> None:
        self._delays = delays
        self._rest = b""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            head = b"POST /invoke HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            head += b"".join(b"%b: %b\r\n" % header for header in HEADERS)
            transport.write(head + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data: "):
                self._delays.append(now - int(line.split(b" ", 2)[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


async def serve(ports: list[int]) -> None:
    """Send until stopped."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(_Sender, "127.0.0.1", port, backlog=4096) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def read(port: int, streams: int, warm_s: float, seconds: float) -> dict[str, float]:
    """Open the streams, let them run in, and time them."""
    loop = asyncio.get_running_loop()
    delays: list[int] = []
    readers: list[_Reader] = []
    for _ in range(streams):
        _, reader = await loop.create_connection(lambda: _Reader(delays), "127.0.0.1", port)
        readers.append(reader)
        await asyncio.sleep(0.001)
    await asyncio.sleep(warm_s)
    delays.clear()
    print("timing", flush=True)
    await asyncio.sleep(seconds)
    timed = sorted(delays)
    return {
        "events": len(timed),
        "p50": round(quantile(timed, 0.5) / 1000, 1) if timed else 0.0,
        "p99": round(quantile(timed, 0.99) / 1000, 1) if timed else 0.0,
        "lost": sum(reader.lost for reader in readers),
    }


def main(arguments: list[str]) -> None:
    if arguments[0] == "serve":
        asyncio.run(serve([int(port) for port in arguments[1:]]))
    else:
        port, streams, warm_s, seconds = arguments[1:]
        print(json.dumps(asyncio.run(read(int(port), int(streams), float(warm_s), float(seconds)))))


if __name__ == "__main__":
    main(sys.argv[1:])
