"""Artifact Registry: repositories of the images that Cloud Build makes of functions' sources."""

from __future__ import annotations

from emulator.providers.gcp.common import REPOSITORY, labels, last
from emulator.providers.gcp.project import need_api
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.rules import one_of, pattern, rules
from emulator.providers.values import Properties, text


def _on(inputs: Properties, context: Context) -> None:
    need_api(context, text(inputs, "project"), "artifactregistry")


def _repository(inputs: Properties, context: Context) -> Properties:
    name = text(inputs, "repositoryId")
    path = f"projects/{inputs['project']}/locations/{inputs['location']}/repositories/{name}"
    return {
        "id": path,
        "name": last(path),
        "createTime": context.keep("createTime", context.timestamp),
        "updateTime": context.timestamp(),
        **labels(inputs),
    }


RESOURCE_TYPES = (
    ResourceType(
        REPOSITORY,
        lambda inputs, _: f"gcp/repository/{inputs['project']}/{inputs['location']}/{inputs['repositoryId']}",
        _repository,
        volatile=("updateTime",),
        force_new=frozenset(("repositoryId", "location", "project", "format")),
        filled=("project",),
        rules=rules(
            pattern("repositoryId", r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "must be 1 to 63 lower-case letters"),
            one_of("format", "DOCKER", "MAVEN", "NPM", "PYTHON", "APT", "YUM", "GO", "GENERIC", "KFP"),
        ),
        refers=_on,
        exists="ALREADY_EXISTS",
    ),
)
