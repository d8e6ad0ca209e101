"""Tests of the Google Cloud resources that the program registers: a new project, its quotas, security."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from infra.config.regions import REGIONS, SCHEDULER_REGIONS, scheduler_region
from router.config import checker_settings, router_settings
from tests.infra.recorded import Resource, of_type, recorded, settings_for

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

BUCKET = "gcp:storage/bucket:Bucket"
MEMBERS = (
    "gcp:projects/iAMMember:IAMMember",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
)
ACCOUNT = "gcp:serviceaccount/account:Account"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
SECRET = "gcp:secretmanager/secret:Secret"
SERVICE = "gcp:projects/service:Service"
SLEEP = "time:index/sleep:Sleep"
FUNCTION = "gcp:cloudfunctionsv2/function:Function"
JOB = "gcp:cloudscheduler/job:Job"
PLACE = "gcp-europe-west1"
KEYS = json.dumps({"k1": "a-made-up-signing-key-of-32-bytes"})


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A fleet on Google Cloud alone."""
    return recorded(settings_for("gcp"), tmp_path_factory.mktemp("packages"))


def function(fleet: list[Resource], role: str) -> Resource:
    (found,) = (each for each in of_type(fleet, FUNCTION) if each.labels["skyfleet-role"] == role)
    return found


def environment(fleet: list[Resource], role: str) -> Mapping[str, str]:
    service = function(fleet, role).inputs["serviceConfig"]
    return cast("Mapping[str, str]", service["environmentVariables"])


def test_routers_and_checkers_start_with_their_urls(google: list[Resource]) -> None:
    """Each URL is the origin of a Cloud Run service, without the path of a cloudfunctions.net URL."""
    router = router_settings({**environment(google, "router"), "SKYFLEET_ROOT_KEYS": KEYS}, "build")
    checker = checker_settings({**environment(google, "checker"), "SKYFLEET_SIGNING_KEYS": KEYS}, "build")
    assert [target.origin.host for target in router.targets] == ["gcp-europe-west1-agent.run.app"]
    assert [target.origin.host for target in checker.targets] == ["gcp-europe-west1-agent.run.app"]
    assert [origin.host for origin in checker.routers] == ["gcp-europe-west1-router.run.app"]


def test_the_scheduler_calls_the_service_with_a_token_for_it(google: list[Resource]) -> None:
    """Target and audience are the URI of the checker's Cloud Run service."""
    (job,) = of_type(google, JOB)
    target = job.inputs["httpTarget"]
    uri = "https://gcp-europe-west1-checker.run.app"
    assert (target["uri"], target["oidcToken"]["audience"]) == (uri, uri)


def test_services_are_enabled_once_and_resource_manager_first(google: list[Resource]) -> None:
    """Enabling a service needs Cloud Resource Manager, and all other resources need the enabled services."""
    services = of_type(google, SERVICE)
    names = [each.inputs["service"].removesuffix(".googleapis.com") for each in services]
    assert names[0] == "cloudresourcemanager"
    assert {"artifactregistry", "iam", "run", "storage"} < set(names)
    assert not any(each.inputs["disableOnDestroy"] for each in services)
    assert all(services[0].label in each.depends for each in services[1:])
    for token in (*MEMBERS[:1], BUCKET, REPOSITORY, ACCOUNT, SECRET, FUNCTION):
        assert all(f"{SLEEP}::gcp-services-take-effect" in each.depends for each in of_type(google, token))


def test_two_regions_share_the_services_and_nothing_else(tmp_path: Path) -> None:
    """Services belong to the project; buckets, images and builders belong to the region."""
    two: dict[str, object] = {"gcp": {"regions": ["europe-west1", "us-east1"], "project": "test-project"}}
    found = recorded(settings_for("gcp", clouds=two), tmp_path)
    services = [each.inputs["service"] for each in of_type(found, SERVICE)]
    assert len(services) == len(set(services))
    assert len(of_type(found, BUCKET)) == 4
    assert len(of_type(found, REPOSITORY)) == 2


def test_a_first_deployment_waits_for_services_and_roles(google: list[Resource]) -> None:
    """Each wait is repeated when its resource is replaced, and functions are created after it."""
    waits = {each.name: each.inputs for each in of_type(google, SLEEP)}
    assert {name: inputs["createDuration"] for name, inputs in waits.items()} == {
        "gcp-services-take-effect": "60s",
        "gcp-europe-west1-builder-may-build": "150s",
        "gcp-europe-west1-agent-roles-take-effect": "150s",
        "gcp-europe-west1-router-roles-take-effect": "150s",
        "gcp-europe-west1-checker-roles-take-effect": "150s",
    }
    assert all(inputs["triggers"] for inputs in waits.values())
    for role in ("agent", "router", "checker"):
        acting = {f"{PLACE}-builder-may-build", f"{PLACE}-{role}-roles-take-effect"}
        assert {f"{SLEEP}::{name}" for name in acting} <= function(google, role).depends


def test_instances_fit_into_the_quota_of_a_new_project(google: list[Resource], tmp_path: Path) -> None:
    """The quota is 20 vCPU and 40 GiB per region; the number is a setting, and a checker has at most two."""
    most = {
        role: function(google, role).inputs["serviceConfig"]["maxInstanceCount"]
        for role in ("agent", "router", "checker")
    }
    assert most == {"agent": 10, "router": 10, "checker": 2}
    more: dict[str, object] = {
        "gcp": {"regions": ["europe-west1"], "project": "test-project", "maxInstances": 40}
    }
    found = recorded(settings_for("gcp", clouds=more), tmp_path)
    assert function(found, "agent").inputs["serviceConfig"]["maxInstanceCount"] == 40
    assert function(found, "checker").inputs["serviceConfig"]["maxInstanceCount"] == 2


def test_the_buckets_keep_no_deleted_objects(google: list[Resource]) -> None:
    """By default Google keeps and bills overwritten and deleted objects for seven days."""
    kept = [each.inputs["softDeletePolicy"]["retentionDurationSeconds"] for each in of_type(google, BUCKET)]
    assert kept == [0, 0]


def test_images_are_in_a_repository_of_the_stack(google: list[Resource]) -> None:
    """It is deleted with the stack, and old images are deleted earlier."""
    (repository,) = of_type(google, REPOSITORY)
    actions = {policy["action"] for policy in repository.inputs["cleanupPolicies"]}
    assert actions == {"KEEP", "DELETE"}
    for role in ("agent", "router", "checker"):
        build = function(google, role).inputs["buildConfig"]
        assert build["dockerRepository"] == f"{repository.name}-id"


def test_the_builder_can_only_read_sources_and_write_images_and_logs(google: list[Resource]) -> None:
    """Its project-wide roles are that for logs and one limited to sources."""
    builders = [
        (each.token, each.inputs["role"], each.inputs.get("condition", {}).get("expression"))
        for token in MEMBERS
        for each in of_type(google, token)
        if "builder" in each.inputs["member"]
    ]
    sources = 'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-")'
    assert sorted(builders, key=str) == sorted(
        [
            ("gcp:projects/iAMMember:IAMMember", "roles/storage.objectViewer", sources),
            ("gcp:projects/iAMMember:IAMMember", "roles/logging.logWriter", None),
            ("gcp:storage/bucketIAMMember:BucketIAMMember", "roles/storage.objectViewer", None),
            (
                "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
                "roles/artifactregistry.writer",
                None,
            ),
        ],
        key=str,
    )


def test_only_the_scheduler_reaches_the_checker(google: list[Resource]) -> None:
    """Its URL refuses requests from outside the project."""
    ingress = {
        role: function(google, role).inputs["serviceConfig"]["ingressSettings"]
        for role in ("agent", "router", "checker")
    }
    assert ingress == {"agent": "ALLOW_ALL", "router": "ALLOW_ALL", "checker": "ALLOW_INTERNAL_ONLY"}


def test_public_false_grants_nothing_to_all_users(tmp_path: Path) -> None:
    """In an organisation that forbids public functions the operator grants access manually."""
    closed: dict[str, object] = {
        "gcp": {"regions": ["europe-west1"], "project": "test-project", "public": False}
    }
    found = recorded(settings_for("gcp", clouds=closed), tmp_path)
    members = [
        each.inputs["member"] for each in of_type(found, "gcp:cloudrunv2/serviceIamMember:ServiceIamMember")
    ]
    assert members == ["serviceAccount:gcp-europe-west1-scheduler@test.iam.gserviceaccount.com"]
    assert environment(found, "router")["SKYFLEET_TARGETS"]


def test_a_schedule_is_in_a_region_with_cloud_scheduler(tmp_path: Path) -> None:
    """Some regions of Cloud Run have no Cloud Scheduler; the function stays in its region."""
    far: dict[str, object] = {"gcp": {"regions": ["europe-west8"], "project": "test-project"}}
    found = recorded(settings_for("gcp", clouds=far), tmp_path)
    (job,) = of_type(found, JOB)
    assert job.inputs["region"] == "europe-west1"
    assert function(found, "checker").inputs["location"] == "europe-west8"


@pytest.mark.pure
def test_every_regions_scheduler_is_on_its_continent() -> None:
    """It is in the region itself or in another region with Cloud Scheduler."""
    assert {scheduler_region(region) for region in REGIONS["gcp"]} <= set(SCHEDULER_REGIONS)
    assert scheduler_region("us-central1") == "us-central1"
    assert scheduler_region("africa-south1") == "europe-west1"
