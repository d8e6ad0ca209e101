"""What the API and the page need of the rest: interfaces, so that each is tested without the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from infra.manager.fleet.picture import Picture
from infra.manager.jobs.model import Change, Event, Job


class Fleet(Protocol):
    """The fleet as the routers report it, and what they take from an operator at once."""

    def picture(self) -> Picture:
        """The newest picture. Raises Unavailable before the first."""
        ...

    def pictures(self) -> AsyncIterator[Picture]:
        """The newest picture now, and each newer one; a slow reader skips the ones in between."""
        ...

    async def set_strategy(self, name: str) -> Sequence[str]:
        """Have each router pick by a strategy; a sentence for each router. Raises BadRequest, Unavailable."""
        ...

    async def drain(self, target: str, *, undo: bool, force: bool) -> Sequence[str]:
        """Drain a target, or end that; a sentence for each router.

        target: `cloud/region`. Raises NotFound, Conflict (the last target that is not draining), Unavailable.
        """
        ...


class Jobs(Protocol):
    """Changes of the fleet, one at a time."""

    async def submit(self, change: Change, by: str) -> Job:
        """Queue a change. Raises BadRequest, NotFound, Conflict."""
        ...

    def get(self, job: str) -> Job:
        """One job. Raises NotFound."""
        ...

    def recent(self, limit: int) -> Sequence[Job]:
        """The newest jobs, newest first."""
        ...

    async def cancel(self, job: str, by: str) -> Job:
        """Cancel a queued job, or interrupt a running one. Raises NotFound, Conflict (it has ended)."""
        ...

    def events(self, job: str, after: int = 0) -> AsyncIterator[Event]:
        """The events with a number above `after`, past and to come; it ends with the job. Raises NotFound."""
        ...
