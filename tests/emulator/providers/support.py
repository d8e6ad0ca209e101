"""An emulated Azure subscription with a storage account and a site."""

from __future__ import annotations

from typing import Any

from emulator.providers.azure import common as azure
from emulator.providers.azure.storage import service_sas
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties
from tests.emulator.account import Account

GROUP = "fleet"


BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"


SECRETS_OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"


IDENTITY_PATH = "Microsoft.ManagedIdentity/userAssignedIdentities/agent"


class Azure(Account):
    """A resource group with storage, and a site on it."""

    def group(self) -> Resource:
        return self.create(azure.GROUP, "group", resourceGroupName=GROUP, location="westeurope")

    def arm(self, token: str, name: str, /, **inputs: Any) -> Resource:  # noqa: ANN401 - JSON
        return self.create(token, name, resourceGroupName=GROUP, **inputs)

    def storage(self, **more: Any) -> Resource:  # noqa: ANN401 - JSON
        inputs = {"kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "accountName": "store", **more}
        account = self.arm(azure.ACCOUNT, "store", **inputs)
        self.arm(azure.CONTAINER, "packages", accountName="store", containerName="packages")
        return account

    def site_inputs(self, **more: Any) -> Properties:  # noqa: ANN401 - JSON
        identity = f"{azure.group_id(GROUP)}/providers/{IDENTITY_PATH}"
        container = {
            "type": "blobContainer",
            "value": "https://store.blob.core.windows.net/packages",
            "authentication": {
                "type": "UserAssignedIdentity",
                "userAssignedIdentityResourceId": identity,
            },
        }
        config = {
            "deployment": {"storage": container},
            "runtime": {"name": "python", "version": "3.13"},
            "scaleAndConcurrency": {"instanceMemoryMB": 2048, "maximumInstanceCount": 40},
        }
        farm = f"{azure.group_id(GROUP)}/providers/Microsoft.Web/serverfarms/plan"
        return {"kind": "functionapp,linux", "serverFarmId": farm, "functionAppConfig": config, **more}

    def plan(self, **more: str) -> Resource:
        sku = {"name": "FC1", "tier": "FlexConsumption"}
        return self.arm(azure.PLAN, "plan", name="plan", reserved=True, sku=sku, **more)

    def identity(self) -> Resource:
        return self.arm(azure.IDENTITY, "agent", resourceName="agent")

    def grant(self, identity: Resource, role: str, scope: str) -> Resource:
        definition = f"/providers/Microsoft.Authorization/roleDefinitions/{role}"
        given = {"principalId": identity.outputs["principalId"], "scope": scope}
        return self.create(azure.ROLE_ASSIGNMENT, role, roleDefinitionId=definition, **given)

    def site(self) -> Resource:
        """A site whose identity may write its package."""
        self.plan()
        (container,) = (
            resource for resource in self.table.resources.values() if resource.token == azure.CONTAINER
        )
        self.grant(self.identity(), BLOB_CONTRIBUTOR, container.id)
        return self.arm(azure.SITE, "agent", **self.site_inputs(name="agent"))

    def vault(self, name: str = "vault", **more: Any) -> Resource:  # noqa: ANN401 - JSON
        given = {"sku": {"family": "A", "name": "standard"}, "tenantId": azure.TENANT}
        properties = {**given, "enableRbacAuthorization": True, "softDeleteRetentionInDays": 7, **more}
        return self.arm(azure.VAULT, name, vaultName=name, properties=properties)

    def secret(self, value: str = "one", **more: Any) -> Resource:  # noqa: ANN401 - JSON
        properties = {"value": value}
        return self.arm(
            azure.SECRET, "keys", vaultName="vault", secretName="keys", properties=properties, **more
        )

    def blob(self, name: str) -> Resource:
        where = {"accountName": "store", "containerName": "packages", "blobName": name}
        return self.arm(azure.BLOB, name, **where, source=self.package(name, main=name))

    def signed(self, blob: Resource, **more: str) -> str:
        """The blob's address with a signature for reading."""
        asked = {
            "accountName": "store",
            "canonicalizedResource": f"/blob/store/packages/{blob.outputs['name']}",
            "permissions": "r",
            "resource": "b",
            "sharedAccessExpiryTime": "2099-12-31T00:00:00Z",
            **more,
        }
        token = service_sas(asked, self.operations.view({}))["serviceSasToken"]
        return f"{blob.outputs['url']}?{token}"

    def deploy_inputs(self, address: str, kind: str = "Microsoft.Web/sites/extensions") -> Properties:
        resource = {
            "type": kind,
            "name": "agent/onedeploy",
            "properties": {"packageUri": "[parameters('uri')]", "remoteBuild": False},
        }
        template = {"parameters": {"uri": {"type": "secureString"}}, "resources": [resource]}
        parameters = {"uri": {"value": address}}
        return {"properties": {"mode": "Incremental", "template": template, "parameters": parameters}}
