"""The emulated Google refuses, or breaks, the deployment that this program once asked for.

Inputs are those that the program registered at commit 0db1ae2; no program runs here. They show that the
emulator finds the faults by itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import CloudError
from emulator.providers.gcp import common as gcp
from emulator.providers.gcp.project import Settings, settings_resource
from emulator.providers.storage.resource_store import Resource
from router.config import SettingsError, router_settings
from tests.emulator.account import Account

PROJECT = "my-project"
PLACE = {"location": "europe-west1"}
SERVICES = (
    "artifactregistry",
    "cloudbuild",
    "cloudfunctions",
    "cloudscheduler",
    "iam",
    "logging",
    "monitoring",
    "run",
    "secretmanager",
)


class Project(Account):
    """A project of Google Cloud, and the steps of the former program."""

    def enable(self) -> None:
        for service in SERVICES:
            name = f"gcp-europe-west1-{service}"
            inputs = {"service": f"{service}.googleapis.com", "disableOnDestroy": False}
            self.create(gcp.SERVICE, name, **inputs)

    def agent(self, **service: Any) -> Resource:  # noqa: ANN401 - JSON
        """The agent's function, built and run as it was."""
        account = self.create(gcp.ACCOUNT, "gcp-europe-west1-agent", accountId="skyfleet-dev-agent")
        builder = self.create(gcp.ACCOUNT, "gcp-europe-west1-builder", accountId="skyfleet-dev-builder")
        grant = {
            "role": "roles/cloudbuild.builds.builder",
            "member": builder.outputs["member"],
            "project": PROJECT,
        }
        self.create(gcp.PROJECT_MEMBER, "gcp-europe-west1-builder", **grant)
        bucket = self.create(gcp.BUCKET, "packages", name="skyfleet-dev-packages", location="EUROPE-WEST1")
        source = self.package("agent.zip", **{"main.py": "x = 1"})
        package = self.create(gcp.OBJECT, "agent.zip", bucket=bucket.id, source=source)
        storage = {"bucket": bucket.id, "object": package.outputs["name"]}
        build = {
            "runtime": "python313",
            "entryPoint": "main",
            "serviceAccount": builder.id,
            "source": {"storageSource": storage},
        }
        settings = {
            "serviceAccountEmail": account.outputs["email"],
            "availableMemory": "512Mi",
            "availableCpu": "1",
            "timeoutSeconds": 230,
            "maxInstanceRequestConcurrency": 40,
            "minInstanceCount": 0,
            "maxInstanceCount": 100,
            "ingressSettings": "ALLOW_ALL",
            "allTrafficOnLatestRevision": True,
        }
        name = "skyfleet-dev-agent"
        return self.create(
            gcp.FUNCTION, name, name=name, **PLACE, buildConfig=build, serviceConfig={**settings, **service}
        )


def test_no_router_starts_with_a_functions_url(tmp_path: Path) -> None:
    """The former program gave routers `url`, which has a path on Google: their settings refuse it."""
    project = Project(tmp_path)
    project.enable()
    url = project.agent(maxInstanceCount=10).outputs["url"]
    target = {"cloud": "gcp", "region": "europe-west1", "url": url, "weight": 1}
    environment = {"SKYFLEET_CLOUD": "gcp", "SKYFLEET_REGION": "europe-west1"}
    with pytest.raises(SettingsError, match="expected an origin without path"):
        router_settings({**environment, "SKYFLEET_TARGETS": json.dumps([target])}, "build")


def test_a_project_without_resource_manager_refuses_the_first_service(tmp_path: Path) -> None:
    """The former program neither asked for it beforehand nor enabled it: its first resource fails."""
    project = Project(tmp_path)
    project.table.change(put=[settings_resource(PROJECT, Settings(fresh=True))])
    with pytest.raises(
        CloudError, match=r"cloudresourcemanager\.googleapis\.com has not been used in project"
    ):
        project.enable()


def test_a_hundred_instances_do_not_fit_into_a_new_project(tmp_path: Path) -> None:
    """100 vCPU are five times the quota of a region, and Google checks that when a function is deployed."""
    project = Project(tmp_path)
    project.enable()
    with pytest.raises(CloudError, match=r"set to 20 or fewer.*requested: 100000 allowed: 20000"):
        project.agent()


def test_a_destroyed_stacks_log_bucket_blocks_the_next_one(tmp_path: Path) -> None:
    """The former program gave it a name without a suffix, and Google holds that for seven days."""
    project = Project(tmp_path, delays=1.0)
    project.enable()
    inputs = {**PLACE, "project": PROJECT, "bucketId": "skyfleet-dev-europe-west1", "retentionDays": 30}
    project.delete(project.create(gcp.LOG_BUCKET, "gcp-europe-west1-logs", **inputs))
    with pytest.raises(CloudError, match="must be in an ACTIVE state"):
        project.create(gcp.LOG_BUCKET, "gcp-europe-west1-logs", "two", **inputs)
    project.wait(7 * 86400)
    project.create(gcp.LOG_BUCKET, "gcp-europe-west1-logs", "three", **inputs)


def test_a_build_right_after_its_roles_cannot_read_the_source(tmp_path: Path) -> None:
    """The former program built at once; a role acts two minutes later, a service half a minute."""
    project = Project(tmp_path, delays=1.0)
    project.enable()
    with pytest.raises(CloudError, match="wait a few minutes for the action to propagate"):
        project.agent(maxInstanceCount=10)
    project.wait(60)
    with pytest.raises(CloudError, match="You must grant Storage Object Viewer permission to skyfleet-dev-b"):
        project.agent(maxInstanceCount=10)


def test_a_destroyed_stack_leaves_images_and_soft_deleted_objects(tmp_path: Path) -> None:
    """Both cost: the images for ever, the objects for seven days."""
    project = Project(tmp_path)
    project.enable()
    for resource in [*project.table.resources.values(), project.agent(maxInstanceCount=10)]:
        if resource.token == gcp.FUNCTION:
            project.delete(resource)
    project.delays = 1.0
    (bucket,) = (resource for resource in project.table.resources.values() if resource.token == gcp.BUCKET)
    (package,) = (resource for resource in project.table.resources.values() if resource.token == gcp.OBJECT)
    project.delete(package)
    project.delete(bucket)
    kept = {str(each["what"]): each["costs"] for each in project.operations.remaining() if each["costs"]}
    assert "images in the repository gcf-artifacts in europe-west1" in kept
    assert f"soft-deleted objects of the bucket {bucket.id}" in kept
    assert len(kept) == 4  # and the sources' two buckets
