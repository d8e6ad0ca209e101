"""The injected faults, with a notification of each change."""

from __future__ import annotations

import asyncio

from emulator.desired.model import Function
from emulator.runtime import faults
from emulator.runtime.faults import Fault, Injected


class ActiveFaults:
    """Holds the injected faults."""

    def __init__(self, current: tuple[Injected, ...] = ()) -> None:
        self.current = current
        self._news = asyncio.Event()

    def change(self, current: tuple[Injected, ...]) -> None:
        """Replace all faults and wake the tasks that wait for a change."""
        self.current = current
        self._news.set()
        self._news = asyncio.Event()

    def of(self, spec: Function) -> tuple[Fault, ...]:
        """Faults that hit a function."""
        return faults.suffered(self.current, spec.cloud, spec.role)

    async def healed(self, spec: Function) -> bool:
        """Wait until no `blackhole` hits the function; returns whether there was one."""
        waited = False
        while faults.has(self.of(spec), "blackhole"):
            waited = True
            await self._news.wait()
        return waited
