"""IAM: roles with the services that may assume them, and what their policies allow.

Limits: IAM's quotas and name patterns (docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
"""

from __future__ import annotations

from infra.local.errors import CloudError
from infra.local.providers.aws.common import (
    ACCOUNT,
    ROLE,
    ROLE_POLICY,
    ROLE_POLICY_ATTACHMENT,
    named,
    tags_all,
)
from infra.local.providers.kinds import Context, Kind
from infra.local.providers.rules import between, is_policy, pattern, rules
from infra.local.providers.table import Row
from infra.local.providers.values import Properties, document, items, text

NAME = r"[\w+=,.@-]{1,64}"


def assumable_by(role: Row, service: str) -> bool:
    """Whether the role's trust policy lets `service` assume it."""
    for statement in items(document(role.inputs.get("assumeRolePolicy")), "Statement"):
        principals = items(statement, "Principal", "Service")
        if text(statement, "Effect") == "Allow" and {service, "*"} & {str(p) for p in principals}:
            return True
    return False


def need_role(context: Context, role_arn: str, service: str, refusal: CloudError) -> None:
    """The role exists and `service` may assume it; else the service's own refusal."""
    if not assumable_by(context.need(ROLE, "arn", role_arn, refusal), service):
        raise refusal


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


def _not_in_use(role: Row, context: Context) -> None:
    users = [*context.all(ROLE_POLICY), *context.all(ROLE_POLICY_ATTACHMENT)]
    left = [row.id for row in users if text(row.inputs, "role") == role.id]
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


KINDS = (
    Kind(
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
    ),
    Kind(
        ROLE_POLICY,
        lambda inputs, _: f"aws/rolePolicy/{inputs['role']}/{inputs['name']}",
        _role_policy,
        naming=named(limit=128),
        force_new=frozenset(("name", "namePrefix", "role")),
        rules=is_policy("policy"),
        refers=_role_exists,
        exists="EntityAlreadyExists",
    ),
    Kind(
        ROLE_POLICY_ATTACHMENT,
        lambda inputs, _: f"aws/rolePolicyAttachment/{inputs['role']}/{inputs['policyArn']}",
        lambda inputs, _: {"id": f"{inputs['role']}/{inputs['policyArn']}"},
        force_new=frozenset(("role", "policyArn")),
        refers=_attachable,
        exists="EntityAlreadyExists",
    ),
)
