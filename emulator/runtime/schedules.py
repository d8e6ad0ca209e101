"""The clouds' schedulers: EventBridge Scheduler, Cloud Scheduler, and timers in the code of Azure functions.

An emulated minute lasts `minute_s` real seconds. A run is skipped while the previous one still runs: Azure's
timers
and Cloud Scheduler do so, and for the others it prevents a backlog in short minutes. A call that the cloud
would
not allow is refused, logged and shown.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from emulator.desired.model import Cloud, Function, Schedule
from emulator.runtime.aws import event as lambda_event
from emulator.runtime.azure import instance as azure_instance
from emulator.runtime.azure import ncrontab
from emulator.runtime.types import Outcome, Timer

log = logging.getLogger(__name__)

Fire = Callable[[str, str, bytes], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One scheduler entry. timer: an Azure timer with its cron, None for a scheduler's entry."""

    key: str
    cloud: Cloud
    function: Function
    every_minutes: float
    refused: str | None
    payload: bytes
    timer: Timer | None = None


@dataclass(slots=True)
class Run:
    """State of an entry. last: unix seconds; due: loop time of the next run."""

    entry: Entry
    due: float
    last: float | None = None
    outcome: Outcome | None = None
    skipped: int = 0
    task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether a run is active."""
        return self.task is not None and not self.task.done()


def entries(
    schedules: Sequence[Schedule], functions: Sequence[tuple[Function, tuple[Timer, ...]]]
) -> dict[str, Entry]:
    """All entries of a desired state: its schedules, and the timers in the code of its functions."""
    found: dict[str, Entry] = {}
    specs = {spec.key: spec for spec, _ in functions}
    for each in schedules:
        spec = specs.get(each.function)
        if spec is not None:
            found[each.key] = Entry(
                each.key, each.cloud, spec, each.every_minutes, each.refused, each.payload
            )
    for spec, timers in functions:
        for timer in timers:
            key = f"{spec.key}#{timer.name}"
            found[key] = Entry(key, spec.cloud, spec, 0.0, None, b"", timer)
    return found


class Schedules:
    """Runs entries. fire(function key, name, payload) does the call."""

    def __init__(self, fire: Fire, minute_s: float) -> None:
        self._fire = fire
        self._minute_s = minute_s
        self._epoch = time.time()  # where the emulated clock equals the real one
        self._runs: dict[str, Run] = {}
        self._changed = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the clock."""
        self._loop = asyncio.create_task(self._go())

    async def close(self) -> None:
        """Stop; active runs are cancelled."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for task in [*tasks, *([self._loop] if self._loop else [])]:
            task.cancel()
        await asyncio.gather(*tasks, *([self._loop] if self._loop else []), return_exceptions=True)

    @property
    def runs(self) -> list[Run]:
        """All entries with their state."""
        return list(self._runs.values())

    @property
    def minute_s(self) -> float:
        """Real seconds of an emulated minute."""
        return self._minute_s

    def set_minute(self, minute_s: float) -> None:
        """Change the length of an emulated minute; all entries start a new period."""
        emulated = self._emulated(time.time())
        self._minute_s = minute_s
        now = time.time()
        self._epoch = (now - emulated * minute_s / 60) / (1 - minute_s / 60) if minute_s != 60 else now
        for run in self._runs.values():
            run.due = self._due(run.entry)
        self._changed.set()

    def update(self, wanted: dict[str, Entry]) -> None:
        """Replace the entries by `wanted`; unchanged ones keep their next run."""
        for key in list(self._runs):
            if key not in wanted:
                del self._runs[key]
        for key, entry in wanted.items():
            run = self._runs.get(key)
            if run is None:
                self._runs[key] = Run(entry, self._due(entry))
            elif (run.entry.every_minutes, run.entry.timer) != (entry.every_minutes, entry.timer):
                run.due = self._due(entry)
            if run is not None:
                run.entry = entry
        self._changed.set()

    async def run_now(self, cloud: Cloud) -> list[Run]:
        """Run all entries of a cloud at once and wait for the results; an active run is awaited."""
        runs = [run for run in self._runs.values() if run.entry.cloud == cloud]
        for run in runs:
            self._begin(run)
        await asyncio.gather(*(run.task for run in runs if run.task is not None))
        return runs

    def due_in(self, run: Run) -> float:
        """Real seconds until the next run."""
        return max(0.0, run.due - asyncio.get_running_loop().time())

    def _emulated(self, now: float) -> float:
        return self._epoch + (now - self._epoch) * 60 / self._minute_s

    def _due(self, entry: Entry) -> float:
        loop_now = asyncio.get_running_loop().time()
        if entry.timer is None:
            return loop_now + entry.every_minutes * self._minute_s
        emulated = self._emulated(time.time())
        try:
            following = ncrontab.parse(entry.timer.schedule).following(emulated)
        except ncrontab.BadSchedule as error:
            log.warning("%s never fires: %s", entry.key, error)
            return float("inf")
        return loop_now + (following - emulated) * self._minute_s / 60

    async def _go(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            soonest = min((run.due for run in self._runs.values()), default=float("inf"))
            try:
                async with asyncio.timeout_at(soonest if soonest != float("inf") else None):
                    await self._changed.wait()
            except TimeoutError:
                for run in [run for run in self._runs.values() if run.due <= loop.time()]:
                    run.due = self._due(run.entry)
                    self._begin(run)

    def _begin(self, run: Run) -> None:
        if run.running:
            run.skipped += 1
            return
        run.task = asyncio.create_task(self._once(run))

    async def _once(self, run: Run) -> None:
        entry = run.entry
        before, run.last = run.last, time.time()
        if entry.refused is not None:
            run.outcome = Outcome(False, 403, f"refused: {entry.refused}")
        else:
            name, payload = self._message(entry, before, run.last)
            run.outcome = await self._fire(entry.function.key, name, payload)
        if not run.outcome.ok:
            log.warning("%s: %s %s", entry.key, run.outcome.status or "", run.outcome.text)

    def _message(self, entry: Entry, last: float | None, now: float) -> tuple[str, bytes]:
        """What the function gets: a name (timer or token) and a payload."""
        if entry.timer is not None:
            emulated = self._emulated(now)
            following = ncrontab.parse(entry.timer.schedule).following(emulated)
            return entry.timer.name, azure_instance.timer_payload(last, following, emulated)
        if entry.cloud == "gcp":
            return oidc_token(entry.function, now), entry.payload
        return "", entry.payload or scheduler_event(entry, now)


def scheduler_event(entry: Entry, now: float) -> bytes:
    """EventBridge Scheduler's event for a target without an input of its own."""
    region = entry.function.region
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": lambda_event.ACCOUNT,
        "time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [
            f"arn:aws:scheduler:{region}:{lambda_event.ACCOUNT}:schedule/default/{entry.key.split('/')[-1]}"
        ],
        "detail": "{}",
    }
    return json.dumps(event).encode()


def oidc_token(function: Function, now: float) -> str:
    """An ID token in Cloud Scheduler's form. Unsigned: Cloud Run strips the signature before the function
    sees it.
    """

    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims: dict[str, object] = {
        "iss": "https://accounts.google.com",
        "aud": f"http://{function.authority}" if function.port else function.name,
        "email": function.principal,
        "email_verified": True,
        "iat": int(now),
        "exp": int(now) + 3600,
    }
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.SIGNATURE_REMOVED_BY_GOOGLE"
