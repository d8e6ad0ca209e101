"""The interface of a function on every cloud: `FunctionSpec` in, `FunctionEndpoint` out.

The rule of this file: only what all three clouds have. A setting of one cloud is a constant in that cloud's
file, with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import pulumi

from infra import names
from infra.config.model import Cloud
from infra.package import Package
from skyfleet.origin import is_local_name

Role = Literal["agent", "router", "checker"]
Store = Literal["health", "replies"]
T = TypeVar("T")

# Long enough to look back over holidays, and cheap.
LOG_RETENTION_DAYS = 30


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """One function to deploy.

    role: also its label. package: the code.
    environment: plain variables, SKYFLEET_APP among them ("module:factory" of the ASGI app).
    secrets: variables kept in the cloud's secret store, where only the identity of this function reads them.
    public: its URL is reachable for all; signatures and API keys protect it.
    schedule: its cloud invokes it every minute.
    stores: what it keeps in the bucket of its region, named by SKYFLEET_BUCKET. "health" is read, written and
    listed under `health/` (and `control.json`), "replies" is read and written under `replies/`.
    memory_mb, timeout_s: limits of one instance and of one request.
    concurrency: active requests of one instance (on Lambda always one).
    min_instances: kept warm. max_instances: None for what the stack sets for all functions of that cloud.
    """

    role: Role
    package: Package
    environment: Mapping[str, pulumi.Input[str]]
    public: bool
    schedule: bool
    stores: Store | None
    memory_mb: int
    timeout_s: int
    concurrency: int
    min_instances: int = 0
    max_instances: int | None = None
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]], repr=False)


@dataclass(frozen=True, slots=True)
class FunctionEndpoint:
    """A deployed function.

    url: without a slash at its end; empty for a function that is not public. It resolves when the code and
    the permissions are in place.
    """

    cloud: Cloud
    region: str
    name: str
    url: pulumi.Output[str]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What all functions of one stack share.

    prefix: the start of every name. suffix: random characters for globally unique names. Each function has it
    in `/health`, so a function of another fleet is recognized.
    """

    stack: str
    prefix: str
    suffix: pulumi.Output[str]

    def labels(self, role: str) -> dict[str, str]:
        return names.labels(self.stack, role)

    def unique(self, base: str, limit: int, *, dashes: bool = True) -> pulumi.Output[str]:
        """A globally unique name; see `unique_name`."""
        return self.suffix.apply(lambda suffix: names.unique_name(base, suffix, limit, dashes=dashes))


def base_url(host_or_url: str) -> str:
    """A function's base URL from its host name or URL, without the slash at the end.

    A host name is served over HTTPS, except below `localhost`: that is always this machine (RFC 6761) and is
    served over HTTP.
    """
    text = host_or_url.rstrip("/")
    if "://" in text:
        return text
    local = is_local_name(urlsplit(f"//{text}").hostname or "")
    return f"{'http' if local else 'https'}://{text}"


def ready(url: pulumi.Input[str], gates: Iterable[pulumi.Input[object]]) -> pulumi.Output[str]:
    """`url` as a base URL, known when every gate (ids of resources) is known."""
    return pulumi.Output.all(url, *gates).apply(lambda values: base_url(str(values[0])))


def made_of(output: pulumi.Output[T], make: Callable[[T], str]) -> pulumi.Output[str]:
    """`make` applied to an output; empty if the resource does not exist.

    Outputs of a resource that a deployment leaves out are None (infra/partial.py).
    """
    return output.apply(lambda value: make(value) if value is not None else "")
