"""Tests of the permissions of the deploying identity and of docs/permissions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest
from botocore.session import get_session

from infra.clouds.azure.function import ROLES
from infra.permissions import aws, azure, gcp
from infra.permissions.documents import documents
from infra.preflight import provider_calls
from tests.infra.recorded import recorded, settings_for

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

CHECKOUT = Path(__file__).resolve().parents[2]
BY_CLOUD: Mapping[str, Mapping[str, Sequence[object]]] = {
    "aws": aws.TYPES,
    "azure-native": azure.TYPES,
    "gcp": gcp.TYPES,
}
NAMES: Mapping[str, str] = {
    "aws": r"[a-z0-9]+:[A-Z][A-Za-z]+",
    "azure-native": r"Microsoft\.[A-Za-z]+(/[A-Za-z]+)+",
    "gcp": r"[a-z]+\.[a-zA-Z]+\.[a-zA-Z]+",
}
# IAM's limit of a managed policy in characters, without white space.
MANAGED_POLICY = 6144

# Google's roles that together hold every permission of the custom role, and more.
PREDEFINED = {
    "roles/artifactregistry.admin",
    "roles/cloudfunctions.admin",
    "roles/cloudscheduler.admin",
    "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser",
    "roles/monitoring.alertPolicyEditor",
    "roles/resourcemanager.projectIamAdmin",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
}


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The types of all resources of a fleet on three clouds."""
    found = recorded(settings_for("aws", "azure", "gcp"), tmp_path_factory.mktemp("packages"))
    return {resource.token for resource in found}


@pytest.mark.parametrize("cloud", BY_CLOUD)
def test_the_permissions_cover_exactly_the_registered_types(registered: set[str], cloud: str) -> None:
    """A new type needs permissions, and a removed type has none."""
    assert set(BY_CLOUD[cloud]) == {token for token in registered if token.startswith(f"{cloud}:")}


def actions(cloud: str) -> set[str]:
    """All actions in a cloud's document."""
    match cloud:
        case "aws":
            statements = cast("list[dict[str, object]]", aws.policy()["Statement"])
            given: list[Any] = [one["Action"] for one in statements]
            return {str(each) for one in given for each in ([one] if isinstance(one, str) else one)}
        case "azure-native":
            return set(cast("list[str]", azure.role()["Actions"]))
        case _:
            return set(cast("list[str]", gcp.role()["includedPermissions"]))


def test_the_aws_document_covers_the_requests_of_the_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request has its action; GetCallerIdentity needs none."""
    asked: set[str] = set()

    def invoke(token: str, *_: object, typ: type, **__: object) -> SimpleNamespace:
        asked.add(token)
        return SimpleNamespace(value=object.__new__(typ))

    monkeypatch.setattr(pulumi.runtime, "invoke", invoke)
    account = provider_calls.Aws()
    account.identity()
    account.regions()
    account.concurrency("eu-west-1")
    assert asked == {*aws.INVOKES, "aws:index/getCallerIdentity:getCallerIdentity"}
    assert {name for each in aws.INVOKES.values() for one in each for name in one.names} <= actions("aws")


@pytest.mark.parametrize("cloud", BY_CLOUD)
def test_permissions_are_named_one_by_one(cloud: str) -> None:
    """They include no wildcard, no access to data in buckets and no owner role."""
    assert actions(cloud)
    for action in actions(cloud):
        assert re.fullmatch(NAMES[cloud], action), action


def test_aws_actions_are_operations_of_the_aws_sdk() -> None:
    """Exceptions are the few actions with another name in the service authorization reference."""
    session: Any = get_session()
    named_otherwise = {
        "iam:PassRole",
        *(f"s3:{name}" for name in ("ListBucketVersions", "DeleteObjectVersion", "GetBucketCORS")),
        *(f"s3:{kind}{what}" for kind in ("Get", "Put") for what in ("EncryptionConfiguration",)),
        *(f"s3:{kind}LifecycleConfiguration" for kind in ("Get", "Put")),
        *(f"s3:{kind}BucketPublicAccessBlock" for kind in ("Get", "Put")),
        *(f"s3:Get{what}Configuration" for what in ("Accelerate", "Replication", "BucketObjectLock")),
        *(f"s3:{name}" for name in ("ListBucket", "TagResource", "UntagResource", "ListTagsForResource")),
    }
    services = {"servicequotas": "service-quotas"}
    for action in sorted(actions("aws") - named_otherwise):
        service, _, operation = action.partition(":")
        model = session.get_service_model(services.get(service, service))
        assert operation in model.operation_names, action


def test_the_aws_policy_fits_into_a_managed_policy() -> None:
    """One `aws iam create-policy` suffices."""
    assert len(re.sub(r"\s", "", json.dumps(aws.policy()))) <= MANAGED_POLICY


def test_the_aws_policy_is_limited_to_this_projects_names() -> None:
    """Write actions are limited to the project's prefix, PassRole to Lambda and the scheduler."""
    statements = cast("list[dict[str, object]]", aws.policy()["Statement"])
    for one in statements:
        resource, given = str(one["Resource"]), one["Action"]
        if resource == "*":
            looks = cast("list[str]", given)
            assert all(re.search(r":(Get|Describe|List)", action) for action in looks), looks
        else:
            assert "skyfleet-*" in resource or "layer:LambdaAdapterLayer" in resource
    passing = [one for one in statements if one["Action"] == "iam:PassRole"]
    assert len(passing) == 1
    assert "iam:PassedToService" in json.dumps(passing[0]["Condition"])
    assert sum("iam:PassRole" in json.dumps(one["Action"]) for one in statements) == 1


def test_azures_condition_names_the_roles_of_functions() -> None:
    """The condition covers writes and deletions of role assignments."""
    text = azure.may_assign()
    found = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
    assert sorted(found) == sorted([*ROLES.values()] * 2)
    assert text.count("(") == text.count(")")


def test_the_documents_name_googles_predefined_roles() -> None:
    """They are in the list next to the custom role and in the steps for Google."""
    for name in ("permissions/README.md", "deploy-gcp.md"):
        found = set(re.findall(r"`(roles/[A-Za-z.]+)`", (CHECKOUT / "docs" / name).read_text()))
        assert found == PREDEFINED, name


def test_the_documents_are_up_to_date() -> None:
    """`make permissions` writes them."""
    for path, text in documents().items():
        assert (CHECKOUT / path).read_text() == text, f"{path}: run `make permissions`"
