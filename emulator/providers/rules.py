"""Building blocks for a cloud's limits on input values.

A rule is a function from inputs to failures. It ignores values that are absent or unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from emulator.providers.schema import Failure
from emulator.providers.values import Json, Properties, at, document, is_unknown

Rule = Callable[[Properties], Iterable[Failure]]


def rules(*parts: Rule) -> Rule:
    return lambda inputs: chain.from_iterable(part(inputs) for part in parts)


def rule(path: str, holds: Callable[[Json], bool], said: str) -> Rule:
    """A rule on `path` (dotted). said: completes "NAME ...", as in "must be 128 to 10240 (MB)"."""

    def checked(inputs: Properties) -> Iterator[Failure]:
        value = at(inputs, *path.split("."))
        if value is not None and not is_unknown(value) and not holds(value):
            yield Failure(path, f"{said}, got {value!r}")

    return checked


def pattern(path: str, regex: str, said: str) -> Rule:
    return rule(path, lambda value: re.fullmatch(regex, str(value)) is not None, said)


def between(path: str, low: float, high: float, unit: str = "") -> Rule:
    def holds(value: Json) -> bool:
        return not isinstance(value, (int, float)) or low <= value <= high

    return rule(path, holds, f"must be {low} to {high}{unit and ' ' + unit}")


def one_of(path: str, *values: Json) -> Rule:
    return rule(path, lambda value: value in values, f"must be one of {', '.join(map(str, values))}")


def needs(path: str, said: str) -> Rule:
    """A rule that the cloud requires `path`, though the SDK's type does not."""

    def checked(inputs: Properties) -> Iterator[Failure]:
        if at(inputs, *path.split(".")) is None:
            yield Failure(path, f"missing: {said}")

    return checked


def is_policy(path: str) -> Rule:
    """A rule for an IAM policy document: JSON with statements."""

    def checked(inputs: Properties) -> Iterator[Failure]:
        value = at(inputs, path)
        if value is None or is_unknown(value):
            return
        policy = document(value)
        if policy is None:
            yield Failure(path, "MalformedPolicyDocument: not a JSON object")
        elif not (policy.get("Statement") or policy.get("Statements")):
            yield Failure(path, "MalformedPolicyDocument: no Statement in it")

    return checked
