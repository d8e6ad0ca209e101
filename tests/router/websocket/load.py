"""Clients of `/ws` under load, which come back when a connection breaks and note how answers ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


@dataclass
class Ends:
    """ends: how answers ended. targets: which replied."""

    ends: Counter[str]
    targets: Counter[str]


@dataclass
class LoadClient:
    """A socket that is opened again when it breaks, and notes how each of its answers ended."""

    url: str
    asked: set[str] = field(default_factory=set[str])
    received: dict[str, int] = field(default_factory=dict[str, int])
    ended: dict[str, str] = field(default_factory=dict[str, str])
    targets: Counter[str] = field(default_factory=Counter[str])
    reconnects: int = 0
    _socket: ClientConnection | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Stay connected, resume after a break."""
        session = ""
        while True:
            with contextlib.suppress(ConnectionClosed, OSError, InvalidStatus):
                async with connect(self.url, proxy=None, open_timeout=60, compression=None) as ws:
                    first = json.loads(await ws.recv())
                    if session:
                        self.reconnects += 1
                        pending = {one: self.received.get(one, 0) for one in self.asked - set(self.ended)}
                        resume = {"type": "resume", "session": session, "answers": pending}
                        await ws.send(json.dumps(resume))
                        first = json.loads(await ws.recv())
                    session, self._socket = first["session"], ws
                    self._ready.set()
                    async for text in ws:
                        self._take(json.loads(text))
            self._ready.clear()

    async def ready(self) -> None:
        """Wait until it is connected."""
        await self._ready.wait()

    async def ask(self, ident: str) -> None:
        """Send a message on a connection that is open."""
        await self._ready.wait()
        assert self._socket is not None
        self.asked.add(ident)
        body = {"type": "request", "id": ident, "path": "/invoke", "body": {"input": ident}}
        with contextlib.suppress(ConnectionClosed):  # it is resumed
            await self._socket.send(json.dumps(body))

    def _take(self, message: dict[str, Any]) -> None:
        ident = message.get("id")
        if ident is None:
            return
        self.received[ident] = message["seq"]
        if message["type"] == "response":
            self.targets[message["headers"].get("x-skyfleet-target", "none")] += 1
            if message["status"] != 200:
                self.ended[ident] = f"status {message['status']}"
        if message["type"] == "error":
            self.ended[ident] = f"error {message['error']['code']}"
        if message["type"] == "complete":
            self.ended.setdefault(ident, "complete")


async def load(
    urls: Sequence[str], messages: int, pace_s: float, halfway: Callable[[], Awaitable[object]]
) -> Ends:
    """So many messages over a socket to each URL, one each `pace_s`. halfway: called after half of them."""
    clients = [LoadClient(url) for url in urls]
    running = [asyncio.create_task(client.run()) for client in clients]
    try:
        for client in clients:
            await client.ready()
        for number in range(messages):
            if number == messages // 2:
                await halfway()
            await clients[number % len(clients)].ask(str(number))
            await asyncio.sleep(pace_s)
        async with asyncio.timeout(60):
            while any(client.asked != set(client.ended) for client in clients):
                await asyncio.sleep(0.1)
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
    return Ends(
        Counter(how for client in clients for how in client.ended.values()),
        sum((client.targets for client in clients), Counter[str]()),
    )
