"""A fleet and jobs for tests of the API: values in memory, and events that a test sends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import httpx
from starlette.types import ASGIApp

from infra.manager.access.audit import AuditLog
from infra.manager.access.audited import AuditedFleet, AuditedJobs
from infra.manager.access.gate import Access
from infra.manager.access.limits import Limiter, Rate
from infra.manager.access.tokens import TokenStore
from infra.manager.app import Parts, create_app
from infra.manager.errors import BadRequest, Conflict, ManagerError, NotFound, Unavailable
from infra.manager.fleet.picture import CheckerView, Minute, Picture, RouterView, TargetView
from infra.manager.jobs.model import Change, Event, Job, State
from infra.manager.stream import Listeners
from tests.trust import NO_CERTIFICATES

NOW = 1_790_000_000.0
VERSION = "0123456789ab"
KNOWN = ("aws/eu-west-1", "gcp/europe-west1")


def picture() -> Picture:
    """Two targets, one of which is down, and a router that does not answer."""
    up = TargetView(
        "aws", "eu-west-1", "https://a", "healthy", "", None, 1.0, 1.0, 120.0, 0.0, 2, False, 1, 0, 20
    )
    down = replace(up, cloud="gcp", region="europe-west1", state="down", sentence="refused", share=0.0)
    return Picture(
        at=NOW,
        stack="local",
        version=VERSION,
        routers=(RouterView("aws", "eu-west-1", "https://r", "no answer", "", None, None),),
        targets=(up, down),
        checkers=(CheckerView("aws", 12.0, True),),
        minutes=(Minute(1_789_999_980, 600, 1, 2, 3, 0, 110.0, 480.0),),
        problems=("The router aws/eu-west-1 does not answer.",),
    )


@dataclass(slots=True)
class FakeFleet:
    """Takes orders for the targets of KNOWN. broken: what every call raises."""

    broken: ManagerError | None = None
    orders: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    def picture(self) -> Picture:
        if self.broken:
            raise self.broken
        return picture()

    async def pictures(self) -> AsyncIterator[Picture]:
        yield picture()

    async def set_strategy(self, name: str) -> Sequence[str]:
        self.orders.append(("strategy", name))
        return [f"aws/eu-west-1: {name}"]

    async def drain(self, target: str, *, undo: bool, force: bool) -> Sequence[str]:
        if target not in KNOWN:
            raise NotFound(f"There is no target {target}.", known=list(KNOWN))
        self.orders.append(("undo" if undo else "drain", target, str(force)))
        return [f"aws/eu-west-1: draining {target}"]


@dataclass(slots=True)
class FakeJobs:
    """Jobs that go on when a test says so. broken: what every change raises."""

    broken: Exception | None = None
    known: dict[str, Job] = field(default_factory=dict[str, Job])
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def submit(self, change: Change, by: str) -> Job:
        if self.broken:
            raise self.broken
        if change.version and change.version != VERSION:
            raise Conflict(f"The fleet is at version {VERSION}.", version=VERSION)
        if change.action == "delete" and change.target not in KNOWN:
            raise NotFound(f"There is no target {change.target}.", known=list(KNOWN))
        if change.options.get("weight") == 0 and change.target == KNOWN[0]:
            raise BadRequest("Weight 0 for every target.")
        job = Job(f"j{next(self._ids)}", change, by, NOW)
        self.known[job.id] = job
        return job

    def get(self, job: str) -> Job:
        if job not in self.known:
            raise NotFound(f"There is no job {job}.", known=list(self.known))
        return self.known[job]

    def recent(self, limit: int) -> Sequence[Job]:
        return list(reversed(self.known.values()))[:limit]

    async def cancel(self, job: str, by: str) -> Job:
        found = self.get(job)
        if found.is_final:
            raise Conflict(f"The job {job} has ended ({found.state}).", state=str(found.state))
        self.known[job] = replace(found, state=State.CANCELLED, result=f"cancelled by {by}")
        self._wake()
        return self.known[job]

    async def events(self, job: str, after: int = 0) -> AsyncIterator[Event]:
        self.get(job)
        sent = after
        while True:
            changed = self.changed
            found = self.known[job]
            for event in found.events[sent:]:
                sent = event.number
                yield event
            if found.is_final:
                return
            await changed.wait()

    def say(
        self, job: str, text: str, kind: Literal["step", "resource", "message"] = "step", percent: int = 0
    ) -> None:
        """Add an event; the job runs then."""
        found = self.get(job)
        event = Event(len(found.events) + 1, NOW, kind, text, percent)
        self.known[job] = replace(found, state=State.RUNNING, started=NOW, events=(*found.events, event))
        self._wake()

    def finish(self, job: str, state: State = State.DONE, result: str = "serves") -> None:
        """End a job."""
        self.known[job] = replace(self.get(job), state=state, ended=NOW, result=result)
        self._wake()

    def _wake(self) -> None:
        woken, self.changed = self.changed, asyncio.Event()
        woken.set()


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Setup:
    """An application over fakes."""

    folder: Path
    is_local: bool = True
    clock: Clock = field(default_factory=Clock)
    fleet: FakeFleet = field(default_factory=FakeFleet)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    listeners: Listeners = field(default_factory=Listeners)
    hosts: tuple[str, ...] = ()
    limits: bool = False
    access: Access = field(init=False)
    parts: Parts = field(init=False)
    app: ASGIApp = field(init=False)

    def __post_init__(self) -> None:
        many = Rate(10**6, 0.001)
        limiter = Limiter() if self.limits else Limiter({"read": many, "write": many, "failed": many})
        self.access = Access(
            TokenStore(self.folder / "tokens.json"),
            AuditLog(self.folder / "audit.jsonl"),
            is_local=self.is_local,
            hosts=self.hosts,
            limiter=limiter,
            wall=self.clock,
            monotonic=self.clock,
        )
        fleet, jobs = AuditedFleet(self.fleet), AuditedJobs(self.jobs)
        self.parts = Parts("local", fleet, jobs, self.access, self.listeners)
        self.app = create_app(self.parts)

    def client(self, **headers: str) -> httpx.AsyncClient:
        """A client of the application, without a socket."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8700", headers=headers, verify=NO_CERTIFICATES
        )

    def audited(self) -> str:
        """The audit log."""
        path = self.folder / "audit.jsonl"
        return path.read_text() if path.exists() else ""


def unavailable() -> Unavailable:
    """What a fleet without a picture raises."""
    return Unavailable("No router has answered yet.")
