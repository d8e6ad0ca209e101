"""The gcp provider: a Cloud Run function and everything around it."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.providers.gcp import functions, iam, images, project, services, storage
from emulator.providers.gcp.common import PROJECT, PROJECT_NUMBER
from emulator.providers.gcp.project import need_project
from emulator.providers.registry import Invoke
from emulator.providers.resource_types import Context
from emulator.providers.values import Json, Properties, text

RESOURCE_TYPES = (
    *project.RESOURCE_TYPES,
    *iam.RESOURCE_TYPES,
    *storage.RESOURCE_TYPES,
    *images.RESOURCE_TYPES,
    *functions.RESOURCE_TYPES,
    *services.RESOURCE_TYPES,
)
# The emulated credentials belong to a project, as application default credentials do.
DEFAULTS: Mapping[str, Json] = {"project": PROJECT}


def _project_id(context: Context) -> str:
    return text(dict(context.config), "project") or PROJECT


def _project(inputs: Properties, context: Context) -> Properties:
    """A project's data, read through Cloud Resource Manager."""
    project = text(inputs, "projectId") or _project_id(context)
    need_project(context, project)
    return {
        "id": f"projects/{project}",
        "projectId": project,
        "name": project,
        "number": PROJECT_NUMBER,
        "labels": {},
        "effectiveLabels": {},
    }


def _client(inputs: Properties, context: Context) -> Properties:
    config = dict(context.config)
    project, region = _project_id(context), text(config, "region")
    return {
        "id": f"projects/{project}/regions/{region}/zones/{text(config, 'zone')}",
        "project": project,
        "region": region,
        "zone": text(config, "zone"),
        "accessToken": "emulator",
        "defaultLabels": config.get("defaultLabels") or {},
    }


INVOKES: Mapping[str, Invoke] = {
    "gcp:organizations/getProject:getProject": _project,
    "gcp:organizations/getClientConfig:getClientConfig": _client,
    "gcp:cloudquota/getSQuotaInfo:getSQuotaInfo": project.quota_info,
}
