"""What the engine asks before anything happens: are these inputs right, what would change, what is foreseen.

The rule of this file: nothing is changed. Unknown values may be anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.local.providers import schema
from infra.local.providers.diff import Change, changes
from infra.local.providers.naming import is_autonamed, named, with_default
from infra.local.providers.operations import Operations, Subject
from infra.local.providers.schema import Failure
from infra.local.providers.values import UNKNOWN, Properties, program_inputs


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to check inputs: the `subject`, its old inputs (if any), the program's, and randomness."""

    subject: Subject
    olds: Properties
    news: Properties
    seed: bytes


@dataclass(frozen=True, slots=True)
class Difference:
    changes: list[Change]
    delete_before_replace: bool


def checked(asked: Asked) -> tuple[Properties, list[Failure]]:
    """The inputs with everything filled in that the provider fills in, and all that is wrong with them."""
    kind, config = asked.subject.kind, asked.subject.config
    inputs = program_inputs(asked.news)
    failures = schema.check(kind.token, inputs)
    for prop in kind.filled:
        if inputs.get(prop) is None and config.get(prop) is not None:
            inputs = with_default(inputs, prop, config[prop])
        elif inputs.get(prop) is None:
            package = schema.package_of(kind.token)
            reason = f"none given and none configured: set {package}:{prop}, or give the provider one"
            failures.append(Failure(prop, reason))
    inputs = named(kind.naming, inputs, asked.olds, (asked.subject.name, asked.seed))
    if not failures:
        failures = list(kind.rules(program_inputs(inputs)))
    return inputs, failures


def difference(subject: Subject, old: Properties, new: Properties, operations: Operations) -> Difference:
    found = changes(old, new, subject.kind.force_new)
    replaces = any(change.replaces for change in found)
    return Difference(found, replaces and _same_place(subject, old, new, operations))


def _same_place(subject: Subject, old: Properties, new: Properties, operations: Operations) -> bool:
    """Whether old and new cannot both exist: an automatic name will be made anew, a given one will not."""
    kind = subject.kind
    if kind.stateless or is_autonamed(kind.naming, new):
        return False
    context = operations.context(subject)
    before = kind.key(program_inputs(old), context)
    after = kind.key(program_inputs(new), context)
    return before == after and UNKNOWN not in after


def foreseen(subject: Subject, inputs: Properties) -> Properties:
    """Outputs of a resource yet to be made: the inputs, and everything else unknown."""
    later = dict.fromkeys(schema.outputs_of(subject.kind.token), UNKNOWN)
    return {**later, **program_inputs(inputs), **dict.fromkeys(subject.kind.volatile, UNKNOWN)}


def updated(subject: Subject, olds: Properties, news: Properties, *, preview: bool) -> Properties:
    """Outputs after an update: the earlier ones, the new inputs, and unknown what any update gives anew."""
    volatile = dict.fromkeys(subject.kind.volatile, UNKNOWN) if preview else {}
    return {**olds, **program_inputs(news), **volatile}
