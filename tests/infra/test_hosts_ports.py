"""Ports that one daemon gives to its functions, and that no other daemon may take over."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from infra.local.hosts.listener import bind
from infra.local.hosts.ports import HIGHEST, LOWEST, Ports, free
from infra.local.hosts.state import Document


@contextmanager
def held() -> Generator[int]:
    """A port as a function's door holds it during a `refuse` fault: bound, not listening."""
    port = Ports(Document(Path("/nonexistent/unused.json"))).allocate()
    with closing(bind(port, "a door")):
        yield port


def test_a_port_that_another_daemon_holds_without_listening_is_not_free() -> None:
    """Else two fleets would meet at it as soon as the other's fault is healed."""
    with held() as port:
        assert not free(port)


def test_a_port_that_something_listens_at_is_not_free() -> None:
    """On all addresses of the machine, too."""
    with closing(socket.socket()) as other:
        other.bind(("0.0.0.0", 0))  # noqa: S104 - closed at once
        other.listen()
        assert not free(other.getsockname()[1])


def test_a_port_is_given_once(tmp_path: Path) -> None:
    """Within the range that Linux leaves to servers, and the same for a purpose after a restart."""
    ports = Ports(Document(tmp_path / "ports.json"))
    given = [ports.allocate() for _ in range(20)]
    assert len(set(given)) == 20
    assert all(LOWEST <= port < HIGHEST for port in given)
    named = ports.named("admin")
    assert Ports(Document(tmp_path / "ports.json")).named("admin") == named
