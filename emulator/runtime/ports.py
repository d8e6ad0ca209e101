"""Loopback ports that stay the same: chosen once, stored in a file, outside the kernel's ephemeral range.

Two daemons of one machine never share a port: a daemon holds a claim for each port that it has promised,
bound or
not. A claim is a name in Linux's abstract socket namespace, which has the same scope as ports (a network
namespace); the kernel releases it when the daemon ends, however it ends.
"""

from __future__ import annotations

import random
import socket

from emulator.errors import PortTaken
from emulator.runtime.errors import SetupError
from emulator.runtime.json_document import Document

# Linux uses ports from 32768 on for outgoing connections: one could hold ours while the daemon is down.
LOWEST, HIGHEST = 20000, 32000
# Of instances. The kernel gives a port of its ephemeral range to any program that asks for a free one, also
# between the choice of a port and the start of its server. A Lambda is frozen when its port answers: with a
# foreign server there it would serve that server's replies and never start its own.
INSTANCE_LOWEST, INSTANCE_HIGHEST = 10000, 19999


def free(port: int) -> bool:
    """Whether `port` belongs to no socket.

    Without SO_REUSEADDR, which would also give out a port that another daemon holds without listening, as
    during a
    `refuse` fault: two fleets would collide.
    """
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def claim(port: int) -> socket.socket | None:
    """The claim to a port, valid while the socket is open; None when another daemon holds it."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(f"\0skyfleet-emulator-port-{port}")
    except OSError:
        held.close()
        return None
    return held


class InstancePort:
    """The port of one instance, held until `release`."""

    def __init__(self, number: int, held: socket.socket) -> None:
        self.number = number
        self._held = held

    def release(self, _ended: object = None) -> None:
        """Give the port back, also as a callback of the instance's end."""
        self._held.close()


def for_instance(start: int | None = None) -> InstancePort:
    """A free port that no daemon has claimed, for an instance that starts at once.

    start: the first port that is tried; a random one when left out. Raises SetupError.
    """
    count = INSTANCE_HIGHEST - INSTANCE_LOWEST + 1
    first = random.SystemRandom().randrange(count) if start is None else start - INSTANCE_LOWEST
    for offset in range(count):
        port = INSTANCE_LOWEST + (first + offset) % count
        if (held := claim(port)) is not None:
            if free(port):
                return InstancePort(port, held)
            held.close()
    raise SetupError(
        f"no free port between {INSTANCE_LOWEST} and {INSTANCE_HIGHEST}; stop something that listens there"
    )


class Ports:
    """Ports by purpose, and those of the providers, which the resource store keeps."""

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
        """Claim a port that the resource store names. Raises PortTaken when another daemon has claimed it."""
        if port not in self._claims and not self._claim(port):
            raise PortTaken(port, purpose)

    def close(self) -> None:
        """Release all claims."""
        for held in self._claims.values():
            held.close()
        self._claims.clear()

    def _claim(self, port: int) -> bool:
        held = claim(port)
        if held is not None:
            self._claims[port] = held
        return held is not None

    def allocate(self) -> int:
        """A free port that no daemon has claimed."""
        taken = self._claims.keys() | set(self._document.content.setdefault("ports", {}).values())
        start = random.SystemRandom().randrange(LOWEST, HIGHEST)
        for offset in range(HIGHEST - LOWEST):
            port = LOWEST + (start - LOWEST + offset) % (HIGHEST - LOWEST)
            if port not in taken and self._claim(port):
                if free(port):
                    return port
                self._claims.pop(port).close()
        raise SetupError(f"no free port between {LOWEST} and {HIGHEST}; stop something that listens there")
