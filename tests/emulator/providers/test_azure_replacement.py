"""The emulated Azure refuses, or breaks, the deployment that this program once asked for.

Inputs are those that the program registered at commit 0db1ae2, in its order and without its later waits; no
program runs here. They show that the emulator finds the faults by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.errors import CloudError
from emulator.providers.azure import common as azure
from emulator.providers.azure.roles import ACTS_AFTER_S
from emulator.providers.azure.storage import service_sas
from emulator.providers.storage.resource_store import Resource
from tests.emulator.account import Account

GROUP = "skyfleet-dev-fleet-westeurope"
PLACE = {"resourceGroupName": GROUP, "location": "westeurope"}
SITE = "skyfleet-dev-agent"
HOST_ROLES = (
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
)
SECRETS_USER = "4633458b-17de-408a-b875-0445c86b69e6"
DAY_S = 86_400.0


class Subscription(Account):
    """A subscription, and the steps of the former program."""

    def region(self) -> None:
        """What all functions of the region shared."""
        self.create(azure.GROUP, "azure-westeurope", **PLACE)
        self.account("skyfleetshared", shared_key=True)
        self.container("skyfleetshared", "packages")
        self.vault()
        self.secret()

    def account(self, name: str, *, shared_key: bool) -> Resource:
        sku = {"name": "Standard_LRS"}
        given = {"accountName": name, "kind": "StorageV2", "sku": sku, "allowSharedKeyAccess": shared_key}
        return self.create(azure.ACCOUNT, name, **PLACE, **given)

    def container(self, account: str, name: str) -> Resource:
        given = {"resourceGroupName": GROUP, "accountName": account, "publicAccess": "None"}
        return self.create(azure.CONTAINER, f"{account}-{name}", **given, containerName=name)

    def vault(self) -> Resource:
        properties = {
            "tenantId": azure.TENANT,
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": True,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": 7,
        }
        return self.create(
            azure.VAULT, "azure-westeurope", **PLACE, vaultName="skyfleet-dev-0a1b2c3d", properties=properties
        )

    def secret(self) -> Resource:
        given = {"resourceGroupName": GROUP, "vaultName": "skyfleet-dev-0a1b2c3d"}
        properties = {"value": '{"k1": "a-signing-key"}'}
        return self.create(
            azure.SECRET, "signing-keys", **given, secretName="signing-keys", properties=properties
        )

    def resource(self, token: str, prop: str, value: str) -> Resource:
        resources = (resource for resource in self.table.resources.values() if resource.token == token)
        return next(resource for resource in resources if resource.outputs[prop] == value)

    def grant(self, identity: Resource, role: str, scope: str) -> Resource:
        definition = f"/subscriptions/{azure.SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
        return self.create(
            azure.ROLE_ASSIGNMENT,
            f"{role}-{scope}",
            principalId=identity.outputs["principalId"],
            principalType="ServicePrincipal",
            roleDefinitionId=f"{definition}/{role}",
            scope=scope,
        )

    def site(self) -> Resource:
        """The agent's site with its identity and roles, one right after the other."""
        host = self.account("skyfleetagent", shared_key=False)
        self.container("skyfleetagent", "deployments")
        identity = self.create(azure.IDENTITY, SITE, **PLACE, resourceName=SITE)
        for role in HOST_ROLES:
            self.grant(identity, role, host.id)
        secret = self.resource(azure.SECRET, "name", "signing-keys")
        self.grant(identity, SECRETS_USER, secret.id)
        sku = {"name": "FC1", "tier": "FlexConsumption"}
        plan = self.create(azure.PLAN, SITE, **PLACE, name=SITE, reserved=True, kind="functionapp", sku=sku)
        reference = f"@Microsoft.KeyVault(SecretUri={secret.outputs['properties']['secretUriWithVersion']})"
        return self.create(azure.SITE, SITE, **PLACE, **self.site_inputs(identity, plan, reference))

    def site_inputs(self, identity: Resource, plan: Resource, reference: str) -> dict[str, Any]:
        storage = {
            "type": "blobContainer",
            "value": "https://skyfleetagent.blob.core.windows.net/deployments",
            "authentication": {
                "type": "UserAssignedIdentity",
                "userAssignedIdentityResourceId": identity.id,
            },
        }
        return {
            "name": SITE,
            "kind": "functionapp,linux",
            "serverFarmId": plan.id,
            "reserved": True,
            "identity": {"type": "UserAssigned", "userAssignedIdentities": [identity.id]},
            "keyVaultReferenceIdentity": identity.id,
            "functionAppConfig": {
                "deployment": {"storage": storage},
                "runtime": {"name": "python", "version": "3.13"},
                "scaleAndConcurrency": {"instanceMemoryMB": 512, "maximumInstanceCount": 100},
            },
            "siteConfig": {"appSettings": [{"name": "SKYFLEET_SIGNING_KEYS", "value": reference}]},
        }

    def upload(self) -> Resource:
        """The package, as a blob."""
        where = {"accountName": "skyfleetshared", "containerName": "packages"}
        return self.create(
            azure.BLOB,
            "agent.zip",
            resourceGroupName=GROUP,
            **where,
            blobName="agent/hash.zip",
            source=self.package("agent.zip", **{"function_app.py": "app = 1"}),
        )

    def publish(self, blob: Resource) -> Resource:
        """The deployment of the package, by a signed address."""
        asked = {
            "accountName": "skyfleetshared",
            "canonicalizedResource": "/blob/skyfleetshared/packages/agent/hash.zip",
            "permissions": "r",
            "resource": "b",
            "sharedAccessExpiryTime": "2099-12-31T00:00:00Z",
        }
        token = service_sas(asked, self.operations.view({}))["serviceSasToken"]
        template = {
            "parameters": {"packageUri": {"type": "secureString"}},
            "resources": [
                {
                    "type": "Microsoft.Web/sites/extensions",
                    "apiVersion": "2022-09-01",
                    "name": f"{SITE}/onedeploy",
                    "properties": {"packageUri": "[parameters('packageUri')]", "remoteBuild": False},
                }
            ],
        }
        parameters = {"packageUri": {"value": f"{blob.outputs['url']}?{token}"}}
        properties = {"mode": "Incremental", "template": template, "parameters": parameters}
        return self.create(
            azure.DEPLOYMENT, f"{SITE}-package", resourceGroupName=GROUP, properties=properties
        )

    def keys(self) -> str:
        """What the agent's code finds in its environment."""
        self.operations.catch_up()
        (function,) = self.operations.desired().functions
        return function.environment["SKYFLEET_SIGNING_KEYS"]


@pytest.fixture
def former(tmp_path: Path) -> Subscription:
    account = Subscription(tmp_path, delays=1.0)
    account.region()
    return account


def test_a_package_is_published_before_the_site_may_write_it(former: Subscription) -> None:
    """F5: roles, site, deployment follow within seconds, and the deployment fails. Minutes later it works."""
    former.site()
    blob = former.upload()
    with pytest.raises(CloudError, match=r"BlobUploadFailedException.*403"):
        former.publish(blob)
    former.wait(ACTS_AFTER_S)
    former.publish(blob)


def test_a_stack_with_a_secret_cannot_be_destroyed(former: Subscription) -> None:
    """F6: a secret is deleted through the vault, where the deploying identity has no role, owner or not."""
    with pytest.raises(CloudError, match="403 ForbiddenByRbac"):
        former.delete(former.resource(azure.SECRET, "name", "signing-keys"))


def test_a_site_that_started_early_never_gets_its_keys(former: Subscription) -> None:
    """F7: the reference is read when the site is made, and what was read is kept: no wait helps, and no
    further deployment of the same configuration, until a day has passed."""
    former.site()
    former.wait(ACTS_AFTER_S)
    former.publish(former.upload())
    assert former.keys().startswith("@Microsoft.KeyVault(")
    former.wait(DAY_S / 2)
    assert former.keys().startswith("@Microsoft.KeyVault(")
    former.wait(DAY_S / 2)
    assert former.keys() == '{"k1": "a-signing-key"}'


def test_a_region_that_comes_back_within_a_week_finds_its_vaults_name_taken(former: Subscription) -> None:
    """F13: the name is the same, and the deleted vault holds it."""
    former.delete(former.resource(azure.VAULT, "name", "skyfleet-dev-0a1b2c3d"))
    former.wait(6 * DAY_S)
    with pytest.raises(CloudError, match=r"VaultAlreadyExists.*in deleted state"):
        former.vault()
    former.wait(DAY_S)
    former.vault()
