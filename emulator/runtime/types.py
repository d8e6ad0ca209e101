"""What an ingress and an instance exchange.

Types without behaviour. Each cloud implements `InstanceFactory` and `Instance`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. target: path and query as sent; peer: the caller's address; host: as sent."""

    id: str
    method: str
    target: str
    headers: Headers
    body: bytes | AsyncIterator[bytes] = field(repr=False)
    peer: str = "127.0.0.1"
    host: str = "127.0.0.1"

    def header(self, name: str) -> str:
        """First value of a header (lower case), or an empty string."""
        return next((value for key, value in self.headers if key == name), "")


class Reply(Protocol):
    """A reply whose body may still arrive."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Headers:
        """Without hop-by-hop headers."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises InstanceError when it is truncated."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of an event (a scheduler's call): HTTP status if any, start of the answer."""

    ok: bool
    status: int | None
    text: str


class Instance(Protocol):
    """One running copy of a function."""

    @property
    def pid(self) -> int:
        """Leader of its process group."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        ...

    def exchange(self, call: Call) -> AbstractAsyncContextManager[Reply]:
        """Send `call` and give the reply once its head has arrived. Raises InstanceError."""
        ...

    async def event(self, name: str, payload: bytes) -> Outcome:
        """An event that is not HTTP for the function's author. name: of the timer on Azure, else empty."""
        ...

    def on_end(self, then: Callable[[], None]) -> None:
        """Run `then` when it ends, for whatever reason."""
        ...

    async def ended_within(self, seconds: float) -> bool:
        """Whether it ends within `seconds`."""
        ...

    def kill(self) -> None:
        """End it now."""
        ...

    async def stop(self) -> None:
        """End it as the cloud does when it scales in, and wait."""
        ...


@dataclass(frozen=True, slots=True)
class Timer:
    """An Azure timer trigger in the code. schedule: NCRONTAB."""

    name: str
    schedule: str


class InstanceFactory(Protocol):
    """One version of one function: built once, started many times."""

    @property
    def starts_at_deploy(self) -> bool:
        """Whether a deployment waits for an instance to start."""
        ...

    async def build(self) -> None:
        """Process the package as the cloud does before anything runs. Raises BadPackage or SetupError."""
        ...

    async def start(self) -> Instance:
        """One more instance. Raises InstanceError("unstarted", reason)."""
        ...

    async def timers(self) -> tuple[Timer, ...]:
        """Timers that the code declares (Azure), known after the first start."""
        ...
