"""Tests of the ports of functions, which are unique across daemons."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from emulator.errors import PortTaken
from emulator.runtime.ingress.listener import bind
from emulator.runtime.json_document import Document
from emulator.runtime.ports import (
    HIGHEST,
    INSTANCE_HIGHEST,
    INSTANCE_LOWEST,
    LOWEST,
    Ports,
    for_instance,
    free,
)

# A daemon that allocates ports on a line of input, prints them, and keeps them until the next line.
OTHER = """
import sys
from pathlib import Path
from emulator.runtime import ports
from emulator.runtime.json_document import Document
ports.LOWEST, ports.HIGHEST = map(int, sys.argv[2:4])
own = ports.Ports(Document(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
print(*(own.allocate() for _ in range(30)), flush=True)
sys.stdin.readline()
"""


def daemon(document: Path, lowest: int, highest: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, str(document), str(lowest), str(highest)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def ports_of(folder: Path) -> Generator[Ports]:
    """A daemon's ports, stored in `folder`."""
    ports = Ports(Document(folder / "ports.json"))
    try:
        yield ports
    finally:
        ports.close()


@contextmanager
def held(folder: Path) -> Generator[int]:
    """A bound port that does not listen, as during the fault `refuse`."""
    with ports_of(folder) as ports:
        port = ports.allocate()
    with closing(bind(port, "a door")):
        yield port


def test_a_bound_port_of_another_daemon_is_not_free(tmp_path: Path) -> None:
    """Otherwise two fleets would share it after the end of the fault."""
    with held(tmp_path) as port:
        assert not free(port)


def test_a_listening_port_is_not_free() -> None:
    """This includes a port that listens on all addresses."""
    with closing(socket.socket()) as other:
        other.bind(("0.0.0.0", 0))  # noqa: S104 - closed at once
        other.listen()
        assert not free(other.getsockname()[1])


def test_a_port_is_allocated_once(tmp_path: Path) -> None:
    """It is below Linux's ephemeral range, and the same for a purpose after a restart."""
    with ports_of(tmp_path) as ports:
        given = [ports.allocate() for _ in range(20)]
        assert len(set(given)) == 20
        assert all(LOWEST <= port < HIGHEST for port in given)
        named = ports.named("admin")
        assert ports.named("admin") == named
    with ports_of(tmp_path) as ports:
        assert ports.named("admin") == named


def test_concurrent_daemons_allocate_different_ports(tmp_path: Path) -> None:
    """This holds before they listen, with 60 of 100 ports in use."""
    lowest = 31000 + 128 * (int.from_bytes(str(tmp_path).encode()) % 7)
    daemons = [daemon(tmp_path / name, lowest, lowest + 100) for name in ("one", "two")]
    said: list[list[str]] = []
    try:
        for each in daemons:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in daemons:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        for each in daemons:
            assert each.stdout is not None
            said.append(each.stdout.readline().split())
    finally:
        for each in daemons:
            each.communicate("end\n", timeout=20)
    assert [len(ports) for ports in said] == [30, 30]
    assert not set(said[0]) & set(said[1])


def test_a_port_that_another_daemon_has_allocated_meanwhile_is_named(tmp_path: Path) -> None:
    """A restarted daemon does not share it; an allocation ends with its daemon."""
    with ports_of(tmp_path / "one") as one:
        port = one.named("admin")
    with ports_of(tmp_path / "two") as two, ports_of(tmp_path / "one") as one:
        two.reserve(port, "a function")
        with pytest.raises(PortTaken, match=f"{port}.*admin"):
            one.named("admin")
        two.close()
        assert one.named("admin") == port


def test_an_instance_never_gets_a_port_that_the_kernel_gives_away() -> None:
    """A foreign server came there first, the sandbox was frozen, and a fleet served build `dev`."""
    lowest, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert min(lowest, LOWEST) > INSTANCE_HIGHEST
    port = for_instance()
    assert INSTANCE_LOWEST <= port.number <= INSTANCE_HIGHEST
    port.release()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_an_instance_gets_no_port_with_a_listener(address: str) -> None:
    """The next free one is taken, also beside a server on all addresses."""
    wanted = for_instance()
    with socket.create_server((address, wanted.number)):
        wanted.release()
        other = for_instance(wanted.number)
    assert other.number != wanted.number
    other.release()


def test_two_instances_that_start_at_once_get_different_ports() -> None:
    """A port is held from its choice to the end of the instance, also across daemons."""
    first = for_instance(INSTANCE_HIGHEST)
    second = for_instance(first.number)
    assert first.number != second.number
    first.release()
    again = for_instance(first.number)
    assert again.number == first.number
    again.release()
    second.release()
