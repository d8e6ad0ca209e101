"""The desired state of the emulated clouds, as plain values without behaviour.

Pulumi providers store resources, `derive.py` turns them into one `DesiredState`, and the reconciler starts,
changes
and stops functions accordingly, after each change and after each restart.
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
    """A host name that a front end routes to a function. path: prefix of every path there, removed by the
    front end (cloudfunctions.net).
    """

    host: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """One deployed function: AWS Lambda, Azure Functions site or Cloud Run function.

    key: stable and unique in the emulator, also its folder and log: `aws/eu-west-1/skyfleet-agent`.
    package: the uploaded zip, in the emulator's copy of the bucket. package_hash: its sha256.
    entry: Lambda handler or GCP entry point; empty on Azure, where the code declares its functions.
    environment: as configured, secrets resolved; the runtime adds the vendor's variables.
    port: loopback port of the public URL; None for a function without one.
    addresses: public names, the one that the cloud reports first; loopback always counts as one.
    closed: why the cloud refuses callers of the URL (a missing permission); None when it is open.
    principal: identity of its code (role ARN, managed identity's principal id, service account's email).
    concurrency: concurrent requests per instance (always 1 on AWS).
    web_adapter: whether the Lambda Web Adapter layer and wrapper are configured.
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
    """An entry of EventBridge Scheduler or Cloud Scheduler. Azure's timers are declared in the function's
    code.

    every_minutes: period in minutes of the cloud; an emulated minute may be shorter.
    function: key of the function that it calls. refused: why the cloud would refuse the call, or None.
    payload: the event or request body.
    """

    key: str
    cloud: Cloud
    every_minutes: float
    function: str
    refused: str | None
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Grant:
    """`principal` may do `action` on `resource`; each may end in `*`."""

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

    Actions of grants: `secret:read`, `object:read`, `object:write`, `object:delete`, `object:list`.
    """

    functions: tuple[Function, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    grants: tuple[Grant, ...] = ()
