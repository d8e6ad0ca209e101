"""What a build of a function needs, and what builds leave behind.

Cloud Functions copies the source into its own bucket `gcf-v2-sources-NUMBER-REGION`, and the build's account
reads it there: github.com/hashicorp/terraform-provider-google/issues/20571, with these very words, in half of
the runs of a test that grants the roles just before. Images go to the repository that the function names, or
else to `gcf-artifacts`, which no program can remove: github.com/Worklytics/psoxy/pull/656. The roles:
cloud.google.com/run/docs/configuring/services/build-service-account. No document says that a build fails
without the role for its log, so it does not here.
"""

from __future__ import annotations

import re

from emulator.errors import CloudError
from emulator.providers.gcp.common import PROJECT_MEMBER, PROJECT_NUMBER, REPOSITORY_MEMBER, last
from emulator.providers.gcp.iam import BUCKETS, need_account
from emulator.providers.resource_types import Context
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, text

ALL = ("roles/cloudbuild.builds.builder", "roles/editor", "roles/owner")
READERS = (*ALL, "roles/storage.objectViewer", "roles/storage.objectUser", "roles/storage.objectAdmin")
WRITERS = (*ALL, "roles/artifactregistry.writer", "roles/artifactregistry.admin")


def repository(inputs: Properties) -> str:
    """Full name of the repository that the function's image goes to."""
    own = text(inputs, "buildConfig", "dockerRepository")
    return own or f"projects/{inputs['project']}/locations/{inputs['location']}/repositories/gcf-artifacts"


def need_builder(inputs: Properties, context: Context) -> None:
    """Refuses unless the build's account, if one is named, may read the source and write the image."""
    builder = text(inputs, "buildConfig", "serviceAccount")
    if not builder:
        return
    account = need_account(context, builder).outputs
    member, project = text(account, "member"), text(inputs, "project")
    sources = f"gcf-v2-sources-{PROJECT_NUMBER}-{inputs['location']}"
    if not any(_covers(resource, sources) for resource in _roles(context, project, member, READERS)):
        raise CloudError(
            "BuildFailed",
            "Error code 13, message: Build failed with status: FAILURE and message: failed to Fetch: failed "
            f"to download archive gs://{sources}/{inputs['name']}/function-source.zip: Access to bucket "
            f"{sources} denied. You must grant Storage Object Viewer permission to {text(account, 'email')}. "
            "If you are using VPC Service Controls, you must also grant it access to your service perimeter.",
        )
    if not any(True for _ in _roles(context, project, member, WRITERS)) and not _writes(
        context, last(repository(inputs)), member
    ):
        raise CloudError(
            "BuildFailed",
            "Error code 3, message: Build failed with status: FAILURE. Could not build the function due to a "
            "missing permission on the build service account. If you didn't revoke that permission "
            "explicitly, this could be caused by a change in the organization policies.",
        )


def leave(resource: Resource, context: Context) -> None:
    """Leaves what stays of a function's builds after its deletion."""
    inputs = resource.inputs
    where = f"{inputs['project']}/{inputs['location']}"
    for kind in ("sources", "uploads"):
        context.leave(
            f"gcp/gcf-v2-{kind}/{where}",
            f"bucket gcf-v2-{kind}-{PROJECT_NUMBER}-{inputs['location']} of Cloud Functions, with sources",
            costs="0.02 USD per GiB and month",
        )
    if not text(inputs, "buildConfig", "dockerRepository"):
        context.leave(
            f"gcp/gcf-artifacts/{where}",
            f"images in the repository gcf-artifacts in {inputs['location']}",
            costs="0.10 USD per GiB and month",
        )


def _roles(context: Context, project: str, member: str, roles: tuple[str, ...]) -> list[Resource]:
    resources = [
        resource for resource in context.all(PROJECT_MEMBER) if text(resource.inputs, "project") == project
    ]
    mine = [
        resource
        for resource in resources
        if text(resource.inputs, "member") == member and context.effective(resource)
    ]
    return [resource for resource in mine if text(resource.inputs, "role") in roles]


def _covers(resource: Resource, bucket: str) -> bool:
    expression = text(resource.inputs, "condition", "expression")
    condition = re.fullmatch(BUCKETS, expression)
    return not expression or (condition is not None and bucket.startswith(condition[1]))


def _writes(context: Context, repository: str, member: str) -> bool:
    return any(
        last(text(resource.inputs, "repository")) == repository
        and text(resource.inputs, "member") == member
        and text(resource.inputs, "role") in WRITERS
        and context.effective(resource)
        for resource in context.all(REPOSITORY_MEMBER)
    )
