"""Address lookups: concurrent lookups of one name share one query.

Rules
- A lookup blocks a thread of the loop's executor, which has few (CPUs + 4), until the system's resolver gives
  up. Sharing keeps one name that does not resolve from taking all threads, which other targets need.
- A caller may stop waiting; the lookup goes on for the others. No result is cached after the lookup.
- An address is used as it is. `localhost` and names below it are the loopback address (RFC 6761,
  section 6.3), since not every system's resolver says so.
"""

from __future__ import annotations

import asyncio
import socket

from skyfleet.origin import is_local_name

LOOPBACK = "127.0.0.1"
Key = tuple[str, int]


class Resolver:
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
            task = self._running[key] = asyncio.get_running_loop().create_task(_resolve(host, port))
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Stop waiting. A thread inside the system's resolver ends when that returns."""
        for task in self._running.values():
            task.cancel()

    def _done(self, key: Key, task: asyncio.Task[list[str]]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # retrieved, since all waiting callers may have left


async def _resolve(host: str, port: int) -> list[str]:
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
