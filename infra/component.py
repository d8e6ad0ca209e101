"""The one shape of a function on every cloud: `FunctionSpec` in, `FunctionEndpoint` out, and how things
are named.

Rule of this file: only what all three clouds have. A knob of one cloud is a constant with its reason in that
cloud's file. Names and labels are pure functions of their arguments, within each cloud's limits.
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

# Long enough to look back over a long weekend and a week of holidays, short enough to cost next to nothing.
LOG_RETENTION_DAYS = 30


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """One function to deploy.

    role: what it is for, also its label. package: the code.
    environment: plain variables, SKYFLEET_APP among them ("module:factory" of the ASGI app); secrets:
    variables whose values belong in the cloud's secret store, where this function's identity alone may read
    them. public: its URL is open to the world (signatures and API keys guard it); schedule: its cloud fires
    it every minute. stores: what it keeps in the bucket of its own place, named by SKYFLEET_BUCKET: "health"
    is read, written and listed under `health/` (and `control.json`), "replies" is read and written under
    `replies/`. memory_mb, timeout_s: limits of one instance and of one request; concurrency: requests one
    instance may take at once (Lambda always takes one).
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
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]], repr=False)


@dataclass(frozen=True, slots=True)
class FunctionEndpoint:
    """A deployed function. `url` has no slash at its end, is empty for a function that is not public, and
    resolves only when everything that makes it answer (code, permissions) is in place."""

    cloud: Cloud
    region: str
    name: str
    url: pulumi.Output[str]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What all functions of one stack share.

    prefix: start of every name; suffix: a few random characters for names that must be unique in the world,
    which every function also says in `/health`, so that two fleets never take each other's functions for
    their own.
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

    Clouds that tell only a host name serve it over HTTPS. No cloud names a host below `localhost`, which is
    always this machine (RFC 6761): there it is plain HTTP.
    """
    text = host_or_url.rstrip("/")
    if "://" in text:
        return text
    local = is_local_name(urlsplit(f"//{text}").hostname or "")
    return f"{'http' if local else 'https'}://{text}"


def ready(url: pulumi.Input[str], gates: Iterable[pulumi.Input[object]]) -> pulumi.Output[str]:
    """`url` as a base URL, held back until every gate (ids of resources) is known."""
    return pulumi.Output.all(url, *gates).apply(lambda values: base_url(str(values[0])))


def made_of(output: pulumi.Output[T], make: Callable[[T], str]) -> pulumi.Output[str]:
    """`make` of an output, or an empty text for one of a resource that is not there.

    The engine tells the outputs of a resource that a deployment leaves out as None (infra/partial.py).
    """
    return output.apply(lambda value: make(value) if value is not None else "")
