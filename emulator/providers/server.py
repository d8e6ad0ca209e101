"""The providers as gRPC servers of this process, for PULUMI_DEBUG_PROVIDERS to attach the engine to.

The rule of this file: a port belongs to a provider for good, so that an environment printed once stays true;
one taken by somebody else is an error that names it, never a reason to move silently.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from emulator.delays import Delays
from emulator.desired.model import DesiredState
from emulator.errors import PortTaken
from emulator.providers.operations import Operations
from emulator.providers.provider import Provider
from emulator.providers.registry import PACKAGES
from emulator.providers.resource_types import Machine
from emulator.providers.storage.resource_store import ResourceStore

# As many operations as the engine starts at once by default is 4 per core; most only wait for the lock.
WORKERS = 16
# The engine's own limit of one message (400 MB): assets given as text travel within messages.
MESSAGE_BYTES = 400 * 1024 * 1024
STOP_S = 5.0


@dataclass(slots=True)
class Providers:
    """Serves `table` to the engine; `apply` is told every change of what should run.

    ports: package -> port of an earlier run, or None to have them allocated. folder: the emulator's state.
    program_folder: what asset paths in programs are relative to.
    """

    table: ResourceStore
    apply: Callable[[DesiredState], None]
    ports: Mapping[str, int] | None
    allocate_port: Callable[[], int]
    folder: Path
    program_folder: Path
    delays: Delays
    _servers: list[grpc.Server] = field(default_factory=list[grpc.Server], init=False)
    _pools: list[futures.ThreadPoolExecutor] = field(
        default_factory=list[futures.ThreadPoolExecutor], init=False
    )
    _timers: list[threading.Timer] = field(default_factory=list[threading.Timer], init=False)
    _operations: Operations = field(init=False)

    def __post_init__(self) -> None:
        machine = Machine(
            self.folder,
            self.program_folder,
            self.allocate_port,
            lambda: datetime.now(UTC),
            os.urandom,
            self.delays.scaled,
        )
        self._operations = Operations(self.table, machine, self.apply, self._later)

    def desired(self) -> DesiredState:
        """What should run by the table: the daemon applies it once before it starts serving."""
        return self._operations.desired()

    @property
    def operations(self) -> Operations:
        """What an operator may do to resources by hand."""
        return self._operations

    def _later(self, seconds: float, step: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, step)
        timer.daemon = True
        self._timers = [each for each in self._timers if each.is_alive()]
        self._timers.append(timer)
        timer.start()

    def start(self) -> dict[str, int]:
        """Listens; package -> port. Raises PortTaken, and then listens on none."""
        taken = dict(self.ports or {})
        self._operations.catch_up()
        try:
            return {package: self._serve(package, taken.get(package)) for package in PACKAGES}
        except PortTaken:
            self.stop()
            raise

    def stop(self) -> None:
        """Lets running operations end for a moment, then closes everything; may be called twice."""
        for timer in self._timers:
            timer.cancel()
        for stopped in [server.stop(STOP_S) for server in self._servers]:
            stopped.wait()
        for pool in self._pools:
            pool.shutdown()
        self._servers.clear()
        self._pools.clear()

    def _serve(self, package: str, port: int | None) -> int:
        wanted = self.allocate_port() if port is None else port
        pool = futures.ThreadPoolExecutor(WORKERS, thread_name_prefix=f"provider-{package}")
        # Without so_reuseport=0 a second emulator would share the port and get every other connection.
        server = grpc.server(  # pyright: ignore[reportUnknownMemberType] - the stubs leave handlers open
            pool,
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MESSAGE_BYTES)],
        )
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(package, self._operations), server)
        try:
            bound = server.add_insecure_port(f"127.0.0.1:{wanted}")
        except RuntimeError as error:
            pool.shutdown()
            raise PortTaken(wanted, f"the emulator's {package} provider") from error
        server.start()
        self._servers.append(server)
        self._pools.append(pool)
        return bound
