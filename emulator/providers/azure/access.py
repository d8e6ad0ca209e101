"""Identities, role assignments, and the tenant's policies.

Source of the policy: Azure's built-in policies for storage, "Storage accounts should prevent shared key
access" (learn.microsoft.com/azure/storage/common/policy-reference), with the effect Deny.
"""

from __future__ import annotations

from emulator.errors import CloudError
from emulator.providers.azure.common import (
    IDENTITY,
    OPERATOR,
    POLICY,
    ROLE_ASSIGNMENT,
    SITE,
    TENANT,
    Arm,
    by_id,
)
from emulator.providers.azure.roles import ACTS_AFTER_S, ROLES, role_of
from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.rules import one_of, pattern, rule, rules
from emulator.providers.values import Properties, text

NO_SHARED_KEYS = "/providers/Microsoft.Authorization/policyDefinitions/8c6a50c6-9ffd-4ae7-986f-5fa6111f9a54"
DEFINITION = (
    r"(/subscriptions/[0-9a-f-]{36})?/providers/Microsoft\.Authorization/roleDefinitions/[0-9a-f-]{36}"
)


def _identity(inputs: Properties, context: Context) -> Properties:
    return {
        "principalId": context.keep("principalId", context.uuid),
        "clientId": context.keep("clientId", context.uuid),
        "tenantId": TENANT,
    }


def _assignment_refers(inputs: Properties, context: Context) -> None:
    principal, scope = text(inputs, "principalId"), text(inputs, "scope")
    known = {OPERATOR, *(text(resource.outputs, "principalId") for resource in context.all(IDENTITY))}
    known |= {text(resource.outputs, "identity", "principalId") for resource in context.all(SITE)} - {""}
    if principal not in known:
        raise CloudError(
            "PrincipalNotFound", f"Principal {principal} does not exist in the directory {TENANT}."
        )
    definition = text(inputs, "roleDefinitionId")
    if role_of(definition) is None:
        raise CloudError(
            "RoleDefinitionDoesNotExist",
            f"The specified role definition with ID '{definition}' does not exist (the emulator knows: "
            f"{', '.join(sorted(ROLES.values()))}).",
        )
    if scope.count("/") > 2 and by_id(context, scope) is None:
        raise CloudError("ResourceNotFound", f"The scope '{scope}' of the role assignment was not found.")
    for resource in context.all(ROLE_ASSIGNMENT):
        same = all(text(resource.inputs, p).casefold() == text(inputs, p).casefold() for p in _WHAT)
        if same and resource != context.old:
            raise CloudError("RoleAssignmentExists", "The role assignment already exists.")


_WHAT = ("principalId", "roleDefinitionId", "scope")


def _assignment(inputs: Properties, context: Context) -> Properties:
    name = text(inputs, "roleAssignmentName")
    return {
        "id": f"{inputs['scope']}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "name": name,
        "type": "Microsoft.Authorization/roleAssignments",
        "createdOn": context.keep("createdOn", context.timestamp),
        "updatedOn": context.timestamp(),
        "principalType": inputs.get("principalType", "ServicePrincipal"),
    }


def _policy(inputs: Properties, context: Context) -> Properties:
    name = text(inputs, "policyAssignmentName")
    return {
        "id": f"{inputs['scope']}/providers/Microsoft.Authorization/policyAssignments/{name}",
        "name": name,
        "type": "Microsoft.Authorization/policyAssignments",
    }


RESOURCE_TYPES = (
    Arm(
        IDENTITY,
        "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}",
        Naming("resourceName", "plain", 128),
        _identity,
        rules=pattern("resourceName", r"[a-zA-Z0-9][\w-]{2,127}", "must be 3 to 128 letters, digits, - or _"),
    ).resource_type(),
    ResourceType(
        ROLE_ASSIGNMENT,
        lambda inputs, _: f"azure/roleAssignment/{inputs['scope']}/{inputs['roleAssignmentName']}".casefold(),
        _assignment,
        naming=Naming("roleAssignmentName", "uuid"),
        force_new=frozenset((*_WHAT, "roleAssignmentName", "principalType", "condition")),
        rules=rules(
            rule("scope", lambda value: str(value).startswith("/"), "must be the id of a resource"),
            pattern("roleDefinitionId", DEFINITION, "must be the id of a role definition"),
        ),
        refers=_assignment_refers,
        exists="RoleAssignmentExists",
        effective_after_s=ACTS_AFTER_S,
    ),
    ResourceType(
        POLICY,
        lambda inputs, _: f"azure/policy/{inputs['scope']}/{inputs['policyAssignmentName']}".casefold(),
        _policy,
        naming=Naming("policyAssignmentName", "plain", 64),
        force_new=frozenset(("scope", "policyAssignmentName")),
        rules=rules(
            rule("scope", lambda value: str(value).startswith("/"), "must be the id of a scope"),
            one_of("policyDefinitionId", NO_SHARED_KEYS),
        ),
        exists="PolicyAssignmentExists",
    ),
)
