"""What the derivations of the three clouds share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from emulator.desired.model import Address, Bucket, Cloud, Function, Grant, Role, Schedule
from emulator.providers.resource_types import effective_at
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import text

ROLE_LABEL = "skyfleet-role"
ROLES: tuple[Role, ...] = ("agent", "router", "checker")


@dataclass(frozen=True, slots=True)
class Part:
    """One cloud's part of the desired state."""

    functions: tuple[Function, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceView:
    """The resources by type, in creation order, and the folder of the emulator's state.

    now: unix seconds; grants that are not in effect by then are left out.
    """

    resources: Mapping[str, Resource]
    folder: Path
    now: float = math.inf

    def all(self, token: str) -> Iterable[Resource]:
        return (resource for resource in self.resources.values() if resource.token == token)

    def effective(self, token: str) -> Iterable[Resource]:
        """Resources of a type that grants something, without grants that are not in effect yet."""
        return (resource for resource in self.all(token) if effective_at(resource) <= self.now)

    def package(self, resource: Resource) -> Path:
        return self.folder / "code" / f"{resource.private['package']}.zip"

    def bucket(self, cloud: Cloud, name: str) -> Bucket:
        return Bucket(cloud, name, self.folder / "buckets" / cloud / name)


def role_of(resource: Resource, prop: str) -> Role:
    """The role by the resource's label; `agent` for a function without a known label."""
    label = text(resource.inputs, prop, ROLE_LABEL)
    return label if label in ROLES else "agent"


def addresses_of(*urls: str) -> tuple[Address, ...]:
    """Addresses at which the cloud's front end takes requests for a function: the URLs that it reports."""
    parts = [urlsplit(url if "://" in url else f"//{url}") for url in urls if url]
    return tuple(Address(part.hostname or "", part.path.rstrip("/")) for part in parts)


def port_of(resource: Resource) -> int | None:
    port = resource.private.get("port")
    return int(port) if port is not None else None
