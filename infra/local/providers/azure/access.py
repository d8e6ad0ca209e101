"""Who may do what: identities, role assignments, Key Vault and its secrets."""

from __future__ import annotations

from infra.local.errors import CloudError
from infra.local.providers.azure.common import (
    IDENTITY,
    ROLE_ASSIGNMENT,
    SECRET,
    SITE,
    TENANT,
    VAULT,
    Arm,
    by_id,
    same_name,
)
from infra.local.providers.kinds import Context, Kind
from infra.local.providers.naming import Naming
from infra.local.providers.rules import one_of, pattern, rule, rules
from infra.local.providers.values import Properties, at, fields, text

# Built-in roles a fleet of functions needs, by id (learn.microsoft.com/azure/role-based-access-control/
# built-in-roles).
ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "17d1049b-9a84-46fb-8f53-869881c3d3ab": "Storage Account Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b875-0445c86b69e6": "Key Vault Secrets User",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
}
DEFINITION = (
    r"(/subscriptions/[0-9a-f-]{36})?/providers/Microsoft\.Authorization/roleDefinitions/[0-9a-f-]{36}"
)


def _identity(inputs: Properties, context: Context) -> Properties:
    return {
        "principalId": context.keep("principalId", context.uuid),
        "clientId": context.keep("clientId", context.uuid),
        "tenantId": TENANT,
    }


def role_of(definition: str) -> str | None:
    """The name of the built-in role with that definition id."""
    return ROLES.get(definition.rpartition("/")[2].casefold())


def _assignment_refers(inputs: Properties, context: Context) -> None:
    principal, scope = text(inputs, "principalId"), text(inputs, "scope")
    known = {text(row.outputs, "principalId") for row in context.all(IDENTITY)}
    known |= {text(row.outputs, "identity", "principalId") for row in context.all(SITE)} - {""}
    if principal not in known:
        raise CloudError(
            "PrincipalNotFound", f"Principal {principal} does not exist in the directory {TENANT}."
        )
    definition = text(inputs, "roleDefinitionId")
    if role_of(definition) is None:
        raise CloudError(
            "RoleDefinitionDoesNotExist",
            f"The specified role definition with ID '{definition}' does not exist (the sky knows: "
            f"{', '.join(sorted(ROLES.values()))}).",
        )
    if scope.count("/") > 2 and by_id(context, scope) is None:
        raise CloudError("ResourceNotFound", f"The scope '{scope}' of the role assignment was not found.")
    for row in context.all(ROLE_ASSIGNMENT):
        same = all(text(row.inputs, p).casefold() == text(inputs, p).casefold() for p in _WHAT)
        if same and row != context.old:
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


def _vault(inputs: Properties, context: Context) -> Properties:
    properties = {
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": 90,
        "enableRbacAuthorization": False,
        **inputs["properties"],
        "vaultUri": f"https://{inputs['vaultName']}.vault.azure.net/",
        "provisioningState": "Succeeded",
    }
    return {"properties": properties}


def _vault_exists(inputs: Properties, context: Context) -> None:
    name = text(inputs, "vaultName")
    if same_name(context, VAULT, "name", name) is None:
        raise CloudError("ParentResourceNotFound", f"No key vault '{name}' in this group.")


def _secret_version(inputs: Properties, context: Context) -> None:
    """A new value is a new version, and old ones stay readable; new tags are no new version."""
    before = text(context.old.inputs, "properties", "value") if context.old else None
    value = text(inputs, "properties", "value")
    if "version" not in context.private or before != value:
        version = context.hex(32)
        context.private["version"] = version
        context.private["values"] = {**fields(context.private, "values"), version: value}


def _secret(inputs: Properties, context: Context) -> Properties:
    uri = f"https://{inputs['vaultName']}.vault.azure.net/secrets/{inputs['secretName']}"
    kept = {name: value for name, value in inputs["properties"].items() if name != "value"}
    properties = {
        "attributes": {"enabled": at(inputs, "properties", "attributes", "enabled") is not False},
        **kept,
        "secretUri": uri,
        "secretUriWithVersion": f"{uri}/{context.private['version']}",
    }
    return {"properties": properties}


KINDS = (
    Arm(
        IDENTITY,
        "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}",
        Naming("resourceName", "plain", 128),
        _identity,
        rules=pattern("resourceName", r"[a-zA-Z0-9][\w-]{2,127}", "must be 3 to 128 letters, digits, - or _"),
    ).kind(),
    Kind(
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
    ),
    Arm(
        VAULT,
        "Microsoft.KeyVault/vaults/{vaultName}",
        Naming("vaultName", "plain", 24),
        _vault,
        unique=True,
        rules=rules(
            pattern(
                "vaultName",
                r"(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]",
                "must be 3 to 24 letters, digits or single hyphens, starting with a letter",
            ),
            one_of("properties.tenantId", TENANT),
            rule("properties.softDeleteRetentionInDays", lambda days: 7 <= days <= 90, "must be 7 to 90"),
        ),
        volatile=("properties",),
        exists="VaultAlreadyExists",
    ).kind(),
    Arm(
        SECRET,
        "Microsoft.KeyVault/vaults/{vaultName}/secrets/{secretName}",
        Naming("secretName", "plain", 127),
        _secret,
        rules=pattern("secretName", r"[a-zA-Z0-9-]{1,127}", "must be 1 to 127 letters, digits or hyphens"),
        refers=_vault_exists,
        effects=_secret_version,
        volatile=("properties",),
    ).kind(),
)
