"""What the clouds' services (buckets, secrets, tokens) see of the desired state, and their requests.

A service is a function from `ServiceRequest` to `ServiceResponse`; `runtime/service_port.py` does the HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from emulator.desired.model import Bucket, Cloud, DesiredState
from emulator.services.identity import Denied, Identities, allowed, matches
from emulator.services.objects import Objects, Stored


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """One request to a service. target: raw path and query; headers: lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """Decoded path without the leading slash."""
        return unquote(self.target.partition("?")[0]).lstrip("/")

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; the last of a name counts."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class ServiceResponse:
    """A service's answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Services:
    """desired: what exists at this moment; now: unix seconds."""

    identities: Identities
    desired: Callable[[], DesiredState]
    now: Callable[[], float]

    def require(self, principal: str, action: str, *resources: str) -> None:
        """Raise Denied unless a grant allows `principal` to do `action` on one of the names of the
        resource.
        """
        if not allowed(self.desired().grants, principal, action, *resources):
            raise Denied(
                "AccessDenied", f"{principal} is not authorized to perform {action} on {resources[0]}"
            )

    def bucket(self, cloud: Cloud, name: str) -> Bucket | None:
        """The bucket of that name."""
        found = (each for each in self.desired().buckets if each.cloud == cloud and each.name == name)
        return next(found, None)

    def may(self, principal: str, bucket: Bucket) -> bool:
        """Whether `principal` has any permission on the bucket or a part of it."""
        return any(
            matches(grant.principal, principal)
            and grant.action.startswith("object:")
            and (matches(grant.resource, bucket.name) or grant.resource.startswith(f"{bucket.name}/"))
            for grant in self.desired().grants
        )

    def find(self, bucket: Bucket, principal: str, key: str) -> Stored | None:
        """An object to read. S3 and Google answer 403 for an absent object to a reader that may not list."""
        found = self.open(bucket, principal, "object:read", key).get(key)
        if found is None:
            self.require(principal, "object:list", bucket.name)
        return found

    def open(self, bucket: Bucket, principal: str, action: str, key: str) -> Objects:
        """The bucket's objects, if `principal` may do `action` on `key`."""
        self.require(principal, action, f"{bucket.name}/{key}", bucket.name)
        return Objects(bucket.folder)


def action(method: str) -> str:
    """The permission that a method on an object needs."""
    if method in ("GET", "HEAD"):
        return "object:read"
    return "object:delete" if method == "DELETE" else "object:write"
