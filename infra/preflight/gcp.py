"""What is asked of a Google Cloud project before anything is created in it.

Reading the project is also the first thing that the provider does for every service that it enables, through
the Cloud Resource Manager API, which must be on before the first deployment (terraform-provider-google
google/services/resourcemanager/resource_google_project_service.go; its issues 6101 and 11435). A function
whose instances could need more than the regional quota is refused (github.com/googlecodelabs/feedback/issues/
1856).

The rule of this file: pure. The project is asked through an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from infra.config.instances import google_cpus
from infra.config.model import Place, Settings
from infra.preflight.findings import CloudError, Finding, Report, unavailable

BOOTSTRAP = ("cloudresourcemanager.googleapis.com", "serviceusage.googleapis.com")
API_OFF = re.compile(r"has not been used in project|SERVICE_DISABLED|it is disabled|accessNotConfigured")
NO_CREDENTIAL = re.compile(r"default credentials|invalid_grant|oauth2|reauth|401", re.IGNORECASE)
QUOTA_SERVICE, QUOTA = "run.googleapis.com", "CpuAllocPerProjectRegion"
MILLI = 1000  # of a vCPU, in which the quota counts


class Project(Protocol):
    """The questions; each raises CloudError."""

    def number(self, project: str) -> str:
        """The project's number: it is there and may be read."""
        ...

    def milli_cpu(self, project: str, region: str) -> float | None:
        """The regional quota of Cloud Run; None when there is no such quota."""
        ...


def check(settings: Settings, project: Project) -> Report:
    name = settings.project or ""
    try:
        number = project.number(name)
    except CloudError as refused:
        found = unavailable("gcp", refused) if refused.busy else _refusal(name, str(refused))
        return Report({}, (found,))
    return Report({"gcp": f"project {name} ({number})"}, tuple(_quotas(settings, project, name)))


def _refusal(name: str, said: str) -> Finding:
    if API_OFF.search(said):
        return Finding(
            "gcp",
            f"the Cloud Resource Manager API is off in project {name}; nothing can be deployed without it",
            f"Run `gcloud services enable {' '.join(BOOTSTRAP)} --project {name}` and wait some minutes",
        )
    if NO_CREDENTIAL.search(said):
        return Finding(
            "gcp",
            f"the credential is not accepted: {said}",
            "Run `gcloud auth application-default login`",
        )
    return Finding(
        "gcp",
        f"the project {name} is not there or may not be read: {said}",
        "Run `gcloud projects list`, and name yours in skyfleet:clouds.gcp.project",
    )


def _quotas(settings: Settings, project: Project, name: str) -> Iterator[Finding]:
    for place in (place for place in settings.places if place.cloud == "gcp"):
        region, (needed, cpus) = place.region, _needed(settings, place)
        try:
            quota = project.milli_cpu(name, region)
        except CloudError as refused:
            why = "the Cloud Quotas API is off" if API_OFF.search(str(refused)) else str(refused)
            yield Finding(
                "gcp",
                f"the quota of {region} was not told: {why}",
                f"To have it checked: `gcloud services enable cloudquotas.googleapis.com --project {name}`",
                stops=False,
            )
            return
        if quota is None:
            yield Finding(
                "gcp",
                f"Google names no quota of vCPU in {region} for this project",
                f"Run `gcloud beta quotas info list --service {QUOTA_SERVICE} --project {name}` to see them",
                stops=False,
            )
        elif quota < needed:
            yield Finding(
                "gcp",
                f"Cloud Run may use {quota / MILLI:g} vCPU in {region}, and one function asks for up to "
                f"{needed / MILLI:g}",
                f"Set maxInstances in skyfleet:clouds.gcp to {quota // (MILLI * cpus):g} or fewer, or ask "
                f"for more: https://console.cloud.google.com/iam-admin/quotas?project={name} ({QUOTA})",
            )


def _needed(settings: Settings, place: Place) -> tuple[int, int]:
    """The thousandths of a vCPU that the larger of agent and router may use there, and the vCPU of one of its
    instances."""
    target = settings.target(place)
    cpus = google_cpus(target.instances.memory_mb or 0)
    agent = ((settings.max_instances(target) or 0) * cpus * MILLI, cpus)
    if settings.gcp is None or place not in settings.routers:
        return agent
    return max(agent, (settings.gcp.max_instances * MILLI, 1))
