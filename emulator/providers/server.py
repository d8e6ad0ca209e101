"""The providers as gRPC servers of this process, for PULUMI_DEBUG_PROVIDERS to attach the engine to.

Each provider keeps its port, so that an environment that was printed once stays valid. A port taken by
another
process is an error that names it, never a reason to use another one.
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

# The engine starts 4 operations per core at once by default; most only wait for the lock.
WORKERS = 16
# The engine's own message limit (400 MB): assets given as text travel in messages.
MESSAGE_BYTES = 400 * 1024 * 1024
STOP_S = 5.0


@dataclass(slots=True)
class Providers:
    """Serves a resource store to the engine. apply: gets every change of the desired state.

    ports: package -> port of an earlier run, or None to allocate them. folder: the emulator's state.
    program_folder: base of asset paths in programs.
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
        """The desired state by the resource store: the daemon applies it once before it serves."""
        return self._operations.desired()

    @property
    def operations(self) -> Operations:
        """Operations on resources by hand, for the admin API."""
        return self._operations

    def _later(self, seconds: float, step: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, step)
        timer.daemon = True
        self._timers = [each for each in self._timers if each.is_alive()]
        self._timers.append(timer)
        timer.start()

    def start(self) -> dict[str, int]:
        """Listen. Returns package -> port. Raises PortTaken, and then listens on none."""
        taken = dict(self.ports or {})
        self._operations.catch_up()
        try:
            return {package: self._serve(package, taken.get(package)) for package in PACKAGES}
        except PortTaken:
            self.stop()
            raise

    def stop(self) -> None:
        """Wait a moment for running operations, then close everything; may be called twice."""
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
