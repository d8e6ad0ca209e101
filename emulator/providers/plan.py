"""What the engine asks before a change: are the inputs valid, what would change, which outputs follow.

Nothing is changed here. Any value may be unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emulator.providers import schema
from emulator.providers.diff import Change, changes
from emulator.providers.naming import is_autonamed, named, with_default
from emulator.providers.operations import Operations, Subject
from emulator.providers.schema import Failure
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import UNKNOWN, Properties, program_inputs


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to check inputs. olds: earlier inputs, if any; news: the program's; seed: randomness.

    resources: for a resource that a killed engine created and does not know.
    """

    subject: Subject
    olds: Properties
    news: Properties
    seed: bytes
    resources: Mapping[str, Resource]


@dataclass(frozen=True, slots=True)
class Difference:
    """What an update would change. delete_before_replace: a replacement deletes the old resource first."""

    changes: list[Change]
    delete_before_replace: bool


def checked(asked: Asked) -> tuple[Properties, list[Failure]]:
    """The inputs with the provider's defaults, and all failures."""
    type, config = asked.subject.type, asked.subject.config
    inputs = program_inputs(asked.news)
    failures = schema.check(type.token, inputs)
    for prop in type.filled:
        if inputs.get(prop) is None and config.get(prop) is not None:
            inputs = with_default(inputs, prop, config[prop])
        elif inputs.get(prop) is None:
            package = schema.package_of(type.token)
            reason = f"none given and none configured: set {package}:{prop}, or give the provider one"
            failures.append(Failure(prop, reason))
    earlier = asked.olds or _orphan(asked, inputs)
    inputs = named(type.naming, inputs, earlier, (asked.subject.name, asked.seed))
    if not failures:
        failures = list(type.rules(program_inputs(inputs)))
    return inputs, failures


def _orphan(asked: Asked, inputs: Properties) -> Properties:
    """Inputs of the same resource, created under an automatic name that the engine does not know."""
    prop = asked.subject.type.naming.prop if asked.subject.type.naming else ""
    for resource in asked.resources.values():
        if resource.token == asked.subject.type.token and resource.urn == asked.subject.urn:
            others = {name: value for name, value in resource.inputs.items() if name != prop}
            if not changes(others, inputs, frozenset()):
                return resource.inputs
    return {}


def difference(subject: Subject, old: Properties, new: Properties, operations: Operations) -> Difference:
    found = changes(old, new, subject.type.force_new)
    replaces = any(change.replaces for change in found)
    return Difference(found, replaces and _same_place(subject, old, new, operations))


def _same_place(subject: Subject, old: Properties, new: Properties, operations: Operations) -> bool:
    """Whether old and new cannot both exist: an automatic name is generated again, a given one is not.

    The vendors' providers do the same (pulumi-terraform-bridge, nameRequiresDeleteBeforeReplace). A resource
    without
    a name of its own, like a version of a secret, is created before the old one is deleted.
    """
    type = subject.type
    if type.stateless or type.numbered or is_autonamed(type.naming, new):
        return False
    context = operations.context(subject)
    before = type.key(program_inputs(old), context)
    after = type.key(program_inputs(new), context)
    return before == after and UNKNOWN not in after


def foreseen(subject: Subject, inputs: Properties) -> Properties:
    """Outputs of a resource before its creation: the inputs, everything else unknown."""
    later = dict.fromkeys(schema.outputs_of(subject.type.token), UNKNOWN)
    return {**later, **program_inputs(inputs), **dict.fromkeys(subject.type.volatile, UNKNOWN)}


def updated(subject: Subject, olds: Properties, news: Properties, *, preview: bool) -> Properties:
    """Outputs after an update: the earlier ones with the new inputs; volatile ones are unknown in a
    preview.
    """
    volatile = dict.fromkeys(subject.type.volatile, UNKNOWN) if preview else {}
    return {**olds, **program_inputs(news), **volatile}
