"""The load: requests at set times, whatever the replies do, and one client for all routers.

Rules
- Open loop: a request is sent at its time, and its latency counts from that time, not from when it was sent.
- The client knows the addresses of all router instances, in order. It takes the next one when an instance
  gave no reply at all, and only if the request was surely not received or may be repeated: what a caller
  does with `routerUrls`. It never repeats anything because of a reply.
- One patience for all: what is not whole after `PATIENCE_S` is lost.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

import aiohttp

from bench.failover import shapes

RATE: Final = 40.0
# Eight of ten may be repeated; every third asks for a stream.
REPEATABLE: Final = 0.8
STREAMED: Final = 1 / 3
# Longer than a cold start of 10 s, shorter than what most people wait.
PATIENCE_S: Final = 15.0
# Below every router's own limit on idle connections, so that none is closed under a request.
_IDLE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to be sent `at_s` seconds after the start."""

    at_s: float
    ident: str
    repeatable: bool
    stream: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it. late_s: how late it was sent. trouble: empty when a whole good reply came.

    router: number of the instance that replied, -1 for none.
    """

    ask: Ask
    late_s: float
    latency_s: float
    trouble: str
    router: int


def plan(seed: int, seconds: float, rate: float = RATE) -> tuple[Ask, ...]:
    """Requests with random gaps (Poisson), the same for the same seed."""
    draw = random.Random(seed)
    asks: list[Ask] = []
    at = draw.expovariate(rate)
    while at < seconds:
        repeatable = draw.random() < REPEATABLE
        asks.append(Ask(at, f"{seed}-{len(asks):05d}", repeatable, draw.random() < STREAMED))
        at += draw.expovariate(rate)
    return tuple(asks)


class Client:
    """Sends requests to the first router instance that takes them."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def run(self, asks: Sequence[Ask], started: float) -> tuple[Outcome, ...]:
        """Send every request at its time; `started` on the monotonic clock. Returns when all are over."""
        running: list[asyncio.Task[Outcome]] = []
        for ask in asks:
            await asyncio.sleep(max(0.0, started + ask.at_s - monotonic()))
            running.append(asyncio.create_task(self._one(ask, started + ask.at_s)))
        return tuple(await asyncio.gather(*running))

    async def _one(self, ask: Ask, due: float) -> Outcome:
        late = monotonic() - due
        trouble, router = "no router took it", -1
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + PATIENCE_S - late):
                for number, address in enumerate(self._addresses):
                    trouble, again = await self._call(ask, address)
                    if not again:
                        router = number
                        break
        except TimeoutError:
            trouble = f"not whole after {PATIENCE_S:g} s"
        return Outcome(ask, late, monotonic() - due, trouble, router)

    async def _call(self, ask: Ask, address: str) -> tuple[str, bool]:
        """Trouble with this instance, and whether the next one may be tried."""
        body = shapes.request_body(ask.ident, stream=ask.stream, repeatable=ask.repeatable)
        headers = shapes.request_headers(ask.ident, repeatable=ask.repeatable)
        replied = False
        try:
            async with self._session.post(address + shapes.PATH, json=body, headers=headers) as reply:
                replied = True
                data = await reply.read()
                if reply.status != 200:
                    return f"status {reply.status}", False
                judge = shapes.fault_of_stream if ask.stream else shapes.fault_of_reply
                return judge(ask.ident, data), False
        except aiohttp.ClientConnectorError as error:
            return f"no connection: {type(error).__name__}", True
        except (aiohttp.ClientError, ConnectionError) as error:
            return f"cut: {type(error).__name__}", not replied and ask.repeatable
