"""What the deploying identity must be allowed: complete, exact, and written down as it is."""

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
# IAM: the most characters of a managed policy, without white space.
MANAGED_POLICY = 6144


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Types of everything that a fleet on all three clouds registers."""
    found = recorded(settings_for("aws", "azure", "gcp"), tmp_path_factory.mktemp("packages"))
    return {resource.token for resource in found}


@pytest.mark.parametrize("cloud", BY_CLOUD)
def test_every_registered_type_has_its_permissions_and_no_other(registered: set[str], cloud: str) -> None:
    """A new type of resource is a new permission; one that is gone needs none."""
    assert set(BY_CLOUD[cloud]) == {token for token in registered if token.startswith(f"{cloud}:")}


def actions(cloud: str) -> set[str]:
    """All that is allowed in a cloud's document."""
    match cloud:
        case "aws":
            statements = cast("list[dict[str, object]]", aws.policy()["Statement"])
            given: list[Any] = [one["Action"] for one in statements]
            return {str(each) for one in given for each in ([one] if isinstance(one, str) else one)}
        case "azure-native":
            return set(cast("list[str]", azure.role()["Actions"]))
        case _:
            return set(cast("list[str]", gcp.role()["includedPermissions"]))


def test_amazons_preflight_asks_what_its_document_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question of the preflight has its actions; the caller's identity needs none."""
    asked: set[str] = set()

    def invoke(token: str, *_: object, typ: type, **__: object) -> SimpleNamespace:
        asked.add(token)
        return SimpleNamespace(value=object.__new__(typ))

    monkeypatch.setattr(pulumi.runtime, "invoke", invoke)
    account = provider_calls.Aws()
    account.identity()
    account.regions()
    account.concurrency("eu-west-1")
    assert asked == {*aws.QUESTIONS, "aws:index/getCallerIdentity:getCallerIdentity"}
    assert {name for each in aws.QUESTIONS.values() for one in each for name in one.names} <= actions("aws")


@pytest.mark.parametrize("cloud", BY_CLOUD)
def test_permissions_are_named_one_by_one(cloud: str) -> None:
    """No wildcard, no data of any bucket, no owner."""
    assert actions(cloud)
    for action in actions(cloud):
        assert re.fullmatch(NAMES[cloud], action), action


def test_amazons_actions_are_known_to_its_own_library() -> None:
    """Every action is an operation of its service, but for the few that the authorization reference names
    otherwise."""
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


def test_amazons_policy_fits_into_a_managed_one() -> None:
    """One document for one `aws iam create-policy`."""
    assert len(re.sub(r"\s", "", json.dumps(aws.policy()))) <= MANAGED_POLICY


def test_amazons_policy_acts_on_this_projects_names() -> None:
    """What changes something ends at names that begin as ours do; the rest only looks. Roles go to Lambda and
    the scheduler.
    """
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


def test_azures_condition_names_the_roles_that_functions_get() -> None:
    """Those and no others, to write and to delete."""
    text = azure.may_assign()
    found = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
    assert sorted(found) == sorted([*ROLES.values()] * 2)
    assert text.count("(") == text.count(")")


def test_googles_own_roles_are_the_ones_that_the_documents_name() -> None:
    """In the list beside the custom role and in the way to Google."""
    for name in ("permissions/README.md", "deploy-gcp.md"):
        found = set(re.findall(r"`(roles/[A-Za-z.]+)`", (CHECKOUT / "docs" / name).read_text()))
        assert found == set(gcp.PREDEFINED), name


def test_the_documents_are_those_of_the_data() -> None:
    """`make permissions` writes them."""
    for path, text in documents().items():
        assert (CHECKOUT / path).read_text() == text, f"{path}: run `make permissions`"
