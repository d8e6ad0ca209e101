"""A fleet and jobs that play what a test says, for the manager's page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from infra.manager.errors import Conflict, NotFound, Unavailable
from infra.manager.fleet.picture import CheckerView, Minute, Picture, RouterView, TargetView
from infra.manager.jobs.model import Change, Event, Job, State

NOW = 1_790_000_000.0
KEYS = (("aws", "eu-west-1"), ("azure", "westeurope"), ("gcp", "europe-west1"))


def minutes(count: int = 60, *, until: float = NOW) -> tuple[Minute, ...]:
    """The minutes before `until`, of which every tenth has errors."""
    first = int(until // 60) * 60 - count * 60
    return tuple(
        Minute(
            at=first + number * 60,
            requests=1180 + (number * 37) % 90,
            errors=4 if number % 10 == 0 else 0,
            retries=9 if number % 10 == 0 else number % 3,
            hedges=number % 5,
            ejections=int(number % 20 == 0),
            p50_ms=120 + number % 7,
            p99_ms=480.0 + (number * 53) % 160,
        )
        for number in range(count)
    )


def target(cloud: str = "aws", region: str = "eu-west-1") -> TargetView:
    """A healthy target."""
    return TargetView(
        cloud=cloud,
        region=region,
        url=f"https://{cloud}.example",
        state="healthy",
        sentence="",
        since=NOW - 7200,
        weight=1,
        share=1 / 3,
        latency_ms=118.4,
        errors=0.0,
        inflight=2,
        draining=False,
        instances=2,
        min_instances=0,
        max_instances=20,
    )


def healthy() -> Picture:
    """Three targets, three routers, all well."""
    targets = tuple(
        replace(target(cloud, region), share=share, latency_ms=latency)
        for (cloud, region), share, latency in zip(
            KEYS, (0.38, 0.3, 0.32), (118.4, 141.0, 122.7), strict=True
        )
    )
    return Picture(
        at=NOW,
        stack="local",
        version="0123456789ab",
        routers=tuple(
            RouterView(cloud, region, f"https://router-{cloud}.example", "", "adaptive", 410, 0)
            for cloud, region in KEYS
        ),
        targets=targets,
        checkers=tuple(CheckerView(cloud, 14.0, True) for cloud, _ in KEYS),
        minutes=minutes(),
    )


def change(picture: Picture, key: str, **values: object) -> Picture:
    """The picture with other values of one target."""
    targets = tuple(replace(each, **values) if each.key == key else each for each in picture.targets)
    return replace(picture, targets=targets)


def killed() -> Picture:
    """One cloud is down, the others have its share."""
    seen = change(
        healthy(),
        "aws/eu-west-1",
        state="down",
        sentence="3 of 3 checkers report: connection refused.",
        since=NOW - 190,
        share=0.0,
        latency_ms=None,
        errors=1.0,
        inflight=0,
        instances=0,
    )
    seen = change(seen, "azure/westeurope", share=0.48, inflight=5)
    return change(seen, "gcp/europe-west1", share=0.52, inflight=4)


def degraded() -> Picture:
    """One target is slow, one drains, a router does not answer, and the config is not deployed."""
    seen = change(
        healthy(),
        "azure/westeurope",
        state="degraded",
        sentence="p50 is 1,240 ms, ten times that of the others.",
        since=NOW - 660,
        share=0.09,
        latency_ms=1240.0,
        errors=0.034,
    )
    seen = change(
        seen,
        "gcp/europe-west1",
        state="draining",
        sentence="An operator drained it; 3 requests are still in flight.",
        since=NOW - 45,
        share=0.0,
        draining=True,
        inflight=3,
        planned="weight 2 in the stack config, 1 deployed",
    )
    seen = change(seen, "aws/eu-west-1", share=0.91, inflight=9)
    router = replace(
        seen.routers[2], problem="no answer within 2 s (connect timeout)", requests=None, failed=None
    )
    return replace(
        seen,
        routers=(*seen.routers[:2], router),
        checkers=(*seen.checkers[:2], CheckerView("gcp", 412.0, False)),
        problems=("The router gcp/europe-west1 does not answer: no answer within 2 s (connect timeout).",),
    )


@dataclass(slots=True)
class ScriptedFleet:
    """A fleet whose pictures a test gives with `show`. calls: what was asked of it."""

    current: Picture | None = field(default_factory=healthy)
    calls: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    refuses: Exception | None = None
    _newer: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, picture: Picture | None) -> None:
        """The newest picture from now on. Call it on the server's loop."""
        self.current = picture
        self._newer.set()
        self._newer = asyncio.Event()

    def picture(self) -> Picture:
        if self.current is None:
            raise Unavailable("no router has answered yet")
        return self.current

    async def pictures(self) -> AsyncIterator[Picture]:
        while True:
            newer = self._newer
            if self.current is not None:
                yield self.current
            await newer.wait()

    async def set_strategy(self, name: str) -> Sequence[str]:
        self._take("strategy", name)
        if self.current is not None:
            routers = tuple(replace(each, strategy=name) for each in self.current.routers)
            self.show(replace(self.current, routers=routers))
        return ["aws/eu-west-1: set.", "azure/westeurope: set."]

    async def drain(self, target: str, *, undo: bool, force: bool) -> Sequence[str]:
        self._take("drain", target, undo, force)
        if self.current is not None:
            state = "healthy" if undo else "draining"
            self.show(change(self.current, target, state=state, draining=not undo))
        return [f"aws/eu-west-1: {target} drains."]

    def _take(self, *call: object) -> None:
        self.calls.append(call)
        if self.refuses is not None:
            raise self.refuses


@dataclass(slots=True)
class ScriptedJobs:
    """Jobs that go on when a test says so. submitted: the changes asked for."""

    jobs: list[Job] = field(default_factory=list[Job])
    submitted: list[tuple[Change, str]] = field(default_factory=list[tuple[Change, str]])
    cancelled: list[str] = field(default_factory=list[str])
    refuses: Exception | None = None
    plan: tuple[str, ...] = (
        "+ aws:lambda:Function agent-aws-us-east-1",
        "+ aws:iam:Role agent-aws-us-east-1",
    )

    async def submit(self, change: Change, by: str) -> Job:
        if self.refuses is not None:
            raise self.refuses
        self.submitted.append((change, by))
        made = Job(f"job-{len(self.jobs) + 1}", change, by, NOW)
        self.jobs.insert(0, made)
        return made

    def get(self, job: str) -> Job:
        found = next((each for each in self.jobs if each.id == job), None)
        if found is None:
            raise NotFound(f"There is no job {job}.")
        return found

    def recent(self, limit: int) -> Sequence[Job]:
        return self.jobs[:limit]

    async def cancel(self, job: str, by: str) -> Job:
        if self.get(job).is_final:
            raise Conflict(f"Job {job} has ended.")
        self.cancelled.append(job)
        return self.end(job, State.CANCELLED, f"Cancelled by {by}.")

    async def events(self, job: str, after: int = 0) -> AsyncIterator[Event]:
        for each in self.get(job).events[after:]:
            yield each

    def start(self, job: str) -> Job:
        """The job runs."""
        return self._put(replace(self.get(job), state=State.RUNNING, started=NOW + 1))

    def step(self, job: str, text: str, percent: int | None = None) -> Job:
        """One more line of progress."""
        now = self.get(job)
        event = Event(len(now.events) + 1, NOW + 2, "step", text, percent)
        return self._put(replace(now, events=(*now.events, event)))

    def end(self, job: str, state: State = State.DONE, result: str = "") -> Job:
        """The job has ended; a preview has its plan."""
        now = self.get(job)
        plan = self.plan if now.change.preview and state is State.DONE else ()
        return self._put(replace(now, state=state, ended=NOW + 9, result=result, plan=plan))

    def _put(self, job: Job) -> Job:
        self.jobs = [job if each.id == job.id else each for each in self.jobs]
        return job
