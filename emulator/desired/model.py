"""What should exist in the emulated clouds right now, as plain values.

The rule of this file: no behaviour. Pulumi providers keep a table of resources, `derive.py` turns that table
into one `DesiredState`, and the hosts make reality equal to it, at every change and after every restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Cloud = Literal["aws", "azure", "gcp"]
Role = Literal["agent", "router", "checker"]

CLOUDS: tuple[Cloud, ...] = ("aws", "azure", "gcp")


@dataclass(frozen=True, slots=True)
class Address:
    """A host name that a front door routes to a function. path: what stands before every path there, which
    is cut off (cloudfunctions.net)."""

    host: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """One deployed function: AWS Lambda, Azure Functions site or Cloud Run function.

    key: stable and unique in the emulator, its folder and log too: `aws/eu-west-1/skyfleet-agent`.
    package: the uploaded zip, in the emulator's own copy of the bucket; `package_hash` is its sha256.
    entry: Lambda handler, GCP entry point; empty on Azure, where the code names its functions.
    environment: as configured, secrets resolved; the host adds what the vendor's runtime adds.
    port: loopback port of the public URL; None for a function without one.
    addresses: its public names, the one that the cloud reports first; loopback itself always counts as one.
    closed: why the cloud refuses callers of the URL (a missing permission), or None when it is open.
    principal: the identity it runs as (role ARN, managed identity's principal id, service account's email).
    concurrency: requests one instance takes at once (always 1 on AWS).
    web_adapter: the Lambda Web Adapter layer and wrapper are configured.
    """

    key: str
    cloud: Cloud
    region: str
    name: str
    role: Role
    package: Path
    package_hash: str
    entry: str
    environment: Mapping[str, str] = field(repr=False)
    port: int | None
    closed: str | None
    principal: str
    memory_mb: int
    timeout_s: float
    concurrency: int
    max_instances: int
    runtime: str
    web_adapter: bool = False
    resource: str = ""
    addresses: tuple[Address, ...] = ()

    @property
    def authority(self) -> str:
        """Host and port of the public URL; empty for a function without one."""
        host = self.addresses[0].host if self.addresses else "127.0.0.1"
        return f"{host}:{self.port}" if self.port is not None else ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """An entry of EventBridge Scheduler or Cloud Scheduler (Azure's timers live in the function's code).

    every_minutes: period in the cloud's minutes; the emulator's own minute may be shorter.
    function: key of the function it fires. `refused`: why the cloud would not let it, or None.
    payload: the event or request body it carries.
    """

    key: str
    cloud: Cloud
    every_minutes: float
    function: str
    refused: str | None
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Grant:
    """`principal` may do `action` on `resource`; both may end in `*` (AWS's and our own notation)."""

    principal: str
    action: str
    resource: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """S3 bucket, Azure blob container (`account/container`) or GCS bucket; objects lie in `folder`."""

    cloud: Cloud
    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Everything that should run.

    Actions in grants: `secret:read`, `object:read`, `object:write`, `object:delete`, `object:list`.
    """

    functions: tuple[Function, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    grants: tuple[Grant, ...] = ()
