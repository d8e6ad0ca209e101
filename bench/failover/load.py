"""The load: requests at fixed times, and one client for all routers.

Rules
- Open loop: requests are sent at their times, independent of replies. Latency counts from the scheduled time.
- The client knows the addresses of all router instances, in order. It takes the next one when an instance
  gave no reply, if the request was not received or may be repeated. That is how clients use `routerUrls`. It
  repeats no request because of a reply.
- One timeout for all: a reply that is not complete after `PATIENCE_S` is lost.
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
# Longer than a cold start of 10 s, shorter than most people wait.
PATIENCE_S: Final = 15.0
# Below every router's timeout of idle connections, so that none is closed during a request.
_IDLE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request. at_s: when it is sent, in seconds from the start."""

    at_s: float
    request_id: str
    repeatable: bool
    stream: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a request.

    late_s: delay of its sending. failure: why it is lost, empty for a complete good reply. router: number of
    the instance that replied, -1 for none.
    """

    request: Request
    late_s: float
    latency_s: float
    failure: str
    router: int


def schedule(seed: int, seconds: float, rate: float = RATE) -> tuple[Request, ...]:
    """Requests with random intervals (Poisson).

    Equal seeds give equal requests. rate: requests per second.
    """
    draw = random.Random(seed)
    requests: list[Request] = []
    at = draw.expovariate(rate)
    while at < seconds:
        repeatable = draw.random() < REPEATABLE
        requests.append(Request(at, f"{seed}-{len(requests):05d}", repeatable, draw.random() < STREAMED))
        at += draw.expovariate(rate)
    return tuple(requests)


class Client:
    """Sends each request to the first router instance that accepts it."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def run(self, requests: Sequence[Request], started: float) -> tuple[Outcome, ...]:
        """Send every request at its time and wait for all outcomes. started: on the monotonic clock (s)."""
        running: list[asyncio.Task[Outcome]] = []
        for request in requests:
            await asyncio.sleep(max(0.0, started + request.at_s - monotonic()))
            running.append(asyncio.create_task(self._one(request, started + request.at_s)))
        return tuple(await asyncio.gather(*running))

    async def _one(self, request: Request, due: float) -> Outcome:
        late = monotonic() - due
        failure, router = "no router accepted it", -1
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + PATIENCE_S - late):
                for number, address in enumerate(self._addresses):
                    failure, again = await self._call(request, address)
                    if not again:
                        router = number
                        break
        except TimeoutError:
            failure = f"not complete after {PATIENCE_S:g} s"
        return Outcome(request, late, monotonic() - due, failure, router)

    async def _call(self, request: Request, address: str) -> tuple[str, bool]:
        """Why this instance failed, empty for none, and whether the next one may be tried."""
        body = shapes.request_body(request.request_id, stream=request.stream, repeatable=request.repeatable)
        headers = shapes.request_headers(request.request_id, repeatable=request.repeatable)
        replied = False
        try:
            async with self._session.post(address + shapes.PATH, json=body, headers=headers) as reply:
                replied = True
                data = await reply.read()
                if reply.status != 200:
                    return f"status {reply.status}", False
                judge = shapes.fault_of_stream if request.stream else shapes.fault_of_reply
                return judge(request.request_id, data), False
        except aiohttp.ClientConnectorError as error:
            return f"no connection: {type(error).__name__}", True
        except (aiohttp.ClientError, ConnectionError) as error:
            return f"cut: {type(error).__name__}", not replied and request.repeatable
