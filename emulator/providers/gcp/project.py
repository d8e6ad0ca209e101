"""A Google Cloud project: its enabled services, its quotas, its organisation's constraints.

The project's settings are resources of the store that no program can name. A project without one is prepared
as
the documentation demands before a first deployment: Cloud Resource Manager is enabled. With
`settings_resource(fresh=True)` it is not.

Sources. Enabled by default: cloud.google.com/service-usage/docs/enabled-service. Enabling an enabled service
succeeds without another call; otherwise the provider reads the project through Cloud Resource Manager:
terraform-provider-google google/services/resourcemanager/resource_google_project_service.go. That one must be
enabled by hand: its issues 6101 and 11435. The time until an enabled service answers: its refusal says "wait
a
few minutes". Quotas of a new project (20 vCPU and 40 GiB in a region):
github.com/googlecodelabs/feedback/issues/1856.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emulator.errors import CloudError
from emulator.providers import leftovers
from emulator.providers.gcp.common import PROJECT_NUMBER, RUN_REGIONS, SERVICE
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.rules import pattern
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, number, text

SETTINGS: Final = "emulator:gcp/project:Project"
ENABLED: Final = "emulator:gcp/api:Api"
RESOURCE_MANAGER: Final = "cloudresourcemanager"
BY_DEFAULT: Final = frozenset(
    (
        *(
            "cloudapis",
            "cloudtrace",
            "datastore",
            "logging",
            "monitoring",
            "servicemanagement",
            "serviceusage",
        ),
        *("sql-component", "storage", "storage-api", "storage-component"),
    )
)
ENABLING_S: Final = 30.0
QUOTAS: Final = "cloudquotas"
CPU_QUOTA: Final = ("run.googleapis.com", "CpuAllocPerProjectRegion")
MILLI_CPU: Final = 20_000
MEMORY_BYTES: Final = 40 * 2**30


@dataclass(frozen=True, slots=True)
class Settings:
    """fresh: Cloud Resource Manager is off. domain_restricted: members must be of the organisation.

    milli_cpu, memory_bytes: limits of one service's instances in a region. absent: the project does not
    exist, or
    the credential may not see it.
    """

    fresh: bool = False
    domain_restricted: bool = False
    absent: bool = False
    milli_cpu: int = MILLI_CPU
    memory_bytes: int = MEMORY_BYTES


def settings_resource(project: str, settings: Settings) -> Resource:
    """The settings as a resource of the store."""
    outputs: Properties = {
        "fresh": settings.fresh,
        "domainRestricted": settings.domain_restricted,
        "absent": settings.absent,
        "milliCpu": settings.milli_cpu,
        "memoryBytes": settings.memory_bytes,
    }
    return Resource(f"emulator/gcp/project/{project}", SETTINGS, project, "", {}, outputs)


def settings_of(context: Context, project: str) -> Settings:
    resource = context.resources.get(f"emulator/gcp/project/{project}")
    if resource is None:
        return Settings()
    return Settings(
        resource.outputs["fresh"] is True,
        resource.outputs["domainRestricted"] is True,
        resource.outputs["absent"] is True,
        int(number(resource.outputs, "milliCpu")),
        int(number(resource.outputs, "memoryBytes")),
    )


def need_api(context: Context, project: str, *names: str) -> None:
    """Raises unless these services of the project are enabled and have had time to start."""
    for name in names:
        if not _answers(context, project, name):
            raise CloudError(
                "SERVICE_DISABLED",
                f"{name}.googleapis.com has not been used in project {project} before or it is disabled. "
                f"Enable it by visiting https://console.developers.google.com/apis/api/{name}.googleapis.com"
                f"/overview?project={PROJECT_NUMBER} then retry. If you enabled this API recently, wait a "
                "few minutes for the action to propagate to our systems and retry. (gcp.projects.Service "
                "enables it: make this resource depend on that, and on a wait after it.)",
            )


def need_project(context: Context, project: str) -> None:
    """Raises unless the project exists and Cloud Resource Manager answers.

    The words for a missing one: terraform-provider-google google/services/resourcemanager/
    data_source_google_project.go.
    """
    if settings_of(context, project).absent:
        raise CloudError("NotFound", f"projects/{project} not found or not in ACTIVE state")
    need_api(context, project, RESOURCE_MANAGER)


def enabled_resource(project: str, service: str) -> Resource:
    """A service that has been enabled for long, as a resource of the store."""
    key = _key(project, service)
    return Resource(key, ENABLED, key, "", {}, {})


def quota_info(inputs: Properties, context: Context) -> Properties:
    """One quota, by the Cloud Quotas API, which is off by default:
    docs.cloud.google.com/docs/quotas/api-overview. An entry covers a region unless one exists for that region
    alone.
    """
    project = text(inputs, "parent").split("/")[1]
    need_api(context, project, QUOTAS)
    quota, service = text(inputs, "quotaId"), text(inputs, "service")
    if (service, quota) != CPU_QUOTA:
        raise CloudError("NOT_FOUND", f"{service} has no quota {quota}")
    value = str(settings_of(context, project).milli_cpu)
    everywhere: Properties = {
        "applicableLocations": list(RUN_REGIONS),
        "details": [{"value": value}],
        "dimensions": {},
    }
    named = f"{text(inputs, 'parent')}/locations/global/services/{service}/quotaInfos/{quota}"
    return {**inputs, "id": named, "name": named, "dimensions": ["region"], "dimensionsInfos": [everywhere]}


def _key(project: str, service: str) -> str:
    return f"emulator/gcp/api/{project}/{service}"


def _on(context: Context, project: str, name: str) -> bool:
    prepared = name == RESOURCE_MANAGER and not settings_of(context, project).fresh
    return name in BY_DEFAULT or prepared or _key(project, name) in context.resources


def _answers(context: Context, project: str, name: str) -> bool:
    resource = context.resources.get(_key(project, name))
    return _on(context, project, name) and (resource is None or context.effective(resource))


def _left(inputs: Properties) -> str:
    return f"gcp/api/{inputs['project']}/{inputs['service']}"


def _name(inputs: Properties) -> str:
    return text(inputs, "service").removesuffix(".googleapis.com")


def _enable(inputs: Properties, context: Context) -> None:
    project, name = text(inputs, "project"), _name(inputs)
    need_api(context, project, "serviceusage")
    context.gone.append(leftovers.left_key(_left(inputs)))
    if _on(context, project, name):
        return
    at = context.machine.clock() + context.machine.scaled(ENABLING_S)
    key = _key(project, name)
    context.extra.append(Resource(key, ENABLED, key, "", {}, {}, {"effective_at": at}))
    need_project(context, project)


def _disable(resource: Resource, context: Context) -> None:
    if resource.inputs.get("disableOnDestroy") is False:
        if text(resource.inputs, "service").removesuffix(".googleapis.com") not in BY_DEFAULT:
            context.leave(
                _left(resource.inputs),
                f"{resource.inputs['service']} stays enabled in {resource.inputs['project']}",
            )
        return
    context.gone.append(_key(text(resource.inputs, "project"), _name(resource.inputs)))


RESOURCE_TYPES = (
    ResourceType(
        SERVICE,
        # An enabled service belongs to no stack: any number of resources may enable it.
        lambda inputs, context: (
            f"gcp/service/{inputs['project']}/{inputs['service']}/"
            f"{context.private.setdefault('one', context.hex(12))}"
        ),
        lambda inputs, _: {"id": f"{inputs['project']}/{inputs['service']}"},
        force_new=frozenset(("project", "service")),
        filled=("project",),
        rules=pattern("service", r"[a-z0-9-]+\.googleapis\.com", "must end in .googleapis.com"),
        effects=_enable,
        on_delete=_disable,
    ),
)
