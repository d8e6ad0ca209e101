"""Emulated cloud accounts without the Pulumi engine: direct calls of check, create, update and delete."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from emulator.desired.model import DesiredState
from emulator.providers import plan
from emulator.providers.operations import Later, Operations, Subject
from emulator.providers.registry import resource_type_of
from emulator.providers.resource_types import Machine
from emulator.providers.schema import Failure
from emulator.providers.storage.resource_store import Resource, ResourceStore
from emulator.providers.values import ASSET, SIGNATURE, Properties
from tests.emulator.resources import trust

CONFIG = {"region": "eu-west-1", "project": "my-project"}
ROLE = "aws:iam/role:Role"
BUCKET = "aws:s3/bucket:Bucket"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
FUNCTION = "aws:lambda/function:Function"


class Mistakes(Exception):
    """The failures of a check."""

    def __init__(self, failures: list[Failure]) -> None:
        super().__init__("; ".join(f"{f.path}: {f.reason}" for f in failures))


@dataclass(slots=True)
class Account:
    """Accounts of all clouds in `folder`; `applied` is what the hosts were told; `hosts` may refuse.

    delays: of a real cloud's seconds, how many pass here; seconds: of time that has passed.
    """

    folder: Path
    hosts: Callable[[DesiredState], None] = lambda desired: None
    delays: float = 0.0
    seconds: float = 0.0
    applied: list[DesiredState] = field(default_factory=list[DesiredState])
    operations: Operations = field(init=False)
    table: ResourceStore = field(init=False)
    machine: Machine = field(init=False)

    def __post_init__(self) -> None:
        ports = count(5000)
        bytes_of = count(1)
        self.machine = Machine(
            self.folder / "emulator",
            self.folder,
            lambda: next(ports),
            lambda: datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds),
            lambda size: next(bytes_of).to_bytes(8).rjust(size, b"\1")[-size:],
            lambda real_s: real_s * self.delays,
            self.wait,
        )
        self.table = ResourceStore(self.folder / "emulator" / "resources.json")
        self.operations = Operations(self.table, self.machine, self._apply)

    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        self.seconds += seconds

    def clock(self) -> float:
        """Unix seconds."""
        return self.machine.clock()

    def operations_with(self, later: Later) -> Operations:
        """Operations on the same table with another alarm."""
        return Operations(self.table, self.machine, self._apply, later)

    def _apply(self, desired: DesiredState) -> None:
        self.applied.append(desired)
        self.hosts(desired)

    def subject(self, token: str, name: str, engine: str = "one") -> Subject:
        return Subject(resource_type_of(token), name, f"urn:pulumi:s::p::{token}::{name}", CONFIG, engine)

    def checked(
        self, token: str, name: str, inputs: Properties, olds: Properties, engine: str = "one"
    ) -> Properties:
        seed = f"{engine}/{name}".encode()
        asked = plan.Asked(self.subject(token, name), olds, inputs, seed, self.table.resources)
        checked, failures = plan.checked(asked)
        if failures:
            raise Mistakes(failures)
        return checked

    def create(self, token: str, name: str, engine: str = "one", /, **inputs: Any) -> Resource:  # noqa: ANN401 - JSON
        checked = self.checked(token, name, inputs, {}, engine)
        return self.operations.create(self.subject(token, name, engine), checked)

    def update(self, resource: Resource, /, **inputs: Any) -> Resource:  # noqa: ANN401 - JSON
        name = resource.urn.rpartition("::")[2]
        checked = self.checked(resource.token, name, inputs, resource.inputs)
        return self.operations.update(self.subject(resource.token, name), resource.id, checked)

    def delete(self, resource: Resource, engine: str = "one") -> None:
        self.operations.delete(
            self.subject(resource.token, resource.urn.rpartition("::")[2], engine), resource.id
        )

    def package(self, name: str = "agent.zip", **files: str) -> dict[str, str]:
        """A zip file in the program's folder, as an asset."""
        with zipfile.ZipFile(self.folder / name, "w") as archive:
            for file, content in (files or {"run": "#!/bin/sh"}).items():
                archive.writestr(file, content)
        return {SIGNATURE: ASSET, "path": name}

    def role(self) -> Resource:
        return self.create(ROLE, "agent", assumeRolePolicy=trust("lambda.amazonaws.com"))

    def uploaded(self, name: str = "agent.zip") -> Resource:
        """A package in a bucket."""
        found = next(
            (resource for resource in self.table.resources.values() if resource.token == BUCKET), None
        )
        bucket = found or self.create(BUCKET, "packages")
        return self.create(OBJECT, name, bucket=bucket.id, source=self.package(name, main=name))

    def function_inputs(self, role: Resource, package: Resource, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        return {
            "role": role.outputs["arn"],
            "runtime": "python3.13",
            "handler": "run.sh",
            "s3Bucket": package.outputs["bucket"],
            "s3Key": package.outputs["key"],
            **more,
        }
