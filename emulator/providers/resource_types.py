"""The definition of a resource type, and the context of an operation on it.

A `ResourceType` is a record; the per-cloud modules fill it in and contain no engine logic. `inputs` have
passed
the SDK's schema when a type's functions get them. In `rules` parts of them may be unknown; in `refers` and
`outputs` (a real create or update) none is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from emulator.errors import CloudError
from emulator.providers import leftovers
from emulator.providers.naming import Naming
from emulator.providers.schema import Failure
from emulator.providers.storage.assets import Undo
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, Properties, at, text


def instantly(real_s: float) -> float:
    """A cloud without delays."""
    return 0.0


@dataclass(frozen=True, slots=True)
class NameHold:
    """The reservation of a name after its resource is deleted.

    seconds: real seconds until it is free again; code, message: the cloud's refusal until then. retried_s:
    real seconds for which the vendor's provider repeats a refused creation.
    """

    seconds: float
    code: str
    message: str
    retried_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What the emulator takes from its environment; tests replace it.

    folder: the emulator's state. program_folder: base of asset paths. entropy(n): n random bytes.
    scaled(s): emulator seconds that stand for `s` seconds of a real cloud. sleep(s): waits emulator seconds.
    """

    folder: Path
    program_folder: Path
    allocate_port: Callable[[], int]
    now: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    scaled: Callable[[float], float] = instantly
    sleep: Callable[[float], None] = time.sleep

    def clock(self) -> float:
        """Unix seconds."""
        return self.now().timestamp()

    @property
    def buckets(self) -> Path:
        return self.folder / "buckets"

    @property
    def code(self) -> Path:
        """Packages of functions, by sha256; they stay when the objects in buckets change."""
        return self.folder / "code"


@dataclass(frozen=True, slots=True)
class Context:
    """One operation on one resource: the current resources, the earlier state, the provider's configuration.

    private: what the emulator stores with the resource. extra: other resources that the operation changes.
    gone: keys of resources that it removes. undo: steps to run if the operation fails, and if it succeeds.
    """

    machine: Machine
    resources: Mapping[str, Resource]
    config: Mapping[str, Json]
    name: str
    old: Resource | None = None
    private: Properties = field(default_factory=dict[str, Json])
    extra: list[Resource] = field(default_factory=list[Resource])
    gone: list[str] = field(default_factory=list[str])
    undo: Undo = field(default_factory=Undo)

    def find(self, token: str, prop: str, *values: str) -> Resource | None:
        """The resource of type `token` whose output `prop` is one of `values`."""
        return next((r for r in self.all(token) if text(r.outputs, prop) in values), None)

    def all(self, token: str) -> Iterator[Resource]:
        return (resource for resource in self.resources.values() if resource.token == token)

    def need(self, token: str, prop: str, value: str, refusal: CloudError) -> Resource:
        """As `find`, but raises `refusal` when there is none."""
        found = self.find(token, prop, value)
        if found is None:
            raise refusal
        return found

    def effective(self, resource: Resource) -> bool:
        """Whether the resource's grant is in effect (see `ResourceType.effective_after_s`)."""
        return effective_at(resource) <= self.machine.clock()

    def leave(self, key: str, what: str, *, costs: str = "", seconds: float | None = None) -> None:
        """Record something that the cloud keeps when the stack is destroyed.

        key: `CLOUD/...`, unique. what: a description. costs: its costs, empty when it is free.
        seconds: real seconds until the cloud removes it; None: it stays until it is removed by hand.
        """
        until = None if seconds is None else self.machine.clock() + self.machine.scaled(seconds)
        self.extra.append(leftovers.resource(leftovers.LEFT, key, what, costs=costs, until=until))

    def keep(self, prop: str, make: Callable[[], Json]) -> Json:
        """An output that never changes: the old value, or else a new one."""
        earlier = at(self.old.outputs, prop) if self.old else None
        return make() if earlier is None else earlier

    def port(self) -> int:
        """The loopback port of this resource's URL, fixed for the life of the resource."""
        if "port" not in self.private:
            self.private["port"] = self.machine.allocate_port()
        return int(self.private["port"])

    def hex(self, digits: int) -> str:
        return self.machine.entropy((digits + 1) // 2).hex()[:digits]

    def uuid(self) -> str:
        h = self.hex(32)
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"

    def digits(self, count: int) -> str:
        return "1" + str(int(self.hex(count * 2), 16))[-(count - 1) :].zfill(count - 1)

    def timestamp(self) -> str:
        return self.machine.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def no_rules(inputs: Properties) -> Iterable[Failure]:
    return ()


def no_step(inputs: Properties, context: Context) -> None:
    """No check and no effect."""


def no_guard(resource: Resource, context: Context) -> None:
    """No check at the deletion."""


def nothing(resource: Resource, context: Context) -> Iterable[str]:
    """No dependent resources."""
    return ()


def always(resource: Resource, machine: Machine) -> bool:
    return True


def no_hold(resource: Resource) -> NameHold | None:
    """The name is free at once."""


def effective_at(resource: Resource) -> float:
    """Unix seconds from which the resource's grant is in effect."""
    return float(resource.private.get("effective_at", 0))


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource type.

    key: identity in the cloud, unique among live resources. outputs: computed outputs, `id` among them.
    naming: which input is the physical name. force_new: inputs that cannot change in place.
    filled: inputs that the provider takes from its configuration. rules: the cloud's limits on values.
    refers: checks that referenced resources exist. effects: side effects of a creation or an update.
    on_delete: checks and effects of a deletion. parts: keys of resources that are deleted with it; the engine
    notices at its next refresh. alive: whether it still exists (refresh).
    volatile: outputs that every update changes, or that hold more than the input of that name.
    exists: the cloud's error code for a taken name.
    effective_after_s: real seconds from creation until its grant is in effect. hold: reservation of its name.
    stateless: exists in Pulumi's state only, as random's resources do. numbered: the cloud assigns a number
    or id,
    so a replacement exists beside what it replaces until that is deleted.
    """

    token: str
    key: Callable[[Properties, Context], str]
    outputs: Callable[[Properties, Context], Properties]
    volatile: tuple[str, ...] = ()
    naming: Naming | None = None
    force_new: frozenset[str] = frozenset()
    filled: tuple[str, ...] = ()
    rules: Callable[[Properties], Iterable[Failure]] = no_rules
    refers: Callable[[Properties, Context], None] = no_step
    effects: Callable[[Properties, Context], None] = no_step
    on_delete: Callable[[Resource, Context], None] = no_guard
    parts: Callable[[Resource, Context], Iterable[str]] = nothing
    alive: Callable[[Resource, Machine], bool] = always
    exists: str = "AlreadyExists"
    stateless: bool = False
    numbered: bool = False
    effective_after_s: float = 0.0
    hold: Callable[[Resource], NameHold | None] = no_hold
