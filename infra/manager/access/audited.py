"""The services with notes for the audit log: what a request of the API or the page means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from infra.manager.access import audit
from infra.manager.fleet.picture import Picture
from infra.manager.jobs.model import Change, Event, Job
from infra.manager.services import Fleet, Jobs


@dataclass(frozen=True, slots=True)
class AuditedFleet:
    """A `Fleet` whose changes are noted."""

    fleet: Fleet

    def picture(self) -> Picture:
        """As the fleet."""
        return self.fleet.picture()

    def pictures(self) -> AsyncIterator[Picture]:
        """As the fleet."""
        return self.fleet.pictures()

    async def set_strategy(self, name: str) -> Sequence[str]:
        """As the fleet, with a note."""
        audit.note(action="strategy", target=name)
        return await self.fleet.set_strategy(name)

    async def drain(self, target: str, *, undo: bool, force: bool) -> Sequence[str]:
        """As the fleet, with a note."""
        audit.note(action="undo of drain" if undo else "drain", target=target)
        return await self.fleet.drain(target, undo=undo, force=force)


@dataclass(frozen=True, slots=True)
class AuditedJobs:
    """`Jobs` whose changes are noted."""

    jobs: Jobs

    async def submit(self, change: Change, by: str) -> Job:
        """As the jobs, with a note."""
        audit.note(action=f"preview of {change.action}" if change.preview else change.action)
        audit.note(target=change.target)
        job = await self.jobs.submit(change, by)
        audit.note(job=job.id)
        return job

    def get(self, job: str) -> Job:
        """As the jobs."""
        return self.jobs.get(job)

    def recent(self, limit: int) -> Sequence[Job]:
        """As the jobs."""
        return self.jobs.recent(limit)

    async def cancel(self, job: str, by: str) -> Job:
        """As the jobs, with a note."""
        audit.note(action="cancel", job=job)
        cancelled = await self.jobs.cancel(job, by)
        audit.note(target=cancelled.change.target)
        return cancelled

    def events(self, job: str, after: int = 0) -> AsyncIterator[Event]:
        """As the jobs."""
        return self.jobs.events(job, after)
