"""Create, update, read and delete as a cloud does them, and all or nothing.

The rule of this file: one change at a time (one lock), and a change is final only when the table's file, the
objects' files and the running world all agree. If the world cannot follow, everything is put back and the
operation fails; what ran before keeps running. No gRPC here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from emulator.desired.derive import derive
from emulator.desired.state import World
from emulator.errors import ApplyError, CloudError, EmulatorError, NotYet, StoreError
from emulator.providers import remains
from emulator.providers.diff import changes
from emulator.providers.kinds import Context, Kind, Machine, effective_at
from emulator.providers.schema import package_of
from emulator.providers.table import Row, Table
from emulator.providers.values import Json, Properties, program_inputs
from emulator.providers.weather import Weather

logger = logging.getLogger(__name__)

NO_CONFIG: Mapping[str, Json] = {}
# How often an emulated provider repeats a call that the cloud refuses for now, in emulator seconds.
REPEAT_S = 0.05

Later = Callable[[float, Callable[[], None]], None]
Made = TypeVar("Made")


def never(seconds: float, step: Callable[[], None]) -> None:
    """No clock that wakes: `catch_up` is called by hand."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The resource an operation is about: its type, name in the program, URN, provider configuration.

    engine: tells one run of the engine from the next.
    """

    kind: Kind
    name: str
    urn: str
    config: Mapping[str, Json] = field(default_factory=lambda: NO_CONFIG)
    engine: str = ""


class Operations:
    """The only writer of the table. `apply` makes reality equal to a world, or raises ApplyError.

    later(seconds, step): calls `step` after some seconds; a grant that takes time to act needs it.
    """

    def __init__(
        self, table: Table, machine: Machine, apply: Callable[[World], None], later: Later = never
    ) -> None:
        self._table = table
        self._machine = machine
        self._apply = apply
        self._later = later
        self._wakes_at: float | None = None
        self.weather = Weather()
        self._lock = threading.Lock()
        # Row adopted by a create -> the run of the engine that did it.
        self._adopted: dict[str, str] = {}
        self._world = self.world()

    @property
    def rows(self) -> Mapping[str, Row]:
        return self._table.rows

    def world(self) -> World:
        """What should run, by the table."""
        return derive(self._table.rows, self._machine.folder, self._machine.clock())

    def catch_up(self) -> None:
        """Let take effect what has had its time since the last change."""
        with self._lock:
            self._wakes_at = None
            try:
                self._follow()
            except ApplyError as error:
                logger.warning("%s cannot run with what has taken effect: %s", error.key, error.reason)
            self._wake_when_due()

    def remaining(self) -> list[dict[str, Json]]:
        """What the clouds keep of resources that were deleted."""
        return list(remains.listed(self.rows, self._machine.clock()))

    def _wake_when_due(self) -> None:
        """One call of `catch_up` at the next moment at which a grant begins to act."""
        now = self._machine.clock()
        due = min((at for row in self.rows.values() if (at := effective_at(row)) > now), default=None)
        if due is not None and (self._wakes_at is None or due < self._wakes_at):
            self._wakes_at = due
            self._later(due - now, self.catch_up)

    def context(self, subject: Subject, old: Row | None = None) -> Context:
        private = dict(old.private) if old else {}
        return Context(self._machine, self._table.rows, subject.config, subject.name, old, private)

    def view(self, config: Mapping[str, Json]) -> Context:
        """The table as a function of a provider sees it."""
        return Context(self._machine, self._table.rows, config, "")

    def create(self, subject: Subject, inputs: Properties) -> Row:
        """The new row; or the one a killed engine left behind, if it is exactly what is asked for now."""
        return self._persist(subject, lambda: self._create(subject, inputs))

    def _persist(self, subject: Subject, call: Callable[[], Made]) -> Made:
        """Repeats a call that the cloud refuses for now, for as long as the vendor's provider would."""
        start = self._machine.clock()
        while True:
            try:
                self.weather.refuse(package_of(subject.kind.token), self._machine.clock())
                return call()
            except NotYet as error:
                if self._machine.clock() - start >= self._machine.scaled(error.retried_s):
                    raise
                self._machine.sleep(REPEAT_S)

    def _create(self, subject: Subject, inputs: Properties) -> Row:
        with self._lock:
            context = self.context(subject)
            left = self._left_behind(subject, inputs)
            if left is not None:
                self._adopted[left.key] = subject.engine
                return left
            key = subject.kind.key(program_inputs(inputs), context)
            taken = context.rows.get(key)
            if taken is not None:
                raise CloudError(subject.kind.exists, _taken(subject, taken))
            held = remains.held(context.rows, key, self._machine.clock())
            if held is not None:
                raise held
            context.gone.append(remains.held_key(key))
            if subject.kind.effective_after_s:
                delay = self._machine.scaled(subject.kind.effective_after_s)
                context.private["effective_at"] = self._machine.clock() + delay
            return self._settle(subject, inputs, context)

    def _left_behind(self, subject: Subject, inputs: Properties) -> Row | None:
        for row in self.rows.values():
            same = row.token == subject.kind.token and row.urn == subject.urn
            if same and not changes(row.inputs, inputs, frozenset()):
                return row
        return None

    def update(self, subject: Subject, row_id: str, inputs: Properties) -> Row:
        """The changed row. What it grants already acts at once as it is now: only creations take time."""
        return self._persist(subject, lambda: self._update(subject, row_id, inputs))

    def _update(self, subject: Subject, row_id: str, inputs: Properties) -> Row:
        with self._lock:
            old = self.find(subject, row_id)
            if old is None:
                raise CloudError(
                    "NotFound", f"{subject.kind.token} {row_id} no longer exists; run `pulumi refresh` first"
                )
            return self._settle(subject, inputs, self.context(subject, old))

    def read(self, subject: Subject, row_id: str) -> Row | None:
        """The resource as it is now; None when it is gone."""
        row = self._persist(subject, lambda: self.find(subject, row_id))
        return row if row is not None and self.alive(row, subject.kind) else None

    def delete(self, subject: Subject, row_id: str) -> None:
        """Deleting what is gone already is fine."""
        self._persist(subject, lambda: self._delete(subject, row_id))

    def _delete(self, subject: Subject, row_id: str) -> None:
        with self._lock:
            row = self.find(subject, row_id)
            if row is None or self._adopted.pop(row.key, None) == subject.engine:
                # An engine that adopts a resource and deletes it in the same run is replacing it by itself.
                return
            context = self.context(subject, row)
            with self._all_or_nothing(context):
                subject.kind.on_delete(row, context)
                put = [*context.extra, *self._hold(subject.kind, row)]
                parts = list(subject.kind.parts(row, context))
                self._table.change(put=put, remove=[row.key, *context.gone, *parts])
                self._follow()

    def _hold(self, kind: Kind, row: Row) -> list[Row]:
        """The name of a deleted resource, where the cloud keeps it for some time."""
        hold = kind.hold(row)
        if hold is None:
            return []
        until = self._machine.clock() + self._machine.scaled(hold.seconds)
        what, code, retried_s = hold.message, hold.code, hold.retried_s
        return [remains.row(remains.HELD, row.key, what, until=until, code=code, retried_s=retried_s)]

    def find(self, subject: Subject, row_id: str) -> Row | None:
        """The row the engine means by `row_id`: unique in its type, except that regions may repeat it."""
        same = [r for r in self.rows.values() if r.token == subject.kind.token and r.id == row_id]
        mine = [row for row in same if row.urn == subject.urn]
        if mine or len(same) < 2:
            return (mine or same or [None])[0]
        region = subject.config.get("region")
        return next((row for row in same if row.outputs.get("region") == region), same[0])

    def alive(self, row: Row, kind: Kind) -> bool:
        return kind.alive(row, self._machine)

    def _settle(self, subject: Subject, inputs: Properties, context: Context) -> Row:
        """Puts the row with these inputs in place of the context's old one."""
        kind, plain = subject.kind, program_inputs(inputs)
        with self._all_or_nothing(context):
            kind.refers(plain, context)
            kind.effects(plain, context)
            outputs = {**plain, **kind.outputs(plain, context)}
            key = kind.key(plain, context)
            row = Row(key, kind.token, outputs["id"], subject.urn, inputs, outputs, context.private)
            gone = [context.old.key] if context.old and context.old.key != key else []
            self._table.change(put=[row, *context.extra], remove=[*gone, *context.gone])
            self._follow()
        self._wake_when_due()
        return row

    @contextmanager
    def _all_or_nothing(self, context: Context) -> Generator[None]:
        """Whatever stops the body, even a bug: files, table and world are as before."""
        try:
            yield
        except BaseException as error:
            self._undo(context, was_applied=not isinstance(error, (CloudError, StoreError)))
            if isinstance(error, ApplyError):
                # Told as a cloud tells of a deployment that failed.
                raise CloudError("DeploymentFailed", f"{error.key}: {error.reason}") from error
            raise
        for step in context.journal.done:
            step()
        self._sweep()

    def _follow(self) -> None:
        """Makes reality follow the table, where the change altered anything that runs."""
        world = self.world()
        if world == self._world:
            return
        touched = _touched(self._world, world)
        try:
            self._apply(world)
        except ApplyError as error:
            if error.key in touched:
                raise
            # It could not run before this change either: whoever destroys or repairs must not be stopped.
            logger.warning("%s still cannot run: %s", error.key, error.reason)
        self._world = world

    def _undo(self, context: Context, was_applied: bool) -> None:
        try:
            for step in reversed(context.journal.undo):
                step()
            if self._table.rows != context.rows:
                self._table.replace(context.rows)
            if was_applied:
                self._apply(self._world)
        except (EmulatorError, OSError) as error:
            # The first error is the one to tell; this one says what the undo left.
            logger.warning("taking a change back: %s", error)

    def _sweep(self) -> None:
        """Removes packages that nothing runs any more."""
        running = {str(row.private.get("package")) for row in self.rows.values()}
        for package in self._machine.code.glob("*.zip"):
            if package.stem not in running:
                package.unlink(missing_ok=True)


def _touched(old: World, new: World) -> set[str]:
    """Keys of the functions and schedules that differ between two worlds."""
    before = {item.key: item for item in (*old.functions, *old.schedules)}
    after = {item.key: item for item in (*new.functions, *new.schedules)}
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _taken(subject: Subject, taken: Row) -> str:
    said = f"{subject.kind.token} {taken.id} already exists"
    if taken.urn != subject.urn:
        return f"{said}, made as {taken.urn}; choose another name or import it"
    return (
        f"{said}, left by a deployment that was interrupted, with other properties than are asked for now; "
        f"take it into the stack with: pulumi import '{subject.kind.token}' '{subject.name}' '{taken.id}'"
    )
