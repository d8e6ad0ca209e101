"""Read recorded resources for the review: types, paths into inputs, policy documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, cast

from tests.infra.recorded import Resource, of_type

Fleet = Sequence[Resource]
Rule = Callable[[Fleet], list[str]]

FUNCTIONS: Mapping[str, str] = {
    "aws": "aws:lambda/function:Function",
    "azure": "azure-native:web:WebApp",
    "gcp": "gcp:cloudfunctionsv2/function:Function",
}
S3, GCS = "aws:s3/bucket:Bucket", "gcp:storage/bucket:Bucket"
STORAGE, SITE = "azure-native:storage:StorageAccount", FUNCTIONS["azure"]
VAULT = "azure-native:keyvault:Vault"
CALLED = ("agent", "router")  # the roles with a public URL
YES = (True,)
NO = (False,)


def functions(fleet: Fleet) -> list[Resource]:
    return [resource for token in FUNCTIONS.values() for resource in of_type(fleet, token)]


def at(value: object, path: str) -> object:
    """The value at a dotted path, in which a number is an index of a list, or None."""
    for part in path.split("."):
        if isinstance(value, dict):
            value = cast("dict[str, object]", value).get(part)
        elif isinstance(value, list) and part.isdigit():
            items = cast("list[object]", value)
            value = items[int(part)] if int(part) < len(items) else None
        else:
            return None
    return value


def unless(fleet: Fleet, token: str, path: str, accepted: Container[object], said: str) -> list[str]:
    """Findings for resources of a type whose value at `path` is not accepted."""
    wrong = [each for each in of_type(fleet, token) if at(each.inputs, path) not in accepted]
    return [f"{each.label}: {said} ({path} is {at(each.inputs, path)!r})" for each in wrong]


def companions(fleet: Fleet, whole: str, key: str, parts: Sequence[str]) -> list[str]:
    """Findings for resources of a type that lack a companion of one of the other types."""
    return [
        f"{one.label}: has no {part}"
        for one in of_type(fleet, whole)
        for part in parts
        if not any(each.inputs.get(key) == one.inputs[key] for each in of_type(fleet, part))
    ]


def statements(policy: object) -> Iterator[dict[str, Any]]:
    """The statements of an AWS policy document, each with lists of actions and resources."""
    for statement in cast("list[dict[str, Any]]", json.loads(str(policy))["Statement"]):
        yield statement | {key: listed(statement.get(key)) for key in ("Action", "Resource")}


def listed(value: object) -> list[str]:
    return [str(each) for each in cast("list[object]", value)] if isinstance(value, list) else [str(value)]


def role_in(name: object) -> str:
    """The role at the end of a name, such as `agent` of `skyfleet-prod-agent`."""
    return str(name).rpartition("-")[2]
