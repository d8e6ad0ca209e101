"""The questions of a preflight, answered by the emulator through the real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from emulator.providers.aws import account
from emulator.providers.gcp import project
from emulator.providers.storage.resource_store import Resource
from tests.end_to_end.stack import Said, Stack

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("preflight")]

PROGRAM = """
import os
import pulumi
from infra import preflight
from infra.errors import InfraError
from infra.config.parse import parse_settings

CLOUDS = {"aws": {"regions": ["af-south-1"]}, "azure": {"regions": ["westeurope"]},
          "gcp": {"regions": ["europe-west1"], "project": "my-project"}}
config = {"skyfleet:clouds": CLOUDS, "skyfleet:emulator": {}, **pulumi.runtime.get_config_env()}
settings = parse_settings(config, "local")
try:
    preflight.require_shell(settings, os.environ)
    report = preflight.require_accounts(settings, {}, os.environ)
    pulumi.export("report", report.facts)
    pulumi.export("namePrefix", settings.prefix)
except InfraError as error:
    raise pulumi.RunError(str(error)) from None
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, pulumi_path: str) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("preflight"), pulumi_path)
    stack.init()
    stack.program(PROGRAM)
    yield stack
    stack.stop()


def told(stack: Stack, *resources: Resource) -> Said:
    """An update of accounts that are like that."""
    stack.stop()
    store = stack.resource_store
    store.change(put=resources, remove=[key for key in store.resources if key.startswith("emulator/")])
    stack.start()
    return stack.up()


def test_accounts_that_fit_are_named(stack: Stack) -> None:
    """By the identity that the deployment has; nothing stands in the way."""
    said = told(stack)
    assert said.code == 0, said.text
    report = json.loads(stack.run("stack", "output", "report").text)
    assert list(report["accounts"]) == ["aws", "azure", "gcp"]
    assert report["stops"] == []


def test_a_region_that_is_not_enabled_stops_the_deployment_before_anything_is_made(stack: Stack) -> None:
    """The line holds the command that mends it."""
    said = told(stack, account.settings_resource(account.Settings(closed=("af-south-1",))))
    assert said.code != 0
    assert "aws account enable-region --region-name af-south-1" in said.text
    assert "Preflight failed; nothing was deployed" in said.text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (project.Settings(absent=True), "gcp: the project my-project is not there or may not be read"),
        (project.Settings(fresh=True), "gcloud services enable cloudresourcemanager.googleapis.com"),
        (project.Settings(milli_cpu=5000), "Cloud Run may use 5 vCPU in europe-west1"),
    ],
)
def test_a_project_that_does_not_fit_stops_the_deployment(
    stack: Stack, settings: project.Settings, said: str
) -> None:
    """A wrong project, an API that is off, a quota that is too small."""
    resources = (
        project.settings_resource("my-project", settings),
        project.enabled_resource("my-project", "cloudquotas"),
    )
    found = told(stack, *resources)
    assert found.code != 0
    assert said in found.text
    assert "Preflight failed; nothing was deployed" in found.text


@pytest.mark.parametrize("quota", [10, None])
def test_a_small_quota_or_none_is_only_worth_knowing(stack: Stack, quota: int | None) -> None:
    """A new account; an account without default quotas."""
    said = told(stack, account.settings_resource(account.Settings(concurrency=quota)))
    assert said.code == 0, said.text
    (note,) = [
        note
        for note in json.loads(stack.run("stack", "output", "report").text)["notes"]
        if note.startswith("aws")
    ]
    assert "Lambda" in note


def test_a_changed_name_is_refused_until_it_is_permitted(stack: Stack) -> None:
    """The real engine reads the beginning of the names that the last deployment left."""
    assert told(stack).code == 0
    assert stack.run("config", "set", "skyfleet:name", "shop").code == 0
    refused = stack.run("preview")
    assert refused.code != 0
    assert "those of the deployed fleet begin with skyfleet-local" in refused.text
    stack.run("config", "set", "skyfleet:replaces", "skyfleet-local")
    permitted = stack.up()
    assert permitted.code == 0, permitted.text
    assert "warning: names: " in permitted.text
