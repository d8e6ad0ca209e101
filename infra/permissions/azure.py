"""Microsoft: actions by type of resource, written as a custom role, and a condition on what it may hand out.

Sources: the resource provider operations reference (learn.microsoft.com/azure/role-based-access-control/
resource-provider-operations) for the ARM type under each azure-native type; the provider does one PUT, GET
and DELETE of it. What it does beside (storage keys for uploads, a vault's deletion) is named here. The role
alone could give any role to any identity: the condition of `may_assign` bounds that (Microsoft,
`delegate-role-assignments-portal`).
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.clouds.azure.function import ROLES

WHOLE = "read write delete"
PREFLIGHT = ("Microsoft.Resources/subscriptions/read",)
# The first deployment of a kind registers its provider in the subscription (the provider's own pipeline).
REGISTERS = (
    *("Microsoft.Authorization", "Microsoft.Insights", "Microsoft.KeyVault", "Microsoft.ManagedIdentity"),
    *("Microsoft.OperationalInsights", "Microsoft.Storage", "Microsoft.Web"),
)


def actions(base: str, verbs: str) -> tuple[str, ...]:
    return tuple(f"{base}/{verb}" for verb in verbs.split())


STORAGE = "Microsoft.Storage/storageAccounts"
TYPES: Mapping[str, tuple[str, ...]] = {
    "azure-native:applicationinsights:Component": (
        *actions("Microsoft.Insights/components", WHOLE),
        *actions("Microsoft.OperationalInsights/workspaces", "read sharedKeys/action"),
    ),
    "azure-native:authorization:RoleAssignment": (
        *actions("Microsoft.Authorization/roleAssignments", WHOLE),
        "Microsoft.Authorization/roleDefinitions/read",
    ),
    "azure-native:keyvault:Secret": actions("Microsoft.KeyVault/vaults/secrets", "read write"),
    "azure-native:keyvault:Vault": (
        *actions("Microsoft.KeyVault/vaults", WHOLE),
        *actions("Microsoft.KeyVault/locations/deletedVaults", "read purge/action"),
        "Microsoft.KeyVault/locations/operationResults/read",
    ),
    "azure-native:managedidentity:UserAssignedIdentity": actions(
        "Microsoft.ManagedIdentity/userAssignedIdentities", f"{WHOLE} assign/action"
    ),
    "azure-native:monitor:MetricAlert": actions("Microsoft.Insights/metricAlerts", WHOLE),
    "azure-native:operationalinsights:Workspace": (
        *actions("Microsoft.OperationalInsights/workspaces", WHOLE),
        "Microsoft.OperationalInsights/locations/operationStatuses/read",
    ),
    "azure-native:resources:Deployment": (
        *actions("Microsoft.Resources/deployments", f"{WHOLE} validate/action operationstatuses/read"),
        *actions("Microsoft.Web/sites/extensions", "read write"),  # what the template holds: onedeploy
    ),
    "azure-native:resources:ResourceGroup": (
        *actions("Microsoft.Resources/subscriptions/resourceGroups", WHOLE),
        "Microsoft.Resources/subscriptions/operationresults/read",
    ),
    # The provider uploads with the account's key.
    "azure-native:storage:Blob": (f"{STORAGE}/listKeys/action", f"{STORAGE}/blobServices/containers/read"),
    "azure-native:storage:BlobContainer": actions(f"{STORAGE}/blobServices/containers", WHOLE),
    "azure-native:storage:ManagementPolicy": actions(f"{STORAGE}/managementPolicies", WHOLE),
    "azure-native:storage:StorageAccount": (
        *actions(STORAGE, f"{WHOLE} listServiceSas/action"),  # the address from which a package is deployed
        "Microsoft.Storage/locations/asyncoperations/read",
    ),
    "azure-native:web:AppServicePlan": actions("Microsoft.Web/serverfarms", f"{WHOLE} join/action"),
    "azure-native:web:WebApp": (
        *actions("Microsoft.Web/sites", WHOLE),
        *actions("Microsoft.Web/sites/config", "read write list/action"),
    ),
    "azure-native:web:WebAppFtpAllowed": actions(
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies", "read write"
    ),
    "azure-native:web:WebAppScmAllowed": actions(
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies", "read write"
    ),
}


def role() -> dict[str, object]:
    """For `az role definition create --role-definition`."""
    own = {action for entry in TYPES.values() for action in entry}
    registering = {f"{namespace}/register/action" for namespace in REGISTERS}
    return {
        "Name": "Skyfleet deployer",
        "Description": "Deploys and destroys a fleet; assign it with the condition beside this file.",
        "Actions": sorted(own | registering | set(PREFLIGHT)),
        "NotActions": [],
        "DataActions": [],
        "NotDataActions": [],
        "AssignableScopes": ["/subscriptions/SUBSCRIPTION"],
    }


def may_assign() -> str:
    """For `az role assignment create --condition … --condition-version 2.0`: only the roles that functions
    get, and only to service principals."""
    roles = ", ".join(sorted(ROLES.values()))
    parts: list[str] = []
    for verb, source in (("write", "@Request"), ("delete", "@Resource")):
        attribute = f"{source}[Microsoft.Authorization/roleAssignments"
        parts.append(
            f"(\n (!(ActionMatches{{'Microsoft.Authorization/roleAssignments/{verb}'}}))\n OR\n (\n"
            f"  {attribute}:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{roles}}}\n  AND\n"
            f"  {attribute}:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase "
            "{'ServicePrincipal'}\n )\n)"
        )
    return "\nAND\n".join(parts) + "\n"
