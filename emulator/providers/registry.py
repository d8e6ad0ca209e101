"""Resource types and functions of the emulator, by token. A cloud's module is imported when needed.

An unknown type is refused with similar names, never let through.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol, cast

from emulator.errors import CloudError
from emulator.providers import schema
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.values import Json, Properties

_FILES = {
    "aws": "aws.cloud",
    "azure-native": "azure.cloud",
    "gcp": "gcp.cloud",
    "random": "stateless.random",
    "time": "stateless.time",
}
PACKAGES: tuple[str, ...] = tuple(_FILES)

Invoke = Callable[[Properties, Context], Properties]


class Cloud(Protocol):
    """What each cloud's module offers.

    DEFAULTS: configuration that the emulated credentials provide (an account's own project).
    """

    RESOURCE_TYPES: tuple[ResourceType, ...]
    INVOKES: Mapping[str, Invoke]
    DEFAULTS: Mapping[str, Json]


@cache
def cloud(package: str) -> Cloud:
    return cast("Cloud", importlib.import_module(f"emulator.providers.{_FILES[package]}"))


@cache
def _resource_types(package: str) -> Mapping[str, ResourceType]:
    return {type.token: type for type in cloud(package).RESOURCE_TYPES}


def resource_type_of(token: str) -> ResourceType:
    """The definition of a type. Raises CloudError for a type that the emulator does not have."""
    package = schema.package_of(token)
    if package in PACKAGES and token in _resource_types(package):
        return _resource_types(package)[token]
    raise _unknown("emulate", token, list(_resource_types(package)) if package in PACKAGES else [])


def invoke_of(token: str) -> Invoke:
    package = schema.package_of(token)
    if package in PACKAGES and token in cloud(package).INVOKES:
        return cloud(package).INVOKES[token]
    raise _unknown("answer", token, list(cloud(package).INVOKES) if package in PACKAGES else [])


def _unknown(verb: str, token: str, known: list[str]) -> CloudError:
    by_name = {name.rpartition(":")[2]: name for name in known}
    near = schema.suggest(token.rpartition(":")[2], by_name)
    of = ", ".join(sorted(known)) or "nothing of that package"
    return CloudError("NotEmulated", f"the emulator does not {verb} {token}{near}; it has: {of}")
