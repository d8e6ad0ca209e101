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

from infra.local.derive import derive
from infra.local.errors import ApplyError, CloudError, SkyError, StoreError
from infra.local.providers.diff import changes
from infra.local.providers.kinds import Context, Kind, Machine
from infra.local.providers.table import Row, Table
from infra.local.providers.values import Json, Properties, program_inputs
from infra.local.world import World

logger = logging.getLogger(__name__)

NO_CONFIG: Mapping[str, Json] = {}


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
    """The only writer of the table. `apply` makes reality equal to a world, or raises ApplyError."""

    def __init__(self, table: Table, machine: Machine, apply: Callable[[World], None]) -> None:
        self._table = table
        self._machine = machine
        self._apply = apply
        self._lock = threading.Lock()
        # Row adopted by a create -> the run of the engine that did it.
        self._adopted: dict[str, str] = {}
        self._world = self.world()

    @property
    def rows(self) -> Mapping[str, Row]:
        return self._table.rows

    def world(self) -> World:
        """What should run, by the table."""
        return derive(self._table.rows, self._machine.folder)

    def context(self, subject: Subject, old: Row | None = None) -> Context:
        private = dict(old.private) if old else {}
        return Context(self._machine, self._table.rows, subject.config, subject.name, old, private)

    def view(self, config: Mapping[str, Json]) -> Context:
        """The table as a function of a provider sees it."""
        return Context(self._machine, self._table.rows, config, "")

    def create(self, subject: Subject, inputs: Properties) -> Row:
        """The new row; or the one a killed engine left behind, if it is exactly what is asked for now."""
        with self._lock:
            context = self.context(subject)
            left = self._left_behind(subject, inputs)
            if left is not None:
                self._adopted[left.key] = subject.engine
                return left
            taken = context.rows.get(subject.kind.key(program_inputs(inputs), context))
            if taken is not None:
                raise CloudError(subject.kind.exists, _taken(subject, taken))
            return self._settle(subject, inputs, context)

    def _left_behind(self, subject: Subject, inputs: Properties) -> Row | None:
        for row in self.rows.values():
            same = row.token == subject.kind.token and row.urn == subject.urn
            if same and not changes(row.inputs, inputs, frozenset()):
                return row
        return None

    def update(self, subject: Subject, row_id: str, inputs: Properties) -> Row:
        with self._lock:
            old = self.find(subject, row_id)
            if old is None:
                raise CloudError(
                    "NotFound", f"{subject.kind.token} {row_id} no longer exists; run `pulumi refresh` first"
                )
            return self._settle(subject, inputs, self.context(subject, old))

    def delete(self, subject: Subject, row_id: str) -> None:
        """Deleting what is gone already is fine."""
        with self._lock:
            row = self.find(subject, row_id)
            if row is None or self._adopted.pop(row.key, None) == subject.engine:
                # An engine that adopts a resource and deletes it in the same run is replacing it by itself.
                return
            context = self.context(subject, row)
            with self._all_or_nothing(context):
                subject.kind.on_delete(row, context)
                self._table.change(put=context.extra, remove=[row.key])
                self._follow()

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
            self._table.change(put=[row, *context.extra], remove=gone)
            self._follow()
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
        except (SkyError, OSError) as error:
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
