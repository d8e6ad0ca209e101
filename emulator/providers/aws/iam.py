"""IAM: roles, the services that may assume them, and what their policies allow.

Limits: IAM's quotas and name patterns (docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
A new role or policy takes time to reach other services. "15 seconds is not enough, I'll still occasionally
get
errors" (github.com/aws/chalice/pull/172); five minutes were too few once (github.com/hashicorp/
terraform-provider-aws/issues/44517); `aws iam wait role-exists` does not cover it (aws-cli/issues/7700).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from emulator.errors import CloudError, NotYetReady
from emulator.providers.aws.common import (
    ACCOUNT,
    ROLE,
    ROLE_POLICY,
    ROLE_POLICY_ATTACHMENT,
    named,
    tags_all,
)
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.rules import between, is_policy, pattern, rules
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, Properties, document, fields, items, text

NAME = r"[\w+=,.@-]{1,64}"
ASSUMABLE_AFTER_S = 15.0
POLICY_ACTS_AFTER_S = 20.0
# Context keys that a service sends when it assumes a role. `aws:SourceArn` is not among them, the strict
# reading of contradicting sources: AWS's guide and CDK write a condition on the group's ARN, and several
# public projects saw the check at the creation of a schedule fulfil none on live accounts in 2026.
SAID = {"aws:SourceAccount": ACCOUNT}
EQUAL, LIKE = ("StringEquals", "ArnEquals"), ("StringLike", "ArnLike")


def assumable_by(role: Resource, service: str) -> bool:
    """Whether the role's trust policy lets `service` assume it."""
    for statement in items(document(role.inputs.get("assumeRolePolicy")), "Statement"):
        principals = items(statement, "Principal", "Service")
        allowed = text(statement, "Effect") == "Allow" and {service, "*"} & {str(p) for p in principals}
        if allowed and _fulfilled(statement):
            return True
    return False


def _fulfilled(statement: Json) -> bool:
    """Whether all conditions hold; an unknown operator never does."""
    for operator, wanted in fields(statement, "Condition").items():
        for key, values in fields(wanted).items():
            said = SAID.get(key, "")
            if operator in EQUAL and said in items(wanted, key):
                continue
            if not said or operator not in LIKE or not any(fnmatchcase(said, str(v)) for v in items(values)):
                return False
    return True


def statements(role: Resource, policies: Iterable[Resource]) -> Iterator[Json]:
    """Allow statements of a role: of its own policies among `policies` and of its inline policies."""
    documents = [resource.inputs.get("policy") for resource in policies if _on_role(resource, role)]
    documents += [text(policy, "policy") for policy in items(role.inputs, "inlinePolicies")]
    for policy in documents:
        for statement in items(document(policy), "Statement"):
            if text(statement, "Effect") == "Allow":
                yield statement


def matches(pattern: str, action: str) -> bool:
    """IAM's action patterns: `*` and `?`, case-insensitive."""
    return fnmatchcase(action.lower(), pattern.lower())


def allows(role: Resource, action: str, resources: Iterable[Resource]) -> bool:
    """Whether a policy of the role allows `action` on any resource."""
    policies = (resource for resource in resources if resource.token == ROLE_POLICY)
    return any(
        matches(str(pattern), action)
        for statement in statements(role, policies)
        for pattern in items(statement, "Action")
    )


def _on_role(policy: Resource, role: Resource) -> bool:
    return text(policy.inputs, "role") in (role.id, text(role.outputs, "arn"))


def need_role(
    context: Context, role_arn: str, service: str, refusal: tuple[str, str], retried_s: float
) -> None:
    """Raises the service's refusal unless the role exists, is in effect and `service` may assume it.

    retried_s: real seconds for which the provider repeats the call. A role that is absent or does not trust
    the
    service is refused at once, since waiting would end the same.
    """
    resource = context.need(ROLE, "arn", role_arn, CloudError(*refusal))
    if not assumable_by(resource, service):
        raise CloudError(*refusal)
    if not context.effective(resource):
        raise NotYetReady(*refusal, retried_s)


def _role(inputs: Properties, context: Context) -> Properties:
    name, path = text(inputs, "name"), text(inputs, "path") or "/"
    return {
        "id": name,
        "arn": f"arn:aws:iam::{ACCOUNT}:role{path}{name}",
        "path": path,
        "uniqueId": context.keep("uniqueId", lambda: "AROA" + context.hex(17).upper()),
        "createDate": context.keep("createDate", context.timestamp),
        "maxSessionDuration": inputs.get("maxSessionDuration", 3600),
        "forceDetachPolicies": inputs.get("forceDetachPolicies", False),
        **tags_all(inputs, context),
    }


def _not_in_use(role: Resource, context: Context) -> None:
    users = [*context.all(ROLE_POLICY), *context.all(ROLE_POLICY_ATTACHMENT)]
    left = [resource.id for resource in users if text(resource.inputs, "role") == role.id]
    if left and not role.inputs.get("forceDetachPolicies"):
        said = f"Cannot delete entity {role.id}, must delete policies first: {', '.join(left)}"
        raise CloudError("DeleteConflict", said)


def _role_exists(inputs: Properties, context: Context) -> None:
    name = text(inputs, "role")
    refusal = CloudError("NoSuchEntity", f"The role with name {name} cannot be found.")
    context.need(ROLE, "id", name, refusal)


def _role_policy(inputs: Properties, context: Context) -> Properties:
    return {"id": f"{inputs['role']}:{inputs['name']}"}


def _attachable(inputs: Properties, context: Context) -> None:
    _role_exists(inputs, context)
    policy = text(inputs, "policyArn")
    if not policy.startswith("arn:aws:iam::aws:policy/"):
        raise CloudError("NoSuchEntity", f"Policy {policy} does not exist or is not attachable.")


RESOURCE_TYPES = (
    ResourceType(
        ROLE,
        lambda inputs, _: f"aws/role/{inputs['name']}",
        _role,
        naming=named(),
        force_new=frozenset(("name", "namePrefix", "path")),
        rules=rules(
            pattern("name", NAME, "must be 1 to 64 letters, digits or +=,.@-_"),
            is_policy("assumeRolePolicy"),
            between("maxSessionDuration", 3600, 43200, "seconds"),
        ),
        on_delete=_not_in_use,
        exists="EntityAlreadyExists",
        effective_after_s=ASSUMABLE_AFTER_S,
    ),
    ResourceType(
        ROLE_POLICY,
        lambda inputs, _: f"aws/rolePolicy/{inputs['role']}/{inputs['name']}",
        _role_policy,
        naming=named(limit=128),
        force_new=frozenset(("name", "namePrefix", "role")),
        rules=is_policy("policy"),
        refers=_role_exists,
        exists="EntityAlreadyExists",
        effective_after_s=POLICY_ACTS_AFTER_S,
    ),
    ResourceType(
        ROLE_POLICY_ATTACHMENT,
        lambda inputs, _: f"aws/rolePolicyAttachment/{inputs['role']}/{inputs['policyArn']}",
        lambda inputs, _: {"id": f"{inputs['role']}/{inputs['policyArn']}"},
        force_new=frozenset(("role", "policyArn")),
        refers=_attachable,
        exists="EntityAlreadyExists",
    ),
)
