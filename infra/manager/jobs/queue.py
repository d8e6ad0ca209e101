"""Changes of the fleet, one at a time: the manager's side of the jobs.

Rules
- One child process at a time, in the order of the ids, which sort by time. The manager reads its journal.
- A child that ends without a result is started again, at most ATTEMPTS times in all. So is one whose manager
  was killed, when that is started again; while it runs, the new manager reads on.
- A change is refused at once if the config that it leads to would be. That is the config after the jobs that
  wait; with a version, it must be the one that the operator has seen.
- While no job runs, another live Pulumi on the stack is a conflict.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from infra.manager.desired.change import apply
from infra.manager.desired.stack_file import StackFile, config_of, version
from infra.manager.errors import Conflict, ManagerError, NotFound, Unavailable
from infra.manager.jobs.journal import AFTER, ROLLBACK, Child, Journal, Request
from infra.manager.jobs.model import FINAL, Change, Event, Job, State
from infra.operations.errors import StackLocked

ATTEMPTS: Final = 3
HISTORY: Final = 200
POLL_S: Final = 0.2


class Process(Protocol):
    """A child process."""

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What a queue works with.

    spawn: starts the child for a job's folder. is_alive: whether a child runs. check_lock: raises StackLocked
    when another Pulumi works on the stack. clock: Unix seconds.
    """

    stack: str
    file: StackFile
    spawn: Callable[[Path], Process]
    is_alive: Callable[[Child], bool]
    check_lock: Callable[[], None]
    clock: Callable[[], float] = time.time
    poll_s: float = POLL_S


@dataclass(slots=True)
class Entry:
    """A job in memory. offset: of its events that were read. starts: of its child, by this manager."""

    journal: Journal
    job: Job
    outcome: str
    offset: int = 0
    starts: int = 0
    process: Process | None = None

    @property
    def waits(self) -> bool:
        """Whether its work has not begun."""
        return self.job.state is State.QUEUED and self.process is None


@dataclass(slots=True)
class JobQueue:
    """The jobs of a stack. folder: has one folder for each job."""

    folder: Path
    means: Means
    _entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            journal = Journal(path, self.means.clock)
            request, job = journal.request(), journal.job()
            if request is None or job is None or job.id != path.name or not _milliseconds(job.id):
                sys.stderr.write(f"{path} is no job that can be read: it is left as it is\n")
                continue
            self._entries[job.id] = Entry(journal, job, request.outcome, journal.events()[1])
        self._prune()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work on the jobs while this is entered. A child that runs goes on afterwards."""
        worker = asyncio.create_task(self._serve())
        try:
            yield
        finally:
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker
            self._wake()

    async def submit(self, change: Change, by: str) -> Job:
        """Queue a change. Raises BadRequest, NotFound, Conflict, Unavailable."""
        config, last = self._base()
        found = version(config)
        if change.version and change.version != found:
            raise self._changed_meanwhile(change, found, last)
        outcome = version(apply(config, change, self.means.stack))
        if all(entry.job.state is not State.RUNNING for entry in self._entries.values()):
            self._check_lock()
        request = Request(self._new_id(), change, by, self.means.clock(), "" if change.preview else outcome)
        try:
            journal = Journal.create(self.folder / request.id, request)
        except OSError as error:
            raise Unavailable(
                f"the job cannot be stored in {self.folder}: {error.strerror}. Nothing was changed; free the "
                "disk or make it writable, then ask again"
            ) from None
        journal.clock = self.means.clock
        entry = Entry(journal, Job(request.id, change, by, request.created), request.outcome)
        self._entries[request.id] = entry
        self._wake()
        return entry.job

    def get(self, job: str) -> Job:
        """One job. Raises NotFound."""
        return self._entry(job).job

    def recent(self, limit: int) -> Sequence[Job]:
        """The newest jobs, newest first."""
        return [entry.job for entry in reversed(self._entries.values())][:limit]

    async def cancel(self, job: str, by: str) -> Job:
        """Cancel a job that waits, or interrupt one that runs. Raises NotFound, Conflict, Unavailable."""
        entry = self._entry(job)
        self._read(entry)
        if entry.job.is_final:
            raise Conflict(f"the job {job} has ended ({entry.job.state})", state=str(entry.job.state))
        if entry.journal.text(ROLLBACK) is not None:
            raise Conflict(f"the job {job} is being rolled back already", state=str(entry.job.state))
        try:
            if entry.waits:
                entry.journal.end(State.CANCELLED, f"cancelled by {by} before it began")
            else:
                entry.journal.cancel(by)
        except OSError as error:
            raise Unavailable(f"the cancel cannot be stored: {error.strerror}. Free the disk") from None
        self._read(entry)
        return entry.job

    async def events(self, job: str, after: int = 0) -> AsyncIterator[Event]:
        """The events with a number above `after`, past and to come. Raises NotFound."""
        entry = self._entry(job)
        read = 0
        while True:
            changed = self._changed
            seen = entry.job
            for event in seen.events[read:]:
                if event.number > after:
                    yield event
            read = len(seen.events)
            if seen.is_final:
                return
            await changed.wait()

    def _entry(self, job: str) -> Entry:
        if job not in self._entries:
            known = [one.id for one in self.recent(5)]
            raise NotFound(f"there is no job {job[:60]!r}", known=known)
        return self._entries[job]

    def _pending(self) -> list[Entry]:
        """Jobs that have not ended and change something."""
        return [e for e in self._entries.values() if not e.job.is_final and not e.job.change.preview]

    def _base(self) -> tuple[dict[str, object], Entry | None]:
        """The config after the jobs that have not ended, and the last of them."""
        config, pending = self.means.file.config(), self._pending()
        for entry in pending:
            after = entry.journal.text(AFTER)
            if after is not None:
                config = config_of(after, self.means.file.path.name)
                continue
            with contextlib.suppress(ManagerError):  # it will fail, and changes nothing
                config = apply(config, entry.job.change, self.means.stack)
        return config, pending[-1] if pending else None

    def _changed_meanwhile(self, change: Change, found: str, last: Entry | None) -> Conflict:
        ended = [e for e in self._entries.values() if _explains(e, change.version, found)]
        entry = last or (ended[-1] if ended else None)
        how = f"by the job {entry.job.id} of {entry.job.by}" if entry else "by hand"
        if entry is not None and entry.job.state in (State.FAILED, State.CANCELLED):
            how += ", which was rolled back,"
        extra = {"job": entry.job.id, "by": entry.job.by} if entry else {}
        return Conflict(
            f"the config was changed {how}: it has version {found}, and this change was made for "
            f"{change.version}. Look at the fleet and ask again",
            version=found,
            **extra,
        )

    def _check_lock(self) -> None:
        try:
            self.means.check_lock()
        except StackLocked as locked:
            holder = {"pid": locked.pid, "since": locked.since} if locked.pid else {}
            raise Conflict(locked.message, **holder) from None

    def _new_id(self) -> str:
        """An id that sorts after all others, with the time of its start in UTC."""
        last = _milliseconds(max(self._entries, default=""))
        at = max(int(self.means.clock() * 1000), last + 1)  # the clock may have been set back
        while (self.folder / _id(at)).exists():
            at += 1
        return _id(at)

    async def _serve(self) -> None:
        while True:
            changed = self._changed
            entry = next((one for one in self._entries.values() if not one.job.is_final), None)
            if entry is None:
                await changed.wait()
                continue
            await self._work(entry)
            self._prune()

    async def _work(self, entry: Entry) -> None:
        """Have a child carry out a job, and read its journal until the end."""
        while not entry.job.is_final:
            if not self._is_alive(entry):
                self._read(entry)  # it may have ended since it was read
                if not entry.job.is_final:
                    self._start(entry)
            await asyncio.sleep(self.means.poll_s)
            self._read(entry)

    def _is_alive(self, entry: Entry) -> bool:
        if entry.process is not None and entry.process.poll() is None:
            return True
        child = entry.journal.child()
        return child is not None and self.means.is_alive(child)

    def _start(self, entry: Entry) -> None:
        child = entry.journal.child()
        attempts = max(entry.starts, child.attempt if child else 0)
        if attempts >= ATTEMPTS:
            return self._give_up(entry, f"its process ended {attempts} times without a result")
        entry.starts += 1
        try:
            entry.process = self.means.spawn(entry.journal.folder)
        except OSError as error:
            return self._give_up(entry, f"its process cannot be started: {error.strerror}")
        return None

    def _give_up(self, entry: Entry, reason: str) -> None:
        begun = entry.journal.text(AFTER) is not None and not entry.job.change.preview
        left = (
            f"{self.means.file.path.name} may have its change, and part of it may be deployed: `make up` "
            "deploys what the file says"
            if begun
            else "Nothing was changed"
        )
        text = f"{reason} ({entry.journal.folder / 'child.log'} says more). {left}"
        try:
            entry.journal.end(State.FAILED, text)
        except OSError as error:
            entry.job = replace(
                entry.job,
                state=State.FAILED,
                ended=self.means.clock(),
                result=f"{text}. This could not be stored: {error.strerror}",
            )
        self._read(entry)
        self._wake()

    def _read(self, entry: Entry) -> None:
        """Take over what the journal has."""
        if entry.job.is_final:
            return
        result = entry.journal.result()  # before the events: those before the result are there then
        events, entry.offset = entry.journal.events(entry.offset)
        job = replace(entry.job, events=(*entry.job.events, *events)) if events else entry.job
        child = entry.journal.child()
        if child is not None and job.state is State.QUEUED:
            job = replace(job, state=State.RUNNING, started=child.started)
        if result is not None:
            job = replace(job, state=result.state, ended=result.ended, result=result.text, plan=result.plan)
        if job is not entry.job:
            entry.job = job
            self._wake()

    def _prune(self) -> None:
        """Remove the oldest jobs beyond HISTORY."""
        ended = [name for name, entry in self._entries.items() if entry.job.state in FINAL]
        for name in ended[: max(0, len(ended) - HISTORY)]:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            del self._entries[name]

    def _wake(self) -> None:
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()


def _explains(entry: Entry, seen: str, found: str) -> bool:
    """Whether a job that has ended led to the version `found`, or away from `seen` by its rollback."""
    if entry.job.state is State.DONE:
        return entry.outcome == found
    return entry.job.is_final and entry.outcome == seen


def _id(at: int) -> str:
    """The id of a job that was asked for at this time, in Unix milliseconds."""
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y%m%dT%H%M%S-") + f"{at % 1000:03d}"


def _milliseconds(job: str) -> int:
    """The time in an id; 0 for what is none."""
    try:
        at = datetime.strptime(job, "%Y%m%dT%H%M%S-%f").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return int(at.timestamp()) * 1000 + at.microsecond // 1000
