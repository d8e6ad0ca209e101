"""Drift: changes that a person makes in a cloud's console to a resource of a stack.

The change takes the same way as one of the engine, so running functions follow. The engine sees it at its
next refresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from emulator.desired.model import Cloud
from emulator.errors import CloudError
from emulator.providers.operations import Operations, Subject
from emulator.providers.outages import PACKAGES
from emulator.providers.registry import resource_type_of
from emulator.providers.schema import package_of
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, Properties, fields


def drift(operations: Operations, cloud: Cloud, wanted: str, change: Mapping[str, Json] | None) -> str:
    """Change a resource's inputs (`change`: property path -> value) or delete it (None); returns its key.

    wanted: a resource's key, id, URN or name in the program. Raises CloudError when none or several match.
    """
    own = [resource for resource in operations.resources.values() if cloud_of(resource) == cloud]
    resource = find(own, wanted, {path.partition(".")[0] for path in change or ()})
    subject = Subject(resource_type_of(resource.token), resource.urn.rpartition("::")[2], resource.urn)
    if change is None:
        operations.delete(subject, resource.id)
    else:
        operations.update(subject, resource.id, changed(resource.inputs, change))
    return resource.key


def cloud_of(resource: Resource) -> Cloud | None:
    """The cloud of a resource; None for a leftover."""
    package = package_of(resource.token)
    return next((cloud for cloud, own in PACKAGES.items() if own == package), None)


def find(resources: Sequence[Resource], wanted: str, properties: Set[str] = frozenset()) -> Resource:
    """The one resource that `wanted` names. Raises CloudError when none or several match.

    properties: of several with one name, those count that have these inputs."""
    found = [resource for resource in resources if wanted in (resource.key, resource.id, resource.urn)]
    found = found or [resource for resource in resources if resource.urn.rpartition("::")[2] == wanted]
    if len(found) > 1 and properties:
        found = [resource for resource in found if properties <= resource.inputs.keys()] or found
    if len(found) == 1:
        return found[0]
    if found:
        said = "; ".join(resource.key for resource in found)
        raise CloudError("Ambiguous", f"{len(found)} resources are called {wanted!r}; take a key: {said}")
    near = [resource.key for resource in resources if wanted in resource.key][:5]
    like = f"; keys that hold it: {', '.join(near)}" if near else ""
    raise CloudError("NotFound", f"no resource has the key, id, URN or name {wanted!r}{like}")


def changed(inputs: Properties, change: Mapping[str, Json]) -> Properties:
    """The inputs with some properties replaced; `a.b` is the property `b` of `a`."""
    new = dict(inputs)
    for path, value in change.items():
        first, _, rest = path.partition(".")
        new[first] = changed(fields(new, first), {rest: value}) if rest else value
    return new
