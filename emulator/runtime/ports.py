"""Loopback ports that stay the same: chosen once, kept in a file, outside the range the kernel gives out by
itself.

Two daemons of one machine never have the same port: for each port that a daemon has promised it holds a claim
from then on, bound or not. A claim is a name in Linux's abstract socket namespace, of which there is one in
a network namespace, as of ports; the kernel takes it back when the daemon ends, however it ends.
"""

from __future__ import annotations

import random
import socket

from emulator.errors import PortTaken
from emulator.runtime.errors import SetupError
from emulator.runtime.json_document import Document

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


def claim(port: int) -> socket.socket | None:
    """The claim to a port, for as long as the socket is open; None when another daemon has it."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(f"\0skyfleet-emulator-port-{port}")
    except OSError:
        held.close()
        return None
    return held


class Ports:
    """Ports by purpose, and those handed out to the providers, which keep them in their own table."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._claims: dict[int, socket.socket] = {}

    def named(self, purpose: str) -> int:
        """The port for `purpose`, the same after every restart. Raises PortTaken."""
        kept: dict[str, int] = self._document.content.setdefault("ports", {})
        if purpose not in kept:
            kept[purpose] = self.allocate()
            self._document.save()
        self.reserve(kept[purpose], purpose)
        return kept[purpose]

    def reserve(self, port: int, purpose: str) -> None:
        """A table names this port already. Raises PortTaken when another daemon has promised it meanwhile."""
        if port not in self._claims and not self._claim(port):
            raise PortTaken(port, purpose)

    def close(self) -> None:
        """Give all claims up."""
        for held in self._claims.values():
            held.close()
        self._claims.clear()

    def _claim(self, port: int) -> bool:
        held = claim(port)
        if held is not None:
            self._claims[port] = held
        return held is not None

    def allocate(self) -> int:
        """A port that is free and promised to nothing, here or in another daemon."""
        taken = self._claims.keys() | set(self._document.content.setdefault("ports", {}).values())
        start = random.SystemRandom().randrange(LOWEST, HIGHEST)
        for offset in range(HIGHEST - LOWEST):
            port = LOWEST + (start - LOWEST + offset) % (HIGHEST - LOWEST)
            if port not in taken and self._claim(port):
                if free(port):
                    return port
                self._claims.pop(port).close()
        raise SetupError(f"no free port between {LOWEST} and {HIGHEST}; stop something that listens there")
