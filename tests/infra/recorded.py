"""Run the program under Pulumi's mocks and record every resource that it registers."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pulumi
from pulumi.runtime import mocks as engine
from pulumi.runtime import rpc
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.proto.resource_pb2 import RegisterResourceRequest, RegisterResourceResponse

from infra.__main__ import deploy
from infra.config.model import CLOUDS, Settings
from infra.config.parse import parse_settings
from infra.package import KINDS, AgentInfo, Package
from infra.packaging import Packages

Properties = dict[str, Any]

CLOUD_CONFIG: Mapping[str, Mapping[str, object]] = {
    "aws": {"regions": ["eu-west-1"], "weight": 3},
    "azure": {"regions": ["westeurope"], "weight": 2},
    "gcp": {"regions": ["europe-west1"], "weight": 1, "project": "test-project"},
}
# Computed outputs of the clouds that the program reads.
COMPUTED: Mapping[str, Callable[[str], Properties]] = {
    "aws:lambda/functionUrl:FunctionUrl": lambda name: {
        "functionUrl": f"https://{hashlib.sha256(name.encode()).hexdigest()[:32]}.lambda-url.eu-west-1.on.aws/"
    },
    "azure-native:web:WebApp": lambda name: {"defaultHostName": f"{name}.azurewebsites.net"},
    "azure-native:managedidentity:UserAssignedIdentity": lambda name: {
        "principalId": f"{name}-principal",
        "clientId": f"{name}-client",
    },
    "azure-native:storage:StorageAccount": lambda name: {
        "primaryEndpoints": {"blob": f"https://{name}.blob.core.windows.net/"}
    },
    "azure-native:storage:Blob": lambda name: {"url": f"https://account.blob.core.windows.net/{name}"},
    "azure-native:applicationinsights:Component": lambda name: {"connectionString": "InstrumentationKey=1"},
    "gcp:cloudfunctionsv2/function:Function": lambda name: {
        "url": f"https://europe-west1-test-project.cloudfunctions.net/{name}",
        "serviceConfig": {"uri": f"https://{name}.run.app"},
    },
    "gcp:serviceaccount/account:Account": lambda name: {"email": f"{name}@test.iam.gserviceaccount.com"},
    "gcp:secretmanager/secretVersion:SecretVersion": lambda name: {"version": "7"},
    "random:index/randomId:RandomId": lambda name: {"hex": "0a1b2c3d"},
    "random:index/randomPassword:RandomPassword": lambda name: {"result": f"made-up-{name}"},
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One registration.

    secret_inputs: names of the inputs that are or contain a secret. depends: `TYPE::NAME` of the resources
    that are created first. retained: the engine never deletes it.
    """

    token: str
    name: str
    inputs: Properties
    secret_inputs: frozenset[str]
    depends: frozenset[str] = frozenset()
    retained: bool = False

    @property
    def label(self) -> str:
        return f"{self.token}::{self.name}"

    @property
    def labels(self) -> Mapping[str, str]:
        for key in ("tags", "labels", "userLabels"):
            if key in self.inputs:
                return cast("Mapping[str, str]", self.inputs[key])
        return {}


@dataclass(slots=True)
class Recorder(engine.Mocks):
    """Answers the program like an engine with three clouds, and records the registrations.

    left_out: a cloud whose resources are excluded from the deployment (`--exclude`).
    """

    found: list[Resource] = field(default_factory=list[Resource])
    left_out: str = ""

    def new_resource(self, args: engine.MockResourceArgs) -> tuple[str, Properties]:
        inputs = cast("Properties", args.inputs)
        secret = frozenset(name for name, value in inputs.items() if _holds_secret(value))
        plain = cast("Properties", _plain(inputs))
        self.found.append(Resource(args.typ, args.name, plain, secret))
        if self.left_out and args.name.startswith(f"{self.left_out}-"):
            return "", {}
        computed = COMPUTED.get(args.typ, lambda name: {})(args.name)
        if args.typ == "azure-native:web:WebApp":  # the input is a list of identities, the output a mapping
            identities = {one: Properties() for one in plain["identity"]["userAssignedIdentities"]}
            own = {"principalId": f"{args.name}-own", "tenantId": "tenant"}
            computed["identity"] = {**plain["identity"], **own, "userAssignedIdentities": identities}
        if args.typ == "gcp:cloudfunctionsv2/function:Function":
            computed["serviceConfig"] = {**plain["serviceConfig"], **computed["serviceConfig"]}
        named = {"name": plain.get("name", args.name), "arn": f"arn:aws:test:here:123456789012:{args.name}"}
        return f"{args.name}-id", {**named, **plain, **computed}

    def call(self, args: engine.MockCallArgs) -> tuple[Properties, list[tuple[str, str]]]:
        if args.token == "azure-native:authorization:getClientConfig":
            return {"subscriptionId": "sub", "tenantId": "tenant", "clientId": "c", "objectId": "o"}, []
        return {"serviceSasToken": "sv=1&sig=made-up"}, []


class Monitor(engine.MockMonitor):
    """Records options that Pulumi's mocks do not pass on, and leaves out hooks, which they cannot call."""

    def __init__(self, mocks: engine.Mocks) -> None:
        super().__init__(mocks)
        self.options: dict[str, tuple[frozenset[str], bool]] = {}

    def GetDeploymentInfo(self, request: object) -> resource_pb2.DeploymentInfo:
        told = super().GetDeploymentInfo(request)  # pyright: ignore[reportUnknownMemberType]
        hooks = resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS
        kept = [feature for feature in told.supportedFeatures if feature != hooks]
        return resource_pb2.DeploymentInfo(supportedFeatures=kept)

    def RegisterResource(self, request: RegisterResourceRequest) -> RegisterResourceResponse:
        # `urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME`, without the parents' types.
        urns = ("::".join(urn.split("::")[2:]) for urn in request.dependencies)
        depends = frozenset(urn.rpartition("$")[2] for urn in urns)
        self.options[f"{request.type}::{request.name}"] = (depends, request.retainOnDelete)
        return super().RegisterResource(request)  # pyright: ignore[reportUnknownMemberType]


def settings_for(*clouds: str, **more: object) -> Settings:
    config: dict[str, object] = {"skyfleet:clouds": {cloud: CLOUD_CONFIG[cloud] for cloud in clouds}}
    return parse_settings(config | {f"skyfleet:{key}": value for key, value in more.items()}, "test")


def packages_at(folder: Path) -> Packages:
    """Empty packages."""
    built: dict[Any, Package] = {}
    for kind in KINDS:
        for cloud in CLOUDS:
            path = folder / f"{kind}-{cloud}.zip"
            path.write_bytes(b"zip")
            built[kind, cloud] = Package(kind, cloud, path, f"hash-{kind}-{cloud}", f"build-of-{kind}")
    return Packages(
        built,
        {"agent": "build-of-agent", "router": "build-of-router"},
        AgentInfo("function", repeatable=True),
    )


# Registrations by settings and stack config, since a run takes a second or two.
_known: list[tuple[tuple[Settings, str, str], list[Resource]]] = []


def recorded(settings: Settings, folder: Path, *, left_out: str = "") -> list[Resource]:
    """Everything that the program registers with these settings.

    folder: for the packages of the first run; later calls with equal settings return the same resources.
    """
    asked = (settings, os.environ.get("PULUMI_CONFIG", ""), left_out)
    for known, resources in _known:
        if known == asked:
            return [*resources]
    recorder = Recorder(left_out=left_out)
    monitor = Monitor(recorder)
    gc.disable()  # as in the program itself
    try:
        contextvars.Context().run(_run, monitor, settings, packages_at(folder), preview=not left_out)
    finally:
        gc.enable()
    resources = [
        replace(found, depends=monitor.options[found.label][0], retained=monitor.options[found.label][1])
        for found in recorder.found
    ]
    _known.append((asked, resources))
    return [*resources]


def _run(monitor: Monitor, settings: Settings, packages: Packages, *, preview: bool) -> None:
    """Run the program in its own context: Pulumi keeps its stack in context variables and its futures on
    event loops, one for each thread. All of them end here."""
    loops = [asyncio.new_event_loop()]
    asyncio.set_event_loop(loops[0])

    def own_loop() -> None:
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    with ThreadPoolExecutor(4, initializer=own_loop) as threads, warnings.catch_warnings():
        # The import of the AWS SDK warns of its own deprecated classes.
        warnings.simplefilter("ignore", DeprecationWarning)
        loops[0].set_default_executor(threads)
        pulumi.runtime.set_mocks(
            monitor.mocks, project="skyfleet", stack=settings.stack, preview=preview, monitor=monitor
        )
        run = cast("Callable[[Callable[[], None]], Callable[[], None]]", engine.test)
        run(lambda: deploy(settings, packages))()
    asyncio.set_event_loop(None)
    for loop in loops:
        loop.close()


def of_type(resources: Iterable[Resource], token: str) -> list[Resource]:
    return [resource for resource in resources if resource.token == token]


def _is_secret(value: object) -> bool:
    return isinstance(value, dict) and rpc._special_sig_key in value  # pyright: ignore[reportPrivateUsage]


def _holds_secret(value: object) -> bool:
    if _is_secret(value):
        return True
    if isinstance(value, dict):
        return any(_holds_secret(item) for item in cast("Properties", value).values())
    if isinstance(value, list):
        return any(_holds_secret(item) for item in cast("list[object]", value))
    return False


def _plain(value: object) -> object:
    if _is_secret(value):
        return _plain(cast("Properties", value).get("value"))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("Properties", value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[object]", value)]
    return value
