"""Azure's vaults: what may delete a secret, what stays of a name, what a site keeps of a reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.errors import CloudError
from emulator.providers.azure import common as azure
from emulator.providers.azure.roles import ACTS_AFTER_S
from emulator.providers.storage.resource_store import Resource
from tests.emulator.account import Mistakes
from tests.emulator.providers.support import BLOB_CONTRIBUTOR, GROUP, SECRETS_OFFICER, Azure

SECRETS_USER = "4633458b-17de-408a-b875-0445c86b69e6"
DAY_S = 86_400.0
URI = "https://vault.vault.azure.net/secrets/keys"


@pytest.fixture
def account(tmp_path: Path) -> Azure:
    account = Azure(tmp_path, delays=1.0)
    account.group()
    return account


def remaining(account: Azure) -> list[tuple[str, str]]:
    """What is still there: what it is, what it costs."""
    return [(str(each["what"]), str(each["costs"])) for each in account.operations.remaining()]


def keys(account: Azure) -> str:
    """What the site's code finds as KEYS."""
    (function,) = account.operations.desired().functions
    return function.environment["KEYS"]


def reading_site(account: Azure) -> Resource:
    """A site whose one setting refers to the secret."""
    account.storage()
    account.vault()
    secret = account.secret()
    site = account.site()
    identity = next(
        resource for resource in account.table.resources.values() if resource.token == azure.IDENTITY
    )
    account.grant(identity, SECRETS_USER, secret.id)
    account.wait(ACTS_AFTER_S)
    inputs = account.site_inputs(name="agent", keyVaultReferenceIdentity=identity.id)
    site = account.update(site, resourceGroupName=GROUP, **inputs, siteConfig=settings(f"{URI}/"))
    account.arm(azure.DEPLOYMENT, "d", **account.deploy_inputs(account.signed(account.blob("a.zip"))))
    return account.table.resources[site.key]


def settings(uri: str, **more: str) -> dict[str, Any]:
    listed = {"KEYS": f"@Microsoft.KeyVault(SecretUri={uri})", **more}
    return {"appSettings": [{"name": name, "value": value} for name, value in listed.items()]}


def test_a_secret_is_deleted_with_a_role_in_its_vault_once_that_acts(account: Azure) -> None:
    """Deploying everything else takes none."""
    vault = account.vault()
    secret = account.secret()
    definition = f"/providers/Microsoft.Authorization/roleDefinitions/{SECRETS_OFFICER}"
    given = {"principalId": azure.OPERATOR, "principalType": "User", "scope": vault.id}
    account.create(azure.ROLE_ASSIGNMENT, "me", roleDefinitionId=definition, **given)
    with pytest.raises(CloudError, match="ForbiddenByRbac"):
        account.delete(secret)
    account.wait(ACTS_AFTER_S)
    account.delete(secret)
    assert secret.key not in account.table.resources
    with pytest.raises(CloudError, match="currently in a deleted but recoverable state"):
        account.secret()
    account.wait(7 * DAY_S)
    account.secret()


def test_a_vault_takes_its_secrets_and_the_roles_on_them_along(account: Azure) -> None:
    """And stays, soft-deleted and free, with its name taken, for the days that it was told."""
    vault = account.vault()
    secret = account.secret()
    account.grant(account.identity(), SECRETS_USER, secret.id)
    account.delete(vault)
    tokens = {resource.token for resource in account.table.resources.values()}
    assert not tokens & {azure.VAULT, azure.SECRET, azure.ROLE_ASSIGNMENT}
    assert ("key vault vault, soft-deleted with its secrets", "") in remaining(account)
    with pytest.raises(CloudError, match="VaultAlreadyExists"):
        account.vault()
    account.vault("another")
    account.wait(7 * DAY_S)
    assert remaining(account) == []
    account.vault()


def test_a_vault_is_never_told_that_it_may_be_purged(account: Azure) -> None:
    """Azure takes true or nothing."""
    with pytest.raises(Mistakes, match="enablePurgeProtection: cannot be set to false"):
        account.vault(enablePurgeProtection=False)
    account.vault(enablePurgeProtection=True)


def test_what_a_site_read_once_is_kept_for_a_day(account: Azure) -> None:
    """A reference without a version goes on giving the old value, until a day is over."""
    reading_site(account)
    assert keys(account) == "one"
    secret = next(resource for resource in account.table.resources.values() if resource.token == azure.SECRET)
    given = {"vaultName": "vault", "secretName": "keys", "properties": {"value": "two"}}
    account.update(secret, resourceGroupName=GROUP, **given)
    assert keys(account) == "one"
    account.wait(DAY_S)
    assert keys(account) == "two"


def test_a_change_of_the_configuration_makes_a_site_read_again(account: Azure) -> None:
    """Whatever setting it is that changes."""
    site = reading_site(account)
    secret = next(resource for resource in account.table.resources.values() if resource.token == azure.SECRET)
    given = {"vaultName": "vault", "secretName": "keys", "properties": {"value": "two"}}
    account.update(secret, resourceGroupName=GROUP, **given)
    inputs = account.site_inputs(
        name="agent", keyVaultReferenceIdentity=site.inputs["keyVaultReferenceIdentity"]
    )
    account.update(site, resourceGroupName=GROUP, **inputs, siteConfig=settings(f"{URI}/", READ_AGAIN="1"))
    assert keys(account) == "two"


def test_a_tenant_may_deny_accounts_with_a_shared_key(account: Azure) -> None:
    """Saying nothing counts as allowing it; an account without one is let through."""
    account.create(
        azure.POLICY,
        "no-keys",
        scope=f"/subscriptions/{azure.SUBSCRIPTION}",
        policyDefinitionId="/providers/Microsoft.Authorization/policyDefinitions/"
        "8c6a50c6-9ffd-4ae7-986f-5fa6111f9a54",
        parameters={"effect": {"value": "Deny"}},
    )
    for allowed in ({}, {"allowSharedKeyAccess": True}):
        with pytest.raises(CloudError, match="RequestDisallowedByPolicy"):
            account.storage(**allowed)
    account.storage(allowSharedKeyAccess=False)


def test_a_region_may_lack_flex_consumption(account: Azure) -> None:
    """Then there is no plan to be had there."""
    with pytest.raises(CloudError, match="not offered in the region 'francesouth'"):
        account.plan(location="France South")
    account.plan(location="France Central")


def test_a_site_writes_its_package_with_a_role_on_that_container(account: Azure) -> None:
    """A role elsewhere does not help, nor one that does not act yet."""
    account.storage()
    elsewhere = account.arm(azure.CONTAINER, "other", accountName="store", containerName="other")
    account.plan()
    identity = account.identity()
    account.grant(identity, BLOB_CONTRIBUTOR, elsewhere.id)
    account.wait(ACTS_AFTER_S)
    account.arm(azure.SITE, "agent", **account.site_inputs(name="agent"))
    inputs = account.deploy_inputs(account.signed(account.blob("a.zip")))
    with pytest.raises(CloudError, match="BlobUploadFailedException"):
        account.arm(azure.DEPLOYMENT, "d", **inputs)
    container = next(
        resource
        for resource in account.table.resources.values()
        if resource.token == azure.CONTAINER and resource.outputs["name"] == "packages"
    )
    account.grant(identity, BLOB_CONTRIBUTOR, container.id)
    with pytest.raises(CloudError, match="BlobUploadFailedException"):
        account.arm(azure.DEPLOYMENT, "d", **inputs)
    account.wait(ACTS_AFTER_S)
    account.arm(azure.DEPLOYMENT, "d", **inputs)


def test_what_is_left_of_a_region_costs_nothing(account: Azure) -> None:
    """Accounts, logs and vaults can be had back for some days; none of it is billed."""
    storage, vault = account.storage(), account.vault()
    workspace = account.arm(
        "azure-native:operationalinsights:Workspace", "logs", workspaceName="skyfleet-logs"
    )
    packages = next(
        resource for resource in account.table.resources.values() if resource.token == azure.CONTAINER
    )
    for resource in (packages, storage, vault, workspace):
        account.delete(resource)
    assert {costs for _, costs in remaining(account)} == {""}
    assert len(remaining(account)) == 4, "and the name of the vault"
    account.wait(14 * DAY_S)
    assert remaining(account) == []
