"""Review rules: least privilege of each identity, and public access.

A rule is a pure function over all resources of a fleet and returns its findings. Exceptions are listed here
with their reasons.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from tests.infra.recorded import of_type
from tests.infra.review.facts import CALLED, FUNCTIONS, STORAGE, Fleet, at, functions, role_in, statements

ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
# All actions that the identity of each role is allowed.
AWS_OF_EVERY_FUNCTION = {"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue"}
AWS_ACTIONS: Mapping[str, set[str]] = {
    "agent": AWS_OF_EVERY_FUNCTION | {"s3:GetObject", "s3:PutObject"},
    # S3 answers 404 instead of 403 for a missing object only to an identity that may list.
    "router": AWS_OF_EVERY_FUNCTION | {"s3:GetObject", "s3:PutObject", "s3:ListBucket"},
    "checker": AWS_OF_EVERY_FUNCTION,
    "schedule": {"lambda:InvokeFunction", "sqs:SendMessage"},
}
# Azure: built-in roles by id, each with the type of its scope.
AZURE_ROLES: Mapping[str, str] = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": STORAGE,  # Storage Blob Data Owner: the host's own account
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": STORAGE,  # Storage Table Data Contributor: the same
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "azure-native:storage:BlobContainer",  # Blob Data Contributor
    "3913510d-42f4-4e42-8a64-420c390055eb": "azure-native:applicationinsights:Component",  # Metrics Publisher
    "4633458b-17de-408a-b875-0445c86b69e6": "azure-native:keyvault:Secret",  # Key Vault Secrets User
}
GCP_ROLES: Mapping[str, set[str]] = {
    "builder": {"roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"},
    "agent": {"roles/secretmanager.secretAccessor", "roles/storage.objectUser"},
    "router": {"roles/secretmanager.secretAccessor", "roles/storage.objectUser"},
    "checker": {"roles/secretmanager.secretAccessor"},
    "scheduler": {"roles/run.invoker"},
}
# On the whole project without a condition: there is no smaller scope for log entries.
GCP_ON_THE_PROJECT = {"roles/logging.logWriter"}
INVOKER = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember"


def no_wildcard_is_allowed(fleet: Fleet) -> list[str]:
    """Actions are named, and resources begin with a whole name. Only a denial has a bare `*`."""
    found: list[str] = []
    for policy in (*of_type(fleet, ROLE_POLICY), *of_type(fleet, BUCKET_POLICY)):
        for one in statements(policy.inputs["policy"]):
            if one["Effect"] == "Allow":
                wide = [action for action in one["Action"] if "*" in action]
                wide += [
                    arn for arn in one["Resource"] if "*" in arn.rpartition(":")[0] or arn.endswith(":*:*")
                ]
                wide += [arn for arn in one["Resource"] if arn == "*"]
                wide += ["any principal"] if "Principal" in one or "NotPrincipal" in one else []
                wide += [part for part in ("NotAction", "NotResource") if part in one]
                found += [f"{policy.label}: allows {each}" for each in wide]
    return found


def roles_are_assumed_by_one_service(fleet: Fleet) -> list[str]:
    """Only Lambda assumes a function's role, and a scheduler's role is limited to this account.

    docs/real-clouds.md (S7) explains why the ARN of a schedule is no condition.
    """
    found: list[str] = []
    for role in of_type(fleet, "aws:iam/role:Role"):
        for one in statements(role.inputs["assumeRolePolicy"]):
            service = at(one, "Principal.Service")
            if service not in ("lambda.amazonaws.com", "scheduler.amazonaws.com"):
                found.append(f"{role.label}: is assumed by {one['Principal']}")
            own = cast("dict[str, Any]", at(one, "Condition.StringEquals") or {})
            one_account = re.fullmatch(r"\d{12}", str(own.get("aws:SourceAccount")))
            if service != "lambda.amazonaws.com" and not one_account:
                found.append(f"{role.label}: is assumed by {service} for any account")
        if role.inputs.get("managedPolicyArns") or role.inputs.get("inlinePolicies"):
            found.append(f"{role.label}: has policies that are not reviewed here")
    return found


def aws_identities_have_least_rights(fleet: Fleet) -> list[str]:
    """Each role has its list of actions and its own part of a bucket."""
    found: list[str] = []
    for policy in of_type(fleet, ROLE_POLICY):
        may = AWS_ACTIONS.get(role_in(policy.name), set())
        for one in statements(policy.inputs["policy"]):
            found += [f"{policy.label}: may {action}" for action in one["Action"] if action not in may]
            objects = {"s3:GetObject", "s3:PutObject"} & set(one["Action"])
            whole = [arn for arn in one["Resource"] if objects and arn.split("/", 1)[1:] in ([], ["*"])]
            found += [f"{policy.label}: may reach all of {arn}" for arn in whole]
    return found


def azure_identities_have_least_roles(fleet: Fleet) -> list[str]:
    """Each role is listed and granted on a single resource, not on a group or another function's account."""
    kinds: dict[str, set[str]] = {}
    for each in fleet:
        kinds.setdefault(f"{each.name}-id", set()).add(each.token)
    found: list[str] = []
    for given in of_type(fleet, "azure-native:authorization:RoleAssignment"):
        role, scope = str(given.inputs["roleDefinitionId"]).rpartition("/")[2], str(given.inputs["scope"])
        holder = str(given.inputs["principalId"]).removesuffix("-principal")
        if role not in AZURE_ROLES:
            found.append(f"{given.label}: gives the role {role}")
        elif AZURE_ROLES[role] not in kinds.get(scope, set()):
            found.append(f"{given.label}: gives {role} on {scope}")
        elif AZURE_ROLES[role] == STORAGE and scope != f"{holder}-id":
            found.append(f"{given.label}: gives {holder} the account of another")
    return found


def gcp_identities_have_least_roles(fleet: Fleet) -> list[str]:
    """Each role is listed; a project-wide role is named or limited by a condition on names."""
    found: list[str] = []
    for given in fleet:
        member = str(given.inputs.get("member", ""))
        if not given.token.startswith("gcp:") or not member.startswith("serviceAccount:"):
            continue
        role, name = str(given.inputs["role"]), role_in(member.partition("@")[0])
        if role not in GCP_ROLES.get(name, set()):
            found.append(f"{given.label}: gives {role} to {name}")
        on_project = given.token == "gcp:projects/iAMMember:IAMMember" and role not in GCP_ON_THE_PROJECT
        if on_project and not str(at(given.inputs, "condition.expression")).startswith(
            "resource.name.startsW"
        ):
            found.append(f"{given.label}: gives {role} on the whole project")
    return found


def an_agent_reaches_its_replies_only(fleet: Fleet) -> list[str]:
    """An agent handles untrusted input, so it cannot access snapshots and control documents."""
    found: list[str] = []
    for policy in of_type(fleet, ROLE_POLICY):
        for one in statements(policy.inputs["policy"]) if role_in(policy.name) == "agent" else ():
            stores = [arn for arn in one["Resource"] if any(act.startswith("s3:") for act in one["Action"])]
            found += [f"{policy.label}: reaches {arn}" for arn in stores if not arn.endswith("/replies/*")]
    for given in of_type(fleet, "gcp:storage/bucketIAMMember:BucketIAMMember"):
        agents = role_in(str(given.inputs["member"]).partition("@")[0]) == "agent"
        if agents and '/objects/replies/")' not in str(at(given.inputs, "condition.expression")):
            found.append(f"{given.label}: reaches the whole bucket")
    for given in of_type(fleet, "azure-native:authorization:RoleAssignment"):
        holder = str(given.inputs["principalId"]).removesuffix("-principal")
        if role_in(holder) == "agent" and str(given.inputs["scope"]).endswith("-health-id"):
            found.append(f"{given.label}: reaches the snapshots")
    return found


def every_function_has_an_identity_of_its_own(fleet: Fleet) -> list[str]:
    """No function runs or is built with a default account or with that of another function."""
    paths = {
        "aws": "role",
        "azure": "identity.userAssignedIdentities.0",
        "gcp": "serviceConfig.serviceAccountEmail",
    }
    found: list[str] = []
    seen: dict[object, str] = {}
    for function in functions(fleet):
        own = at(function.inputs, paths[next(c for c, token in FUNCTIONS.items() if token == function.token)])
        if not own:
            found.append(f"{function.label}: runs as a default identity")
        elif own in seen:
            found.append(f"{function.label}: runs as the same identity as {seen[own]}")
        else:
            seen[own] = function.label
        if function.token == FUNCTIONS["gcp"] and not at(function.inputs, "buildConfig.serviceAccount"):
            found.append(f"{function.label}: is built by a default identity")
    return found


def only_agents_and_routers_can_be_called(fleet: Fleet) -> list[str]:
    """They are public on their URL only; signatures and API keys protect them."""
    found: list[str] = []
    for permission in of_type(fleet, "aws:lambda/permission:Permission"):
        by_url = permission.inputs.get("invokedViaFunctionUrl") or permission.inputs.get(
            "functionUrlAuthType"
        )
        if permission.inputs["principal"] == "*" and not (
            by_url and role_in(permission.inputs["function"]) in CALLED
        ):
            found.append(f"{permission.label}: all the world may {permission.inputs['action']}")
    for url in of_type(fleet, "aws:lambda/functionUrl:FunctionUrl"):
        if role_in(url.inputs["functionName"]) not in CALLED:
            found.append(f"{url.label}: has a public address")
    for given in fleet:
        if given.inputs.get("member") in ("allUsers", "allAuthenticatedUsers"):
            called = given.token == INVOKER and role_in(given.inputs["name"]) in CALLED
            if not called or (given.inputs["role"], given.inputs["member"]) != (
                "roles/run.invoker",
                "allUsers",
            ):
                found.append(f"{given.label}: gives {given.inputs['role']} to {given.inputs['member']}")
    return found
