"""The folder of a job: what was asked, what happened, how it ended. It outlives the manager and the child.

    request.json   the change, the operator, the version it leads to; written by the manager
    events.jsonl   one event a line, each flushed to the disk
    child.json     the process that does the work, with the time of its start: pids are used again
    cancel.json    the operator who cancelled
    drained.json   whether the target was draining before the job
    before.yaml    the text of the stack's file before the job, and ...
    after.yaml     ... as the job writes it
    rollback.json  why `before.yaml` is put back
    result.json    the end; a job without it has not ended

Rules
- A file that is read back is replaced by a rename, so it is whole or not there. A line of events that was cut
  off by a kill is dropped when the next process opens the journal.
- There is one writer at a time: the manager while there is no child, then the child.
- An event that cannot be written, as on a full disk, is lost, and the work goes on. A result is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from infra.manager.jobs.model import Change, Event, Job, State
from infra.operations import json_access

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")
Kind = Literal["step", "resource", "message"]
EVENTS, RESULT, CHILD, CANCEL = "events.jsonl", "result.json", "child.json", "cancel.json"
REQUEST, BEFORE, AFTER, ROLLBACK = "request.json", "before.yaml", "after.yaml", "rollback.json"
DRAINED = "drained.json"
# A result is written once more while the disk may be freed.
RESULT_TRIES, RESULT_PAUSE_S = 5, 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. outcome: the version of the config that the change leads to; empty for a preview."""

    id: str
    change: Change
    by: str
    created: float
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Child:
    """The process that does the work. ticks: its start, by the kernel's clock. attempt: from 1."""

    pid: int
    ticks: int
    attempt: int
    started: float


@dataclass(frozen=True, slots=True)
class Result:
    """How a job ended. text: one sentence. plan: of a preview."""

    state: State
    text: str
    ended: float
    plan: tuple[str, ...] = ()


def write_whole(path: Path, text: str) -> None:
    """Replace a file; readable by the user alone. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


@dataclass(slots=True)
class Journal:
    """One job's folder. clock: Unix seconds."""

    folder: Path
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    _count: int | None = field(default=None, init=False)
    percent: int | None = field(default=None, init=False)

    @classmethod
    def create(cls, folder: Path, request: Request) -> Journal:
        """A new job. Raises OSError, with nothing left."""
        folder.mkdir(mode=0o700, parents=True)
        try:
            write_whole(folder / REQUEST, _adapter(Request).dump_json(request).decode())
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return cls(folder)

    def request(self) -> Request | None:
        """What was asked; None if it is damaged."""
        return self._load(REQUEST, Request)

    def child(self) -> Child | None:
        """The process that works or has worked on it."""
        return self._load(CHILD, Child)

    def result(self) -> Result | None:
        """The end, None before it. A result that cannot be read is one too: its job has ended."""
        found, path = self._load(RESULT, Result), self.folder / RESULT
        try:
            return found or Result(
                State.FAILED, f"the job has ended, but {path} cannot be read", path.stat().st_mtime
            )
        except OSError:
            return None

    def job(self) -> Job | None:
        """The job as it is on the disk; None if the folder is damaged."""
        request, child, result = self.request(), self.child(), self.result()
        if request is None:
            return None
        job = Job(request.id, request.change, request.by, request.created, events=tuple(self.events()[0]))
        if child is not None:
            job = replace(job, state=State.RUNNING, started=child.started)
        if result is not None:
            job = replace(job, state=result.state, ended=result.ended, result=result.text, plan=result.plan)
        return job

    def events(self, offset: int = 0) -> tuple[list[Event], int]:
        """The whole events from a byte on, and the byte after the last of them."""
        try:
            with (self.folder / EVENTS).open("rb") as file:
                file.seek(offset)
                content = file.read()
        except OSError:
            return [], offset
        whole = content[: content.rfind(b"\n") + 1]
        found: list[Event] = []
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                found.append(_adapter(Event).validate_json(line))
        return found, offset + len(whole)

    def say(self, text: str, kind: Kind = "message", percent: int | None = None) -> None:
        """Append an event. percent: None leaves it as it is; it never goes back."""
        if self._count is None:
            self._open()
        if percent is not None:
            self.percent = max(percent, self.percent or 0)
        number = (self._count or 0) + 1
        event = Event(number, self.clock(), kind, text, self.percent)
        try:
            with (self.folder / EVENTS).open("ab") as file:
                file.write(_adapter(Event).dump_json(event) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self._count = None  # part of the line may be there
            return
        self._count = number

    def _open(self) -> None:
        """Take over the number of the last event, and remove the rest of a line that was cut off."""
        found, end = self.events()
        self._count = found[-1].number if found else 0
        self.percent = next((one.percent for one in reversed(found) if one.percent is not None), None)
        path = self.folder / EVENTS
        with contextlib.suppress(OSError):
            if path.stat().st_size > end:
                os.truncate(path, end)

    def write_child(self, child: Child) -> None:
        """Note the process that begins to work. Raises OSError."""
        write_whole(self.folder / CHILD, _adapter(Child).dump_json(child).decode())

    def write(self, name: str, text: str) -> None:
        """Write one of the files above. Raises OSError."""
        write_whole(self.folder / name, text)

    def text(self, name: str) -> str | None:
        """The text of one of the files above, None without it."""
        try:
            with (self.folder / name).open(newline="") as file:
                return file.read()
        except (OSError, UnicodeDecodeError):
            return None

    def cancel(self, by: str) -> None:
        """Note that an operator cancels. Raises OSError."""
        self.write(CANCEL, json.dumps({"by": by, "at": self.clock()}))

    def cancelled_by(self) -> str:
        """The operator who cancelled; empty if the job is not cancelled."""
        found = json_access.as_object(json_access.parse(self.text(CANCEL) or ""))
        return json_access.string(found.get("by"))

    def end(self, state: State, text: str, plan: tuple[str, ...] = ()) -> None:
        """Write the result. Raises OSError when the disk stays full."""
        content = _adapter(Result).dump_json(Result(state, text, self.clock(), plan)).decode()
        for attempt in range(RESULT_TRIES):
            try:
                return self.write(RESULT, content)
            except FileNotFoundError:
                raise
            except OSError:
                if attempt == RESULT_TRIES - 1:
                    raise
            self.sleep(RESULT_PAUSE_S)
        return None

    def _load(self, name: str, kind: type[T]) -> T | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return _adapter(kind).validate_json(text)
        except ValueError:
            return None


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
