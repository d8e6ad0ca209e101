"""Tests of the buckets on all clouds: contents, retention, and access of each function."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.infra.fleet import FUNCTIONS, environment, functions
from tests.infra.recorded import Resource, of_type, recorded, settings_for

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A fleet on all three clouds."""
    return recorded(settings_for("aws", "azure", "gcp"), tmp_path_factory.mktemp("packages"))


def on_buckets(fleet: list[Resource], name: str) -> dict[str, list[str]]:
    """The permitted actions of an AWS function in the bucket: action -> ends of the permitted resources."""
    (given,) = (
        p for p in of_type(fleet, "aws:iam/rolePolicy:RolePolicy") if p.name == f"aws-eu-west-1-{name}"
    )
    found: dict[str, list[str]] = {}
    for statement in json.loads(given.inputs["policy"])["Statement"]:
        for action in statement["Action"]:
            if action.startswith("s3:"):
                found[action] = [resource.partition("/")[2] for resource in statement["Resource"]]
    return found


def test_routers_reach_the_snapshots_and_agents_the_replies(fleet: list[Resource]) -> None:
    """Policies, containers or conditions separate the two. Checkers can access neither."""
    for cloud in FUNCTIONS:
        for name, function in functions(fleet, cloud).items():
            assert ("SKYFLEET_BUCKET" in environment(function)) == (name != "checker")
    health, replies = ["health/*", "control.json"], ["replies/*"]
    assert on_buckets(fleet, "router") == {
        "s3:GetObject": health,
        "s3:PutObject": health,
        "s3:ListBucket": [""],
    }
    assert on_buckets(fleet, "agent") == {"s3:GetObject": replies, "s3:PutObject": replies}
    assert on_buckets(fleet, "checker") == {}
    bindings = of_type(fleet, "gcp:storage/bucketIAMMember:BucketIAMMember")
    # The builder reads sources from another bucket, that of the packages.
    members = sorted((m for m in bindings if "builder" not in m.name), key=lambda m: m.name)
    assert [
        (m.name, m.inputs["role"], m.inputs.get("condition", {}).get("expression", "")) for m in members
    ] == [
        (
            "gcp-europe-west1-agent",
            "roles/storage.objectUser",
            f'resource.name.startsWith("projects/_/buckets/{members[0].inputs["bucket"]}/objects/replies/")',
        ),
        ("gcp-europe-west1-router", "roles/storage.objectUser", ""),
    ]
    contributors = [
        a.name
        for a in of_type(fleet, "azure-native:authorization:RoleAssignment")
        if "ba92f5b4" in a.name and "-package-" not in a.name
    ]
    assert sorted(contributors) == [
        "azure-westeurope-agent-replies-ba92f5b4",
        "azure-westeurope-router-health-ba92f5b4",
    ]


def test_replies_are_deleted_after_two_days_and_snapshots_after_seven(fleet: list[Resource]) -> None:
    """Replies are promised for one day. The control document (`control.json`) has no expiry."""
    (amazon,) = of_type(fleet, "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    kept = {rule["filter"]["prefix"]: rule["expiration"]["days"] for rule in amazon.inputs["rules"]}
    assert kept == {"health/": 7, "replies/": 2}
    (azure,) = of_type(fleet, "azure-native:storage:ManagementPolicy")
    found = [rule["definition"] for rule in azure.inputs["policy"]["rules"]]
    assert {
        prefix: rule["actions"]["baseBlob"]["delete"]["daysAfterModificationGreaterThan"]
        for rule in found
        for prefix in rule["filters"]["prefixMatch"]
    } == {"health/health/": 7, "replies/replies/": 2}
    (state,) = (b for b in of_type(fleet, "gcp:storage/bucket:Bucket") if "state" in b.name)
    assert {
        prefix: rule["condition"]["age"]
        for rule in state.inputs["lifecycleRules"]
        for prefix in rule["condition"]["matchesPrefixes"]
    } == {"health/": 7, "replies/": 2}


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_an_agent_without_a_router_in_its_place_has_a_bucket_too(cloud: str, tmp_path: Path) -> None:
    """Every place has a bucket."""
    other = "gcp" if cloud == "aws" else "aws"
    found = recorded(settings_for(cloud, other, router={"clouds": [other]}), tmp_path)
    assert sorted(functions(found, cloud)) == ["agent", "checker"]
    assert environment(functions(found, cloud)["agent"])["SKYFLEET_BUCKET"].startswith(("s3:", "az:", "gs:"))
