"""Loopback ports that stay the same: chosen once, kept in a file, outside the range the kernel gives out by
itself.
"""

from __future__ import annotations

import random
import socket

from infra.local.hosts.errors import SetupError
from infra.local.hosts.state import Document

# Linux gives ports from 32768 on to outgoing connections: one could hold ours while the daemon is down.
LOWEST, HIGHEST = 20000, 32000


def free(port: int) -> bool:
    """Whether `port` belongs to no socket.

    Without SO_REUSEADDR, which would also give out a port that another daemon holds without listening, as it
    does during a `refuse` fault: two fleets would meet there.
    """
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ports:
    """Ports by purpose. `given`: handed out to the providers, who keep them in their own table."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._given: set[int] = set()

    def named(self, purpose: str) -> int:
        """The port for `purpose`, the same after every restart."""
        kept: dict[str, int] = self._document.content.setdefault("ports", {})
        if purpose not in kept:
            kept[purpose] = self.allocate()
            self._document.save()
        return kept[purpose]

    def reserve(self, port: int) -> None:
        """Somebody else's table names this port already."""
        self._given.add(port)

    def allocate(self) -> int:
        """A port that is free and not promised to anybody."""
        taken = self._given | set(self._document.content.setdefault("ports", {}).values())
        start = random.SystemRandom().randrange(LOWEST, HIGHEST)
        for offset in range(HIGHEST - LOWEST):
            port = LOWEST + (start - LOWEST + offset) % (HIGHEST - LOWEST)
            if port not in taken and free(port):
                self._given.add(port)
                return port
        raise SetupError(f"no free port between {LOWEST} and {HIGHEST}; stop something that listens there")
