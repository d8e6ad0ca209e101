"""Create, update, read and delete as a cloud does them, atomically.

One change at a time (one lock). A change is final when the resource store, the objects' files and the running
functions agree. If the functions cannot follow, the change is undone, the operation fails, and what ran
before
keeps running. No gRPC here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from emulator.desired.derive import derive
from emulator.desired.model import DesiredState
from emulator.errors import ApplyError, CloudError, EmulatorError, NotYetReady, StoreError
from emulator.providers import leftovers
from emulator.providers.diff import changes
from emulator.providers.outages import Outages
from emulator.providers.resource_types import Context, Machine, ResourceType, effective_at
from emulator.providers.schema import package_of
from emulator.providers.storage.resource_store import Resource, ResourceStore
from emulator.providers.values import Json, Properties, program_inputs

logger = logging.getLogger(__name__)

NO_CONFIG: Mapping[str, Json] = {}
# How often an emulated provider repeats a refused call, in emulator seconds.
REPEAT_S = 0.05

Later = Callable[[float, Callable[[], None]], None]
Made = TypeVar("Made")


def never(seconds: float, step: Callable[[], None]) -> None:
    """A scheduler that never calls: `catch_up` is called explicitly."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The resource of an operation: type, name in the program, URN, provider configuration.

    engine: identifies one run of the engine.
    """

    type: ResourceType
    name: str
    urn: str
    config: Mapping[str, Json] = field(default_factory=lambda: NO_CONFIG)
    engine: str = ""


class Operations:
    """The only writer of the resource store. apply: starts and stops functions accordingly, or raises
    ApplyError.

    later(seconds, step): calls `step` after some seconds; grants that take time to take effect need it.
    """

    def __init__(
        self,
        table: ResourceStore,
        machine: Machine,
        apply: Callable[[DesiredState], None],
        later: Later = never,
    ) -> None:
        self._table = table
        self._machine = machine
        self._apply = apply
        self._later = later
        self._wakes_at: float | None = None
        self.outages = Outages()
        self._lock = threading.Lock()
        # Key of a resource adopted by a create -> the run of the engine that did it.
        self._adopted: dict[str, str] = {}
        self._desired = self.desired()

    @property
    def resources(self) -> Mapping[str, Resource]:
        return self._table.resources

    def desired(self) -> DesiredState:
        """What should run, by the resource store."""
        return derive(self._table.resources, self._machine.folder, self._machine.clock())

    def catch_up(self) -> None:
        """Apply grants that have taken effect since the last change."""
        with self._lock:
            self._wakes_at = None
            try:
                self._follow()
            except ApplyError as error:
                logger.warning("%s cannot run with what has taken effect: %s", error.key, error.reason)
            self._wake_when_due()

    def remaining(self) -> list[dict[str, Json]]:
        """What the clouds keep of deleted resources."""
        return list(leftovers.listed(self.resources, self._machine.clock()))

    def _wake_when_due(self) -> None:
        """Schedules one call of `catch_up` for the next moment at which a grant takes effect."""
        now = self._machine.clock()
        due = min(
            (at for resource in self.resources.values() if (at := effective_at(resource)) > now), default=None
        )
        if due is not None and (self._wakes_at is None or due < self._wakes_at):
            self._wakes_at = due
            self._later(due - now, self.catch_up)

    def context(self, subject: Subject, old: Resource | None = None) -> Context:
        private = dict(old.private) if old else {}
        return Context(self._machine, self._table.resources, subject.config, subject.name, old, private)

    def view(self, config: Mapping[str, Json]) -> Context:
        """The resources as a provider's function sees them."""
        return Context(self._machine, self._table.resources, config, "")

    def create(self, subject: Subject, inputs: Properties) -> Resource:
        """The new resource, or an identical one that a killed engine left behind."""
        return self._persist(subject, lambda: self._create(subject, inputs))

    def _persist(self, subject: Subject, call: Callable[[], Made]) -> Made:
        """Repeats a call that the cloud refuses for now, as long as the vendor's provider would."""
        start = self._machine.clock()
        while True:
            try:
                self.outages.refuse(package_of(subject.type.token), self._machine.clock())
                return call()
            except NotYetReady as error:
                if self._machine.clock() - start >= self._machine.scaled(error.retried_s):
                    raise
                self._machine.sleep(REPEAT_S)

    def _create(self, subject: Subject, inputs: Properties) -> Resource:
        with self._lock:
            context = self.context(subject)
            left = self._left_behind(subject, inputs)
            if left is not None:
                self._adopted[left.key] = subject.engine
                return left
            key = subject.type.key(program_inputs(inputs), context)
            taken = context.resources.get(key)
            if taken is not None:
                raise CloudError(subject.type.exists, _taken(subject, taken))
            held = leftovers.held(context.resources, key, self._machine.clock())
            if held is not None:
                raise held
            context.gone.append(leftovers.held_key(key))
            if subject.type.effective_after_s:
                delay = self._machine.scaled(subject.type.effective_after_s)
                context.private["effective_at"] = self._machine.clock() + delay
            return self._settle(subject, inputs, context)

    def _left_behind(self, subject: Subject, inputs: Properties) -> Resource | None:
        for resource in self.resources.values():
            same = resource.token == subject.type.token and resource.urn == subject.urn
            if same and not changes(resource.inputs, inputs, frozenset()):
                return resource
        return None

    def update(self, subject: Subject, id: str, inputs: Properties) -> Resource:
        """The changed resource. A change of a grant takes effect at once; only a creation is delayed."""
        return self._persist(subject, lambda: self._update(subject, id, inputs))

    def _update(self, subject: Subject, id: str, inputs: Properties) -> Resource:
        with self._lock:
            old = self.find(subject, id)
            if old is None:
                raise CloudError(
                    "NotFound", f"{subject.type.token} {id} no longer exists; run `pulumi refresh` first"
                )
            return self._settle(subject, inputs, self.context(subject, old))

    def read(self, subject: Subject, id: str) -> Resource | None:
        """The resource as it is now; None when it is absent."""
        resource = self._persist(subject, lambda: self.find(subject, id))
        return resource if resource is not None and self.alive(resource, subject.type) else None

    def delete(self, subject: Subject, id: str) -> None:
        """Deletes the resource; an absent one is not an error."""
        self._persist(subject, lambda: self._delete(subject, id))

    def _delete(self, subject: Subject, id: str) -> None:
        with self._lock:
            resource = self.find(subject, id)
            if resource is None or self._adopted.pop(resource.key, None) == subject.engine:
                # An engine that adopts a resource and deletes it in the same run replaces it by itself.
                return
            context = self.context(subject, resource)
            with self._all_or_nothing(context):
                subject.type.on_delete(resource, context)
                put = [*context.extra, *self._hold(subject.type, resource)]
                parts = list(subject.type.parts(resource, context))
                self._table.change(put=put, remove=[resource.key, *context.gone, *parts])
                self._follow()

    def _hold(self, type: ResourceType, resource: Resource) -> list[Resource]:
        """The reservation of a deleted resource's name, where the cloud keeps one."""
        hold = type.hold(resource)
        if hold is None:
            return []
        until = self._machine.clock() + self._machine.scaled(hold.seconds)
        what, code, retried_s = hold.message, hold.code, hold.retried_s
        return [
            leftovers.resource(
                leftovers.HELD, resource.key, what, until=until, code=code, retried_s=retried_s
            )
        ]

    def find(self, subject: Subject, id: str) -> Resource | None:
        """The resource with this id, which is unique in its type, except that regions may repeat it."""
        same = [r for r in self.resources.values() if r.token == subject.type.token and r.id == id]
        mine = [resource for resource in same if resource.urn == subject.urn]
        if mine or len(same) < 2:
            return (mine or same or [None])[0]
        region = subject.config.get("region")
        return next((resource for resource in same if resource.outputs.get("region") == region), same[0])

    def alive(self, resource: Resource, type: ResourceType) -> bool:
        return type.alive(resource, self._machine)

    def _settle(self, subject: Subject, inputs: Properties, context: Context) -> Resource:
        """Stores the resource with these inputs in place of the context's old one."""
        type, plain = subject.type, program_inputs(inputs)
        with self._all_or_nothing(context):
            type.refers(plain, context)
            type.effects(plain, context)
            outputs = {**plain, **type.outputs(plain, context)}
            key = type.key(plain, context)
            resource = Resource(key, type.token, outputs["id"], subject.urn, inputs, outputs, context.private)
            gone = [context.old.key] if context.old and context.old.key != key else []
            self._table.change(put=[resource, *context.extra], remove=[*gone, *context.gone])
            self._follow()
        self._wake_when_due()
        return resource

    @contextmanager
    def _all_or_nothing(self, context: Context) -> Generator[None]:
        """Undoes files, store and running functions if the body raises, whatever it raises."""
        try:
            yield
        except BaseException as error:
            self._undo(context, was_applied=not isinstance(error, (CloudError, StoreError)))
            if isinstance(error, ApplyError):
                # Reported as a cloud reports a failed deployment.
                raise CloudError("DeploymentFailed", f"{error.key}: {error.reason}") from error
            raise
        for step in context.undo.commit:
            step()
        self._sweep()

    def _follow(self) -> None:
        """Applies the desired state if this change altered it."""
        desired = self.desired()
        if desired == self._desired:
            return
        touched = _touched(self._desired, desired)
        try:
            self._apply(desired)
        except ApplyError as error:
            if error.key in touched:
                raise
            # The function could not run before this change either, so destroying or repairing must go on.
            logger.warning("%s still cannot run: %s", error.key, error.reason)
        self._desired = desired

    def _undo(self, context: Context, was_applied: bool) -> None:
        try:
            for step in reversed(context.undo.rollback):
                step()
            if self._table.resources != context.resources:
                self._table.replace(context.resources)
            if was_applied:
                self._apply(self._desired)
        except (EmulatorError, OSError) as error:
            # The first error is reported; this one says what the undo left.
            logger.warning("taking a change back: %s", error)

    def _sweep(self) -> None:
        """Removes packages that no function runs."""
        running = {str(resource.private.get("package")) for resource in self.resources.values()}
        for package in self._machine.code.glob("*.zip"):
            if package.stem not in running:
                package.unlink(missing_ok=True)


def _touched(old: DesiredState, new: DesiredState) -> set[str]:
    """Keys of the functions and schedules that differ between two desired states."""
    before = {item.key: item for item in (*old.functions, *old.schedules)}
    after = {item.key: item for item in (*new.functions, *new.schedules)}
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _taken(subject: Subject, taken: Resource) -> str:
    said = f"{subject.type.token} {taken.id} already exists"
    if taken.urn != subject.urn:
        return f"{said}, made as {taken.urn}; choose another name or import it"
    return (
        f"{said}, left by a deployment that was interrupted, with other properties than are asked for now; "
        f"take it into the stack with: pulumi import '{subject.type.token}' '{subject.name}' '{taken.id}'"
    )
