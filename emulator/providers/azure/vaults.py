"""Key Vault and its secrets: created through Resource Manager, deleted through the vault's data plane.

Sources:
- pulumi-azure-native, provider/pkg/resources/customresources/custom_keyvault.go: a secret is created, read
  and updated through Resource Manager and deleted through the vault ("because it isn't available via ARM");
  only 404 counts as deleted. A management role such as Owner opens no data plane of a vault with RBAC
  (learn.microsoft.com/azure/key-vault/general/rbac-guide): 403 ForbiddenByRbac.
- learn.microsoft.com/azure/key-vault/general/soft-delete-overview: a deleted vault is kept for its retention
  time and "you cannot reuse the name"; a deleted secret likewise in its vault (409,
  ObjectIsDeletedButRecoverable); role assignments on a deleted vault are removed; nothing of it is billed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from emulator.errors import CloudError
from emulator.providers.azure.common import (
    CLIENT,
    OPERATOR,
    ROLE_ASSIGNMENT,
    SECRET,
    TENANT,
    VAULT,
    Arm,
    same_name,
)
from emulator.providers.azure.roles import DELETE_SECRET_ROLES, covers, has_role
from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context, NameHold
from emulator.providers.rules import one_of, pattern, rule, rules
from emulator.providers.schema import Failure
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, at, fields, number, text

DAY_S = 86_400.0
LONGEST_DAYS = 90


def _vault(inputs: Properties, context: Context) -> Properties:
    properties = {
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": LONGEST_DAYS,
        "enableRbacAuthorization": False,
        **inputs["properties"],
        "vaultUri": f"https://{inputs['vaultName']}.vault.azure.net/",
        "provisioningState": "Succeeded",
    }
    return {"properties": properties}


def _vault_rules(inputs: Properties) -> Iterator[Failure]:
    if at(inputs, "properties", "enablePurgeProtection") is False:
        yield Failure("properties.enablePurgeProtection", "cannot be set to false: leave it out")
    if text(inputs, "properties", "createMode") not in ("", "default"):
        yield Failure("properties.createMode", "the emulator recovers no deleted vaults")


def _kept_s(vault: Resource) -> float:
    return number(vault.outputs, "properties", "softDeleteRetentionInDays", default=LONGEST_DAYS) * DAY_S


def _held_vault(resource: Resource) -> NameHold:
    name = text(resource.outputs, "name")
    message = (
        f"A vault with the same name already exists in deleted state ({name}). "
        "You need to either recover or purge existing key vault."
    )
    return NameHold(_kept_s(resource), "VaultAlreadyExists", message)


def _delete_vault(resource: Resource, context: Context) -> None:
    """Removes the vault's secrets and the role assignments on it."""
    for each in context.resources.values():
        inside = each.token == SECRET and covers(resource.id, each.id)
        role = each.token == ROLE_ASSIGNMENT and covers(resource.id, text(each.inputs, "scope"))
        if inside or role:
            context.gone.append(each.key)
    name = text(resource.outputs, "name")
    context.leave(resource.key, f"key vault {name}, soft-deleted with its secrets", seconds=_kept_s(resource))


def _vault_exists(inputs: Properties, context: Context) -> None:
    name = text(inputs, "vaultName")
    vault = same_name(context, VAULT, "name", name)
    if vault is None:
        raise CloudError("ParentResourceNotFound", f"No key vault '{name}' in this group.")
    context.private["keptS"] = _kept_s(vault)


def _secret_version(inputs: Properties, context: Context) -> None:
    """A new value is a new version, and earlier ones stay readable; new tags are not a new version."""
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


def _delete_secret(resource: Resource, context: Context) -> None:
    """Deletes as the deploying identity, which needs a data-plane role on a vault with RBAC."""
    vault = same_name(context, VAULT, "name", text(resource.inputs, "vaultName"))
    if vault is None or at(vault.outputs, "properties", "enableRbacAuthorization") is not True:
        return
    acting = (each for each in context.all(ROLE_ASSIGNMENT) if context.effective(each))
    if not has_role(acting, OPERATOR, DELETE_SECRET_ROLES, resource.id):
        raise CloudError(
            "Forbidden",
            f"DELETE https://{vault.outputs['name']}.vault.azure.net/secrets/{resource.outputs['name']}: 403 "
            "ForbiddenByRbac: Caller is not authorized to perform action on resource. "
            f"Caller: appid={CLIENT};oid={OPERATOR}; "
            "Action: 'Microsoft.KeyVault/vaults/secrets/delete'; Assignment: (not found)",
        )


def _held_secret(resource: Resource) -> NameHold:
    message = (
        f"Secret {resource.outputs['name']} is currently in a deleted but recoverable state, and its name "
        "cannot be reused; in this state, the secret can only be recovered or purged. "
        "ObjectIsDeletedButRecoverable"
    )
    return NameHold(number(resource.private, "keptS"), "Conflict", message)


RESOURCE_TYPES = (
    replace(
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
                rule(
                    "properties.softDeleteRetentionInDays",
                    lambda days: 7 <= days <= LONGEST_DAYS,
                    f"must be 7 to {LONGEST_DAYS}",
                ),
                _vault_rules,
            ),
            volatile=("properties",),
            exists="VaultAlreadyExists",
        ).resource_type(),
        on_delete=_delete_vault,
        hold=_held_vault,
    ),
    replace(
        Arm(
            SECRET,
            "Microsoft.KeyVault/vaults/{vaultName}/secrets/{secretName}",
            Naming("secretName", "plain", 127),
            _secret,
            rules=pattern(
                "secretName", r"[a-zA-Z0-9-]{1,127}", "must be 1 to 127 letters, digits or hyphens"
            ),
            refers=_vault_exists,
            effects=_secret_version,
            volatile=("properties",),
        ).resource_type(),
        on_delete=_delete_secret,
        hold=_held_secret,
    ),
)
