"""The emulated Google refuses, or breaks, the deployment that this program once asked for.

Inputs are those that the program registered at commit 0db1ae2; no program runs here. They show that the
emulator finds the faults by itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.local.providers.gcp import common as gcp
from infra.local.providers.table import Row
from router.settings import SettingsError, router_settings
from tests.infra.account import Account

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

    def agent(self, **service: Any) -> Row:  # noqa: ANN401 - JSON
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
    url = project.agent().outputs["url"]
    target = {"cloud": "gcp", "region": "europe-west1", "url": url, "weight": 1}
    environment = {"SKYFLEET_CLOUD": "gcp", "SKYFLEET_REGION": "europe-west1"}
    with pytest.raises(SettingsError, match="expected an origin without path"):
        router_settings({**environment, "SKYFLEET_TARGETS": json.dumps([target])}, "build")
