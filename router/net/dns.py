"""Names to addresses, each name looked up once for all who wait for it.

Rules
- A lookup blocks a thread of the loop's executor, which has few (CPUs + 4), until the resolver gives up: one
  cloud whose name does not resolve must not take them all, or no other cloud could be connected to.
- Who waits may give up; the lookup goes on for the others. Nothing is cached beyond a running lookup.
- An address is no name and is not looked up. Nor is `localhost` or a name below it: RFC 6761, section 6.3,
  says that resolvers answer with the loopback address, but not every system's does.
"""

from __future__ import annotations

import asyncio
import socket

from router.core.targets import is_local_name

LOOPBACK = "127.0.0.1"
Key = tuple[str, int]


class Lookup:
    """The running lookups of one event loop."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """Addresses to connect to, best first; OSError when there are none."""
        if _is_address(host):
            return [host]
        if is_local_name(host):
            return [LOOPBACK]
        key = (host, port)
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.get_running_loop().create_task(_ask(host, port))
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Stop waiting; a thread that is in the resolver ends when the resolver does."""
        for task in self._running.values():
            task.cancel()

    def _done(self, key: Key, task: asyncio.Task[list[str]]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # everybody who waited may have left


async def _ask(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False
