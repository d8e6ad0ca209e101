"""The security review of all registered resources, and a bad example for each of its rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.infra.recorded import Resource, recorded, settings_for
from tests.infra.review import access, keeping, running
from tests.infra.review.facts import FUNCTIONS, GCS, S3, SITE, STORAGE, VAULT, Fleet, Rule

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

RULES: tuple[Rule, ...] = (
    access.no_wildcard_is_allowed,
    access.roles_are_assumed_by_one_service,
    access.aws_identities_have_least_rights,
    access.azure_identities_have_least_roles,
    access.gcp_identities_have_least_roles,
    access.an_agent_reaches_its_replies_only,
    access.every_function_has_an_identity_of_its_own,
    access.only_agents_and_routers_can_be_called,
    keeping.no_bucket_is_public,
    keeping.data_is_encrypted_at_rest,
    keeping.only_tls_is_taken,
    keeping.secrets_are_only_in_secret_stores,
    keeping.no_password_opens_anything,
    keeping.what_callers_sent_is_deleted_in_time,
    keeping.a_vault_takes_a_deletion_back,
    keeping.logs_are_kept_for_a_known_time,
    running.everything_is_labelled,
    running.every_function_has_an_alarm,
    running.instances_are_bounded,
    running.a_lost_run_is_kept_and_not_repeated,
    running.a_destroy_leaves_nothing_by_accident,
)
TWO_REGIONS: dict[str, object] = {
    "aws": {"regions": ["eu-west-1", "us-east-1"]},
    "azure": {"regions": ["westeurope", "northeurope"]},
    "gcp": {"regions": ["europe-west1", "us-central1"], "project": "test-project"},
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A fleet on all three clouds with a model's key."""
    folder: Path = tmp_path_factory.mktemp("packages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_CONFIG", json.dumps({"skyfleet:modelApiKey": "0123456789abcdef" * 3}))
        return recorded(settings_for("aws", "azure", "gcp"), folder)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A fleet with two regions of each cloud."""
    return recorded(settings_for("aws", "azure", "gcp", clouds=TWO_REGIONS), tmp_path_factory.mktemp("wide"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_review_has_no_findings(fleet: list[Resource], wide: list[Resource], rule: Rule) -> None:
    """This holds for a fleet on three clouds and for one with two regions of each."""
    assert rule(fleet) == []
    assert rule(wide) == []


Change = Callable[[Fleet], Fleet]


def without(token: str) -> Change:
    """Remove all resources of a type."""
    return lambda fleet: [each for each in fleet if each.token != token]


def put(token: str, path: str, value: object, name: str = "") -> Change:
    """Replace the value at a dotted path of all resources of a type, or those with this end of the name."""

    def changed(fleet: Fleet) -> Fleet:
        return [
            _put(each, path, value) if each.token == token and each.name.endswith(name) else each
            for each in fleet
        ]

    return changed


def _put(resource: Resource, path: str, value: object) -> Resource:
    inputs = cast("dict[str, Any]", _with(resource.inputs, path.split("."), value))
    return replace(resource, inputs=inputs)


def _with(whole: object, path: list[str], value: object) -> object:
    """A copy of `whole` with another value at the path."""
    part, *rest = path
    if isinstance(whole, list):
        items = list(cast("list[object]", whole))
        items[int(part)] = _with(items[int(part)], rest, value) if rest else value
        return items
    mapping = dict(cast("dict[str, object]", whole or {}))
    mapping[part] = _with(mapping.get(part), rest, value) if rest else value
    return {key: item for key, item in mapping.items() if item is not None}


def policy(role: str, **more: object) -> Change:
    """Add a statement to the policy of a role."""
    statement = {
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::bucket/replies/*"],
        **more,
    }

    def changed(fleet: Fleet) -> Fleet:
        found: list[Resource] = []
        for each in fleet:
            if each.token == access.ROLE_POLICY and each.name.endswith(f"-{role}"):
                document = json.loads(each.inputs["policy"])
                document["Statement"].append(statement)
                found.append(_put(each, "policy", json.dumps(document)))
            else:
                found.append(each)
        return found

    return changed


def trust(**statement: object) -> Change:
    document = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", **statement}]}
    return put("aws:iam/role:Role", "assumeRolePolicy", json.dumps(document))


ASSIGNMENT = "azure-native:authorization:RoleAssignment"
PROJECT = "gcp:projects/iAMMember:IAMMember"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
PERMISSION = "aws:lambda/permission:Permission"
OWNER = "/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
BUILDER_OF_ALL = "roles/cloudbuild.builds.builder"
HEX_KEY = "0123456789abcdef" * 3
SCHEDULER = {"Service": "scheduler.amazonaws.com"}
ANY_ACCOUNT = {"StringEquals": {"aws:SourceAccount": "*"}}
# Each rule with a change that it must find.
EXAMPLES: list[tuple[Rule, Change]] = [
    (access.no_wildcard_is_allowed, policy("agent", Action=["s3:*"])),
    (access.no_wildcard_is_allowed, policy("agent", Resource=["*"])),
    (access.no_wildcard_is_allowed, policy("agent", Resource=["arn:aws:secretsmanager:*:*:secret:x"])),
    (access.no_wildcard_is_allowed, policy("agent", NotAction=["s3:DeleteObject"])),
    (
        access.no_wildcard_is_allowed,
        put(
            access.BUCKET_POLICY,
            "policy",
            json.dumps(
                {
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": "*",
                            "Action": "s3:GetObject",
                            "Resource": "arn:aws:s3:::b/*",
                        }
                    ]
                }
            ),
        ),
    ),
    (access.roles_are_assumed_by_one_service, trust(Principal={"AWS": "*"})),
    (access.roles_are_assumed_by_one_service, trust(Principal={"Service": "ec2.amazonaws.com"})),
    (access.roles_are_assumed_by_one_service, trust(Principal=SCHEDULER)),
    (access.roles_are_assumed_by_one_service, trust(Principal=SCHEDULER, Condition=ANY_ACCOUNT)),
    (
        access.roles_are_assumed_by_one_service,
        put("aws:iam/role:Role", "managedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
    ),
    (access.aws_identities_have_least_rights, policy("checker")),
    (access.aws_identities_have_least_rights, policy("agent", Action=["s3:DeleteObject"])),
    (access.aws_identities_have_least_rights, policy("router", Resource=["arn:aws:s3:::bucket/*"])),
    (access.aws_identities_have_least_rights, policy("schedule", Action=["iam:PassRole"])),
    (access.azure_identities_have_least_roles, put(ASSIGNMENT, "roleDefinitionId", OWNER)),
    (access.azure_identities_have_least_roles, put(ASSIGNMENT, "scope", "/subscriptions/sub", "b7e6dc6d")),
    (
        access.azure_identities_have_least_roles,
        put(ASSIGNMENT, "scope", "azure-westeurope-router-id", "agent-host-b7e6dc6d"),
    ),
    (access.gcp_identities_have_least_roles, put(PROJECT, "role", BUILDER_OF_ALL, "-log")),
    (access.gcp_identities_have_least_roles, put(PROJECT, "condition", None, "-sources")),
    (access.gcp_identities_have_least_roles, put(BUCKET_MEMBER, "role", "roles/storage.admin", "-router")),
    (access.an_agent_reaches_its_replies_only, policy("agent", Resource=["arn:aws:s3:::bucket/health/*"])),
    (access.an_agent_reaches_its_replies_only, put(BUCKET_MEMBER, "condition", None, "-agent")),
    (
        access.an_agent_reaches_its_replies_only,
        put(ASSIGNMENT, "scope", "azure-westeurope-health-id", "agent-replies-ba92f5b4"),
    ),
    (
        access.every_function_has_an_identity_of_its_own,
        put(FUNCTIONS["aws"], "role", "arn:aws:iam::1:role/one"),
    ),
    (access.every_function_has_an_identity_of_its_own, put(SITE, "identity", None)),
    (
        access.every_function_has_an_identity_of_its_own,
        put(FUNCTIONS["gcp"], "serviceConfig.serviceAccountEmail", None),
    ),
    (
        access.every_function_has_an_identity_of_its_own,
        put(FUNCTIONS["gcp"], "buildConfig.serviceAccount", None),
    ),
    (access.only_agents_and_routers_can_be_called, put(PERMISSION, "function", "skyfleet-test-checker")),
    (access.only_agents_and_routers_can_be_called, put(PERMISSION, "invokedViaFunctionUrl", None)),
    (
        access.only_agents_and_routers_can_be_called,
        put("aws:lambda/functionUrl:FunctionUrl", "functionName", "skyfleet-test-checker"),
    ),
    (access.only_agents_and_routers_can_be_called, put(access.INVOKER, "member", "allUsers", "scheduled")),
    (access.only_agents_and_routers_can_be_called, put(BUCKET_MEMBER, "member", "allUsers")),
    (access.only_agents_and_routers_can_be_called, put(access.INVOKER, "role", "roles/run.admin", "public")),
    (keeping.no_bucket_is_public, without(keeping.BLOCK)),
    (keeping.no_bucket_is_public, put(keeping.BLOCK, "blockPublicPolicy", False)),
    (keeping.no_bucket_is_public, put(keeping.OWNERSHIP, "rule.objectOwnership", "ObjectWriter")),
    (keeping.no_bucket_is_public, put(STORAGE, "allowBlobPublicAccess", None)),
    (keeping.no_bucket_is_public, put(keeping.CONTAINER, "publicAccess", "Blob")),
    (keeping.no_bucket_is_public, put(GCS, "publicAccessPrevention", "inherited")),
    (keeping.no_bucket_is_public, put(GCS, "uniformBucketLevelAccess", False)),
    (keeping.data_is_encrypted_at_rest, without(keeping.ENCRYPTION)),
    (keeping.data_is_encrypted_at_rest, put("aws:sqs/queue:Queue", "sqsManagedSseEnabled", False)),
    (keeping.only_tls_is_taken, without(keeping.POLICY)),
    (keeping.only_tls_is_taken, put(keeping.POLICY, "policy", json.dumps({"Statement": []}))),
    (keeping.only_tls_is_taken, put(STORAGE, "minimumTlsVersion", "TLS1_0")),
    (keeping.only_tls_is_taken, put(STORAGE, "enableHttpsTrafficOnly", False)),
    (keeping.only_tls_is_taken, put(SITE, "httpsOnly", None)),
    (keeping.only_tls_is_taken, put(SITE, "siteConfig.minTlsVersion", "1.0")),
    (keeping.only_tls_is_taken, put("gcp:cloudscheduler/job:Job", "httpTarget.uri", "http://x")),
    (keeping.secrets_are_only_in_secret_stores, put(FUNCTIONS["aws"], "environment.variables.KEY", HEX_KEY)),
    (
        keeping.secrets_are_only_in_secret_stores,
        put(FUNCTIONS["gcp"], "serviceConfig.environmentVariables.KEY", "made-up-api-key"),
    ),
    (
        keeping.secrets_are_only_in_secret_stores,
        lambda fleet: [replace(each, secret_inputs=frozenset()) for each in fleet],
    ),
    (keeping.no_password_opens_anything, put(STORAGE, "allowSharedKeyAccess", True, "-agent")),
    (keeping.no_password_opens_anything, put(keeping.PASSWORDS[0], "allow", True)),
    (keeping.no_password_opens_anything, without(keeping.PASSWORDS[1])),
    (keeping.no_password_opens_anything, put(VAULT, "properties.enableRbacAuthorization", False)),
    (
        keeping.no_password_opens_anything,
        put("azure-native:applicationinsights:Component", "disableLocalAuth", None),
    ),
    (keeping.what_callers_sent_is_deleted_in_time, without(keeping.LIFECYCLE)),
    (keeping.what_callers_sent_is_deleted_in_time, put(keeping.LIFECYCLE, "rules.0.status", "Disabled")),
    (
        keeping.what_callers_sent_is_deleted_in_time,
        put("azure-native:storage:ManagementPolicy", "policy.rules.1.enabled", False),
    ),
    (keeping.what_callers_sent_is_deleted_in_time, put(GCS, "lifecycleRules", [], "-state")),
    (keeping.what_callers_sent_is_deleted_in_time, put(GCS, "softDeletePolicy", None)),
    (keeping.a_vault_takes_a_deletion_back, put(VAULT, "properties.enableSoftDelete", False)),
    (keeping.a_vault_takes_a_deletion_back, put(VAULT, "properties.softDeleteRetentionInDays", 365)),
    (keeping.logs_are_kept_for_a_known_time, put(keeping.LOG_GROUP, "retentionInDays", None)),
    (keeping.logs_are_kept_for_a_known_time, without(keeping.LOG_GROUP)),
    (
        keeping.logs_are_kept_for_a_known_time,
        put("azure-native:operationalinsights:Workspace", "retentionInDays", 730),
    ),
    (running.everything_is_labelled, put(S3, "tags", None)),
    (running.everything_is_labelled, put(GCS, "labels.skyfleet-role", "unknown")),
    (
        running.everything_is_labelled,
        lambda fleet: [*fleet, replace(fleet[0], token="aws:kms/key:Key", inputs={})],
    ),
    *((running.every_function_has_an_alarm, without(alarm)) for alarm in running.ALARMS.values()),
    (running.instances_are_bounded, put(FUNCTIONS["gcp"], "serviceConfig.maxInstanceCount", None)),
    (running.instances_are_bounded, put(FUNCTIONS["gcp"], "serviceConfig.minInstanceCount", 1)),
    (
        running.instances_are_bounded,
        put(SITE, "functionAppConfig.scaleAndConcurrency.maximumInstanceCount", 1000),
    ),
    (running.instances_are_bounded, put(FUNCTIONS["aws"], "timeout", 900)),
    (running.a_lost_run_is_kept_and_not_repeated, without("aws:sqs/queue:Queue")),
    (running.a_lost_run_is_kept_and_not_repeated, put("gcp:cloudscheduler/job:Job", "retryConfig", None)),
    (
        running.a_lost_run_is_kept_and_not_repeated,
        put("aws:scheduler/schedule:Schedule", "target.retryPolicy", None),
    ),
    (running.a_destroy_leaves_nothing_by_accident, put(S3, "forceDestroy", None)),
    (
        running.a_destroy_leaves_nothing_by_accident,
        put("aws:secretsmanager/secret:Secret", "recoveryWindowInDays", 7),
    ),
    (
        running.a_destroy_leaves_nothing_by_accident,
        put("gcp:projects/service:Service", "disableOnDestroy", True),
    ),
    (
        running.a_destroy_leaves_nothing_by_accident,
        lambda fleet: [replace(each, retained=True) for each in fleet],
    ),
]


@pytest.mark.parametrize(("rule", "change"), EXAMPLES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_example_is_found(fleet: list[Resource], rule: Rule, change: Change) -> None:
    """The rule finds only the change, and the recorded fleet is not modified."""
    assert rule(change(fleet))
    assert rule(fleet) == []


def test_every_rule_has_a_bad_example() -> None:
    """This shows that the rule can fail."""
    assert {rule for rule, _ in EXAMPLES} == set(RULES)
