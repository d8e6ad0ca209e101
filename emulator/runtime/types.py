"""What passes between a front door and an instance.

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
    """One HTTP request. target: path and query as sent; peer: the caller's address; host: as the caller
    named it.
    """

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
    """An answer whose body is still on its way."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Headers:
        """Without hop-by-hop headers."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; raises InstanceError when it breaks off."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of an event (a scheduler's call): HTTP status if there is one, start of the answer."""

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
        """Send `call`, give the reply once its head is there. Raises InstanceError."""
        ...

    async def event(self, name: str, payload: bytes) -> Outcome:
        """A call that is not HTTP for the function's author; `name` is the timer's on Azure, else empty."""
        ...

    def on_end(self, then: Callable[[], None]) -> None:
        """Run `then` when it ends for whatever reason."""
        ...

    async def ended_within(self, seconds: float) -> bool:
        """Whether it ends within that time."""
        ...

    def kill(self) -> None:
        """End it now."""
        ...

    async def stop(self) -> None:
        """End it as the cloud does when it scales in, and wait."""
        ...


@dataclass(frozen=True, slots=True)
class Timer:
    """An Azure timer trigger found in the code. schedule: NCRONTAB."""

    name: str
    schedule: str


class InstanceFactory(Protocol):
    """One version of one function: can be built once and started many times."""

    @property
    def starts_at_deploy(self) -> bool:
        """Whether a deploy is done only when an instance came up."""
        ...

    async def build(self) -> None:
        """What the cloud does with the package before anything runs. Raises BadPackage or SetupError."""
        ...

    async def start(self) -> Instance:
        """One more instance. Raises InstanceError("unstarted", reason)."""
        ...

    async def timers(self) -> tuple[Timer, ...]:
        """Timers the code declares (Azure), known after the first start."""
        ...
