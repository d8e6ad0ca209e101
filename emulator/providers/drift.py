"""Changes by hand: what a person does in a cloud's console to a resource that a stack has made.

The rule of this file: the change goes the same way as an engine's, so that what runs follows it; the engine
hears of it at its next refresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emulator.desired.state import Cloud
from emulator.errors import CloudError
from emulator.providers.operations import Operations, Subject
from emulator.providers.registry import kind_of
from emulator.providers.schema import package_of
from emulator.providers.table import Row
from emulator.providers.values import Json, Properties, fields
from emulator.providers.weather import PACKAGES


def drift(operations: Operations, cloud: Cloud, wanted: str, change: Mapping[str, Json] | None) -> str:
    """Change a resource's inputs (`change`: property path -> value), or delete it (None); returns its key.

    wanted: a resource's key, id, URN or name in the program. Raises CloudError when none or several fit.
    """
    row = find([row for row in operations.rows.values() if cloud_of(row) == cloud], wanted)
    subject = Subject(kind_of(row.token), row.urn.rpartition("::")[2], row.urn)
    if change is None:
        operations.delete(subject, row.id)
    else:
        operations.update(subject, row.id, changed(row.inputs, change))
    return row.key


def cloud_of(row: Row) -> Cloud | None:
    """The cloud of a resource; None of what remains of one."""
    package = package_of(row.token)
    return next((cloud for cloud, own in PACKAGES.items() if own == package), None)


def find(rows: Sequence[Row], wanted: str) -> Row:
    """The one resource that `wanted` names."""
    found = [row for row in rows if wanted in (row.key, row.id, row.urn)]
    found = found or [row for row in rows if row.urn.rpartition("::")[2] == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        said = "; ".join(row.key for row in found)
        raise CloudError("Ambiguous", f"{len(found)} resources are called {wanted!r}; take a key: {said}")
    near = [row.key for row in rows if wanted in row.key][:5]
    like = f"; keys that hold it: {', '.join(near)}" if near else ""
    raise CloudError("NotFound", f"no resource has the key, id, URN or name {wanted!r}{like}")


def changed(inputs: Properties, change: Mapping[str, Json]) -> Properties:
    """The inputs with some set otherwise; `a.b` is the property `b` of `a`."""
    new = dict(inputs)
    for path, value in change.items():
        first, _, rest = path.partition(".")
        new[first] = changed(fields(new, first), {rest: value}) if rest else value
    return new
