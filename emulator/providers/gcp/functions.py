"""Cloud Run functions (the Cloud Functions v2 API).

Limits: docs.cloud.google.com/run/quotas, docs.cloud.google.com/functions/quotas-1st-gen (sizes of a source).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

from emulator.errors import CloudError
from emulator.providers import addresses
from emulator.providers.gcp import building
from emulator.providers.gcp.common import (
    ACCESSOR,
    BUCKET,
    FUNCTION,
    OBJECT,
    PROJECT_NUMBER,
    SECRET,
    SECRET_MEMBER,
    SECRET_VERSION,
    SERVICE_MEMBER,
    labels,
    last,
    memory_mb,
    named,
    runs_as,
)
from emulator.providers.gcp.iam import members_of, need_account
from emulator.providers.gcp.project import need_api, settings_of
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.rules import Rule, between, needs, one_of, pattern, rule, rules
from emulator.providers.schema import Failure
from emulator.providers.storage import objects
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, Properties, at, fields, items, number, text

PYTHONS = tuple(f"python3{minor}" for minor in (10, 11, 12, 13, 14))
# The 2nd generation has no limit (cloud.google.com/functions/quotas); these protect the disk.
ZIPPED_MB, UNZIPPED_MB = 1024, 4096
RESERVED = (
    *("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "K_SERVICE", "K_REVISION", "K_CONFIGURATION", "PORT"),
    "GOOGLE_CLOUD_PROJECT",
)


def _is_memory(said: Json) -> bool:
    size = memory_mb(str(said))
    return size is not None and 122 <= size <= 32768  # 128M is 122 units of 2**20 bytes


def cpus(inputs: Properties) -> float:
    """CPUs of one instance; 0 when the text is not a number."""
    said = text(inputs, "serviceConfig", "availableCpu") or "1"
    try:
        return float(said.removesuffix("m")) / 1000 if said.endswith("m") else float(said)
    except ValueError:
        return 0


def _cpu_rules(inputs: Properties) -> Iterator[Failure]:
    requests = number(inputs, "serviceConfig", "maxInstanceRequestConcurrency", default=1)
    if cpus(inputs) <= 0:
        yield Failure("serviceConfig.availableCpu", "must be a number of CPUs such as 1 or 0.5")
    elif requests > 1 and cpus(inputs) < 1:
        path = "serviceConfig.maxInstanceRequestConcurrency"
        yield Failure(path, "total cpu < 1 is not supported with concurrency > 1")
    size = memory_mb(text(inputs, "serviceConfig", "availableMemory")) or 256
    least = next((least for above, least in _CPUS_BY_MEMORY if size > above), 0)
    if 0 < cpus(inputs) < least:
        path = "serviceConfig.availableCpu"
        yield Failure(path, f"must be at least {least} for {size} MiB of memory, got {cpus(inputs):g}")
    low, high = (number(inputs, "serviceConfig", f"{m}InstanceCount", default=d) for m, d in _BOUNDS)
    if low > high:
        yield Failure("serviceConfig.minInstanceCount", f"is above maxInstanceCount ({low} > {high})")


_BOUNDS = (("min", 0), ("max", 100))
# Memory in MiB above which an instance needs so many CPUs: the tables of services/memory-limits and, for less
# than one CPU, of services/cpu below cloud.google.com/run/docs/configuring.
_CPUS_BY_MEMORY = ((24_576, 8), (16_384, 6), (8192, 4), (4096, 2), (1024, 1), (512, 0.5))


def _environment_rules(inputs: Properties) -> Iterator[Failure]:
    path = "serviceConfig.environmentVariables"
    variables = fields(inputs, "serviceConfig", "environmentVariables")
    for name in variables:
        if name in RESERVED or name.startswith("X_GOOGLE_"):
            yield Failure(path, f"{name} is reserved")
        elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield Failure(path, f"{name!r} is no variable's name")
    secret = {text(s, "key") for s in items(inputs, "serviceConfig", "secretEnvironmentVariables")}
    for name in sorted(secret & variables.keys()):
        yield Failure(path, f"{name} is also a secret environment variable")


_RULES: Rule = rules(
    pattern(
        "name", r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "must be 1 to 63 lower-case letters, digits, hyphens"
    ),
    needs("buildConfig", "a function is built from its source"),
    needs("buildConfig.runtime", "a function needs a runtime"),
    needs("buildConfig.entryPoint", "a function needs an entry point"),
    needs("buildConfig.source.storageSource", "the emulator builds from a bucket"),
    one_of("buildConfig.runtime", *PYTHONS),
    rule("serviceConfig.availableMemory", _is_memory, "must be 128M to 32Gi, such as 512Mi"),
    between("serviceConfig.timeoutSeconds", 1, 3600, "seconds"),
    between("serviceConfig.maxInstanceRequestConcurrency", 1, 1000),
    between("serviceConfig.minInstanceCount", 0, 1000),
    between("serviceConfig.maxInstanceCount", 1, 1000),
    one_of("serviceConfig.ingressSettings", "ALLOW_ALL", "ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB"),
    _cpu_rules,
    _environment_rules,
)


def _refers(inputs: Properties, context: Context) -> None:
    project = text(inputs, "project")
    need_api(context, project, "cloudfunctions", "run", "cloudbuild", "artifactregistry")
    email = text(inputs, "serviceConfig", "serviceAccountEmail")
    if email:
        need_account(context, email)
    _quota(inputs, context)
    building.need_builder(inputs, context)
    for variable in items(inputs, "serviceConfig", "secretEnvironmentVariables"):
        _readable(variable, runs_as(inputs), context)


def _quota(inputs: Properties, context: Context) -> None:
    """Refuses a service whose instances may together exceed the region's quota.

    A function without a bound gets one that fits. The words are those of
    github.com/googlecodelabs/feedback/issues/1856; firebase-tools issue 11001 and PR 5867 show the same.
    """
    project = settings_of(context, text(inputs, "project"))
    most = int(number(inputs, "serviceConfig", "maxInstanceCount", default=0))
    milli_cpu = round(cpus(inputs) * 1000)
    memory = (memory_mb(text(inputs, "serviceConfig", "availableMemory")) or 256) * 2**20
    if most * milli_cpu <= project.milli_cpu and most * memory <= project.memory_bytes:
        return
    fits = min(project.milli_cpu // milli_cpu, project.memory_bytes // memory)
    raise CloudError(
        "InvalidArgument",
        f"Max instances must be set to {fits} or fewer in order to set the requested total CPU. Quota "
        f"violated: CpuAllocPerProjectRegion requested: {most * milli_cpu} allowed: {project.milli_cpu}; "
        f"MemAllocPerProjectRegion requested: {most * memory} allowed: {project.memory_bytes}",
    )


def _readable(variable: Json, email: str, context: Context) -> None:
    """Refuses unless the secret and its version exist and the function's account may read them."""
    name, version = last(text(variable, "secret")), text(variable, "version")
    said = f"projects/{text(variable, 'projectId')}/secrets/{name}/versions/{version}"
    missing = CloudError("NOT_FOUND", f"Secret {said} was not found")
    context.need(SECRET, "secretId", name, missing)
    versions = {
        text(resource.outputs, "version")
        for resource in context.all(SECRET_VERSION)
        if last(text(resource.inputs, "secret")) == name
    }
    if version not in versions and not (version == "latest" and versions):
        raise missing
    if f"serviceAccount:{email}" not in members_of(context, SECRET_MEMBER, "secretId", name, ACCESSOR):
        raise CloudError(
            "PERMISSION_DENIED",
            f"Permission denied on secret: {said} for Revision service account {email}. The service account "
            f"used must be granted the 'Secret Manager Secret Accessor' role ({ACCESSOR}) at the secret, "
            "project or higher level.",
        )


def _build(inputs: Properties, context: Context) -> None:
    """Copies the source for Cloud Build: a later change of the object does not change the function."""
    source = fields(inputs, "buildConfig", "source", "storageSource")
    resource = _source(source, context)
    path = objects.object_file(resource, context.machine)
    objects.keep_package(path, str(resource.private["sha256"]), context, (ZIPPED_MB, UNZIPPED_MB))
    with zipfile.ZipFile(path) as archive:
        if "main.py" not in archive.namelist():
            raise CloudError(
                "BuildFailed",
                "missing main.py and GOOGLE_FUNCTION_SOURCE not specified. Either create the function in "
                "main.py or specify GOOGLE_FUNCTION_SOURCE to point to the file that contains the function",
            )


def _source(source: Properties, context: Context) -> Resource:
    bucket, name = text(source, "bucket"), text(source, "object")
    missing = CloudError("NOT_FOUND", f"No such object: {bucket}/{name}")
    context.need(BUCKET, "name", bucket, missing)
    resource = context.need(OBJECT, "id", f"{bucket}-{name}", missing)
    generation = at(source, "generation")
    if not objects.object_alive(resource, context.machine) or generation not in (
        None,
        resource.private["generation"],
    ):
        raise missing
    return resource


def _function(inputs: Properties, context: Context) -> Properties:
    """The outputs. `serviceConfig.uri` is the Cloud Run service's origin; `url` has the function's name as
    its path.

    Google: `https://NAME-NUMBER.REGION.run.app` and `https://REGION-PROJECT.cloudfunctions.net/NAME`, by
    cloud.google.com/run/docs/triggering/https-request and firebase-tools src/gcp/cloudfunctionsv2.ts.
    """
    project, where, name = (text(inputs, part) for part in ("project", "location", "name"))
    path = f"projects/{project}/locations/{where}"
    service_host = addresses.cloud_run(name, project, where)
    function_host = addresses.cloud_function(project, where)
    service: Properties = {
        "availableMemory": "256M",
        "availableCpu": "1",
        "timeoutSeconds": 60,
        "maxInstanceCount": 100,
        "maxInstanceRequestConcurrency": 1,
        "ingressSettings": "ALLOW_ALL",
        "serviceAccountEmail": runs_as(inputs),
        **fields(inputs, "serviceConfig"),
        "uri": f"http://{service_host}:{context.port()}",
        "service": f"{path}/services/{name}",
    }
    build = {
        "dockerRepository": building.repository(inputs),
        **fields(inputs, "buildConfig"),
        "build": f"projects/{PROJECT_NUMBER}/locations/{where}/builds/{context.uuid()}",
    }
    return {
        "id": f"{path}/functions/{name}",
        "url": f"http://{function_host}:{context.port()}/{name}",
        "state": "ACTIVE",
        "environment": "GEN_2",
        "updateTime": context.timestamp(),
        "serviceConfig": service,
        "buildConfig": build,
        **labels(inputs),
    }


def _parts(resource: Resource, context: Context) -> Iterator[str]:
    """The Cloud Run service is deleted with its function, and the service's policy with the service
    (cloud.google.com/functions/docs/reference/rest/v2/projects.locations.functions/delete).
    """
    service = tuple(text(resource.outputs, prop) for prop in ("project", "location", "name"))
    for each in context.all(SERVICE_MEMBER):
        if tuple(text(each.outputs, prop) for prop in ("project", "location", "name")) == service:
            yield each.key


RESOURCE_TYPES = (
    ResourceType(
        FUNCTION,
        lambda inputs, _: f"gcp/function/{inputs['project']}/{inputs['location']}/{inputs['name']}",
        _function,
        volatile=("updateTime", "serviceConfig", "buildConfig"),
        naming=named(),
        force_new=frozenset(("name", "location", "project", "kmsKeyName")),
        filled=("project",),
        rules=_RULES,
        refers=_refers,
        effects=_build,
        on_delete=building.leave,
        parts=_parts,
        exists="ALREADY_EXISTS",
    ),
)
