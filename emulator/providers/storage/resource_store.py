"""The resources of the emulated clouds, in one JSON file.

The file is replaced whole or not at all: a change is written beside it, synced to disk and renamed over it.
So
`kill -9`, a power cut or a full disk leave it as it was, and the resources in memory change only after the
file.
It contains secrets, as a cloud's own storage does: mode 0600.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from emulator.errors import StoreError
from emulator.providers.values import Properties

VERSION = 2
# An empty store beside a full Pulumi state would only cause the next error.
REDEPLOY = "put an older copy there, or `make down` and `make up` deploy again"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource. key: unique in the emulator; id: the engine's, unique in its type.

    inputs: as checked, with the provider's defaults. outputs: as the cloud would report them.
    private: what only the emulator stores (port, sha256 of the running package).
    """

    key: str
    token: str
    id: str
    urn: str
    inputs: Properties = field(repr=False)
    outputs: Properties = field(repr=False)
    private: Properties = field(default_factory=dict[str, Any], repr=False)


_FIELDS = tuple(each.name for each in fields(Resource))


class ResourceStore:
    """The resources by key. `resources` is an immutable snapshot; the caller serialises writers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: Mapping[str, Resource] = _load(path)

    @property
    def path(self) -> Path:
        return self._path

    @property
    def resources(self) -> Mapping[str, Resource]:
        return MappingProxyType(dict(self._rows))

    def change(self, put: Iterable[Resource] = (), remove: Iterable[str] = ()) -> None:
        """Puts and removes resources as one change, durable on return."""
        gone = set(remove)
        resources = {key: resource for key, resource in self._rows.items() if key not in gone}
        resources |= {resource.key: resource for resource in put}
        self.replace(resources)

    def replace(self, resources: Mapping[str, Resource]) -> None:
        """Replaces all resources (an undo restores an earlier snapshot)."""
        _store(self._path, resources)
        self._rows = dict(resources)


def _load(path: Path) -> Mapping[str, Resource]:
    try:
        document: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(path, f"the emulator's resources cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise StoreError(path, f"not JSON ({error}); {REDEPLOY}") from error
    try:
        if document["version"] != VERSION:
            raise StoreError(
                path, f"has version {document['version']}, this emulator reads {VERSION}; {REDEPLOY}"
            )
        resources = [Resource(**cast("dict[str, Any]", resource)) for resource in document["resources"]]
    except (KeyError, TypeError) as error:
        reason = f"not a table of resources ({error}); {REDEPLOY}"
        raise StoreError(path, reason) from error
    return {resource.key: resource for resource in resources}


def _store(path: Path, resources: Mapping[str, Resource]) -> None:
    rows = [{name: getattr(resource, name) for name in _FIELDS} for resource in resources.values()]
    # Each change writes all resources: `asdict` would copy every value, `json.dump` would encode in Python.
    text = json.dumps({"version": VERSION, "resources": rows}, separators=(",", ":"))
    beside = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        reason = f"the emulator's resources cannot be written ({error.strerror}); nothing was changed"
        raise StoreError(path, reason) from error
